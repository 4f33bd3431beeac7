/* A module for Windows that ends the process as a program does which calls no
   handlers of exit. */

#include <windows.h>

__declspec(dllexport) int luaopen_windows_end(void *L) {
  (void)L;
  ExitProcess(5);
}
