#include "os.h"

#ifdef _WIN32
#include "clock.h"
#include "os_loopback.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <ntsecapi.h> /* RtlGenRandom */
#pragma GCC visibility push(hidden)

/* What the rest of the sources asks of the C library, and this has not. */

void *memmem(const void *text, size_t length, const void *part, size_t size) {
  const char *at = text;
  for (; length >= size; at++, length--)
    if (memcmp(at, part, size) == 0)
      return (void *)at;
  return NULL;
}

char *strndup(const char *text, size_t most) {
  size_t length = strnlen(text, most);
  char *copy = malloc(length + 1);
  if (copy != NULL) {
    memcpy(copy, text, length);
    copy[length] = '\0';
  }
  return copy;
}

bool seer_os_random(void *bytes, size_t size) {
  return RtlGenRandom(bytes, (ULONG)size);
}

void seer_os_wait(uint32_t *word, uint32_t seen, int64_t deadline) {
  int64_t left = deadline - seer_clock_now();
  DWORD time = left < (int64_t)INFINITE ? (DWORD)left : INFINITE;
  if (left > 0)
    WaitOnAddress(word, &seen, sizeof seen, time);
}

void seer_os_wake(uint32_t *word) {
  WakeByAddressAll(word);
}

FILE *seer_os_open(const char *path) {
  int length =
      MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
  wchar_t *wide = length > 0 ? malloc((size_t)length * sizeof *wide) : NULL;
  FILE *file = NULL;
  if (wide != NULL) {
    MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, length);
    file = _wfopen(wide, L"rbN");
    free(wide);
  } else {
    errno = length > 0 ? ENOMEM : EINVAL;
  }
  return file;
}

/*
** The process. It is never forked.
*/

bool seer_os_at_fork(void (*prepare)(void), void (*parent)(void),
                     void (*child)(void)) {
  (void)prepare, (void)parent, (void)child;
  return true;
}

/* Several may call it: once is enough. */
static void (*at_exit)(void);

static int run_at_exit(void) {
  static bool ran;
  if (!ran)
    at_exit();
  ran = true;
  return 0;
}

static void run_late(void) {
  run_at_exit();
}

/* A library's own atexit is called when its threads have been ended. So it is
   that of the program's C runtime that is asked: the old one's, or the new
   one's, or both where it is unknown which it has. If neither calls, the
   library's own does, see seer_os_is_torn_down. */
bool seer_os_at_exit(void (*handler)(void)) {
  static const char *const runtimes[][2] = {
      {"msvcrt.dll",   "_onexit"    },
      {"ucrtbase.dll", "_crt_atexit"}
  };
  bool registered = false;
  at_exit = handler;
  for (int i = 0; i < 2; i++) {
    HMODULE runtime = GetModuleHandleA(runtimes[i][0]);
    FARPROC found = NULL;
    intptr_t (*add)(int (*)(void));
    if (runtime != NULL)
      found = GetProcAddress(runtime, runtimes[i][1]);
    if (found == NULL)
      continue;
    memcpy(&add, &found, sizeof found);
    add(run_at_exit);
    registered = true;
  }
  return atexit(run_late) == 0 && registered;
}

bool seer_os_is_torn_down(void) {
  static BOOLEAN(WINAPI * is_ending)(void);
  FARPROC found = GetProcAddress(GetModuleHandleA("ntdll.dll"),
                                 "RtlDllShutdownInProgress");
  memcpy(&is_ending, &found, sizeof found);
  return is_ending != NULL && is_ending();
}

void seer_os_pin(const void *address) {
  HMODULE module;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN |
                         GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     address, &module);
}

void *seer_os_symbol(const char *name) {
  (void)name;
  return NULL;
}

void seer_signals_block(seer_signals *signals) {
  *signals = 0;
}

void seer_signals_inherit(seer_signals *signals) {
  *signals = 0;
}

void seer_signals_restore(const seer_signals *signals) {
  (void)signals;
}

void seer_pipe_block(seer_signals *signals) {
  *signals = 0;
}

void seer_pipe_restore(const seer_signals *signals) {
  (void)signals;
}

/*
** Memory that processes share: there are no children that would, and strangers
** find none.
*/

void *seer_os_memory_new(size_t size) {
  return calloc(1, size);
}

void seer_os_memory_free(void *memory, size_t size) {
  (void)size;
  free(memory);
}

int seer_os_segment_open(int key, size_t size, bool make) {
  (void)key, (void)size, (void)make;
  errno = ENOSYS;
  return -1;
}

void *seer_os_segment_attach(int id, bool to_write) {
  (void)id, (void)to_write;
  return NULL;
}

bool seer_os_segment_is_mine(int id, size_t size, uint64_t *attached) {
  (void)id, (void)size;
  *attached = 0;
  return false;
}

void seer_os_segment_remove(int id) {
  (void)id;
}

int seer_os_segment_next(int *place) {
  (void)place;
  return -1;
}

uint64_t seer_os_user(void) {
  return 0;
}

uint64_t seer_os_clock(void) {
  return 0;
}

/*
** Descriptors. Sockets and files have nothing in common, and no socket takes
** a standard stream's place.
*/

int seer_fd_raise(int fd) {
  return fd;
}

void seer_fds_hold(int held[3]) {
  held[0] = -1;
}

void seer_fds_release(const int held[3]) {
  (void)held;
}

int seer_fd_open(void) {
  errno = 0;
  return -1;
}

int seer_fd_close(int fd) {
  return closesocket((SOCKET)fd);
}

void seer_fd_close_on_exec(int fd) {
  SetHandleInformation((HANDLE)(intptr_t)fd, HANDLE_FLAG_INHERIT, 0);
}

void seer_os_complain(const char *bytes, size_t length) {
  DWORD written;
  WriteFile(GetStdHandle(STD_ERROR_HANDLE), bytes, (DWORD)length, &written,
            NULL);
}

int seer_os_sockets_most(void) {
  return SEER_OS_SOCKETS;
}

int seer_os_socket(int family, int type, int protocol) {
  SOCKET opened = WSASocketW(family, type, protocol, NULL, 0,
                             WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
  u_long yes = 1;
  if (opened == INVALID_SOCKET) {
    errno = WSAGetLastError() == WSAEMFILE ? EMFILE : EINVAL;
    return -1;
  }
  ioctlsocket(opened, FIONBIO, &yes);
  return (int)opened;
}

bool seer_os_has_input(int fd) {
  char byte;
  return recv((SOCKET)fd, &byte, 1, MSG_PEEK) >= 0 ||
         WSAGetLastError() != WSAEWOULDBLOCK;
}

bool seer_os_is_busy(int fd) {
  (void)fd;
  return false;
}

int seer_alarm_open(void) {
  return open_loopback();
}

void seer_alarm_ring(int alarm) {
  if (alarm >= 0)
    send((SOCKET)alarm, "", 1, 0);
}

void seer_alarm_clear(int alarm) {
  char byte;
  recv((SOCKET)alarm, &byte, 1, 0);
}

bool seer_alarm_wait(int alarm, int timeout) {
  WSAPOLLFD waited = {.fd = (SOCKET)alarm, .events = POLLRDNORM};
  int ready = WSAPoll(&waited, 1, timeout);
  if (ready < 0)
    seer_pause();
  return ready == 1;
}

#endif
