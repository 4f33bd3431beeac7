/* Gives one call that reads or writes a log of SQLite's trouble, when it is
   asked for. To be preloaded; of a process with these variables:

     SEER_TROUBLE        a file: it asks, and is removed when it has been done
     SEER_TROUBLE_CALL   pread64 or pwrite64...
     SEER_TROUBLE_TEXT   ...and of the latter, if this is set, one of this text
     SEER_TROUBLE_ERRNO  the call fails so...
     SEER_TROUBLE_END    ...or takes until this file is there...
     SEER_TROUBLE_POLITE ...if this is set, whoever waits for the lock that is
                         given back next has it first */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

static __thread int polite;

static int is_log(int fd) {
  char link[40], path[600];
  ssize_t length;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path);
  return length > 4 && memcmp(path + length - 4, "-wal", 4) == 0;
}

static int is_meant(const char *call, const void *bytes, size_t size) {
  const char *wanted = getenv("SEER_TROUBLE_CALL");
  const char *text = getenv("SEER_TROUBLE_TEXT");
  return wanted != NULL && strcmp(call, wanted) == 0 &&
         (text == NULL || memmem(bytes, size, text, strlen(text)) != NULL);
}

/* Whether the call is to fail; errno is set then. */
static int is_troubled(const char *call, int fd, const void *bytes,
                       size_t size) {
  const char *asked = getenv("SEER_TROUBLE");
  const char *number = getenv("SEER_TROUBLE_ERRNO");
  const char *end = getenv("SEER_TROUBLE_END");
  if (asked == NULL || !is_meant(call, bytes, size) || !is_log(fd) ||
      unlink(asked) != 0)
    return 0;
  while (end != NULL && access(end, F_OK) != 0)
    usleep(1000);
  polite = getenv("SEER_TROUBLE_POLITE") != NULL;
  if (number != NULL)
    errno = atoi(number);
  return number != NULL;
}

#define TROUBLED(name, bytes)                                                 \
  SEEN ssize_t name(int fd, bytes at, size_t size, off64_t from) {            \
    static ssize_t (*next)(int, bytes, size_t, off64_t);                      \
    if (next == NULL)                                                         \
      *(void **)&next = dlsym(RTLD_NEXT, #name);                              \
    return is_troubled(#name, fd, at, size) ? -1 : next(fd, at, size, from);  \
  }

TROUBLED(pread64, void *)
TROUBLED(pwrite64, const void *)

/* Who waits is woken when the lock is given back, which is not yet to have it.
   For 20 s at most. */
static void wait_for_next(int (*next)(int, int, ...), int fd,
                          const struct flock64 *given_back) {
  for (int tries = 0; tries < 20000; tries++) {
    struct flock64 lock = *given_back;
    lock.l_type = F_WRLCK;
    if (next(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK)
      return;
    usleep(1000);
  }
}

#define POLITE(name)                                                          \
  SEEN int name(int fd, int command, ...) {                                   \
    static int (*next)(int, int, ...);                                        \
    va_list list;                                                             \
    void *value;                                                              \
    int result;                                                               \
    if (next == NULL)                                                         \
      *(void **)&next = dlsym(RTLD_NEXT, #name);                              \
    va_start(list, command);                                                  \
    value = va_arg(list, void *);                                             \
    va_end(list);                                                             \
    result = next(fd, command, value);                                        \
    if (polite && command == F_OFD_SETLK &&                                   \
        ((struct flock64 *)value)->l_type == F_UNLCK) {                       \
      polite = 0;                                                             \
      wait_for_next(next, fd, value);                                         \
    }                                                                         \
    return result;                                                            \
  }

POLITE(fcntl)
POLITE(fcntl64)
