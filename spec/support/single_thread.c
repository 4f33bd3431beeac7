/* A host that has put SQLite into single-thread mode: to be preloaded. */

#include <dlfcn.h>
#include <stddef.h>

#define SQLITE_CONFIG_SINGLETHREAD 1

__attribute__((constructor)) static void configure(void) {
  int (*config)(int, ...) = NULL;
  void *library = dlopen("libsqlite3.so.0", RTLD_LAZY);
  if (library != NULL)
    *(void **)&config = dlsym(library, "sqlite3_config");
  if (config != NULL)
    config(SQLITE_CONFIG_SINGLETHREAD);
}
