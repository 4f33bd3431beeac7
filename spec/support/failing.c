/* Makes a call of the system fail that concerns a directory, or a file in it,
   or kills the process there. To be preloaded; of a process with these
   variables:

     SEER_FAULT_DIRECTORY  the directory; the calls are counted from 1 on
     SEER_FAULT_AT         the number of the one that fails; 0: none
     SEER_FAULT_ERRNO      how; 0: the process is killed before it is made
     SEER_FAULT_ON         the number of the last that fails, if more do
     SEER_FAULT_COUNT      a file for the number of calls, at the end */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

static long calls;

static long number_of(const char *name) {
  const char *text = getenv(name);
  return text != NULL ? atol(text) : 0;
}

static int concerns(const char *path) {
  const char *directory = getenv("SEER_FAULT_DIRECTORY");
  size_t length = directory != NULL ? strlen(directory) : 0;
  return length > 0 && strncmp(path, directory, length) == 0;
}

/* Whether the call is to fail; errno is set then. */
static int fails(const char *path) {
  long at = number_of("SEER_FAULT_AT"), call;
  if (!concerns(path))
    return 0;
  call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  if (at == 0 || call < at || (call > at && call > number_of("SEER_FAULT_ON")))
    return 0;
  errno = (int)number_of("SEER_FAULT_ERRNO");
  if (errno == 0)
    kill(getpid(), SIGKILL);
  return 1;
}

static int fails_for(int fd) {
  char link[40], path[600];
  ssize_t length;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path - 1);
  if (length < 0)
    return 0;
  path[length] = '\0';
  return fails(path);
}

__attribute__((destructor)) static void write_count(void) {
  const char *path = getenv("SEER_FAULT_COUNT");
  FILE *file = path != NULL ? fopen(path, "w") : NULL;
  if (file == NULL)
    return;
  fprintf(file, "%ld\n", calls);
  fclose(file);
}

/* The next library's function of this name, as a pointer of this type. */
#define NEXT(type, name)                                                      \
  static __typeof__(type) next;                                               \
  if (next == NULL)                                                           \
  *(void **)&next = dlsym(RTLD_NEXT, name)

#define OPEN(name)                                                            \
  SEEN int name(const char *path, int flags, ...) {                           \
    va_list more;                                                             \
    int mode;                                                                 \
    NEXT(int (*)(const char *, int, ...), #name);                             \
    va_start(more, flags);                                                    \
    mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;                    \
    va_end(more);                                                             \
    return fails(path) ? -1 : next(path, flags, mode);                        \
  }

#define ON_FILE(type, name, parameters, arguments)                            \
  SEEN type name parameters {                                                 \
    NEXT(type(*) parameters, #name);                                          \
    return fails_for(fd) ? (type)-1 : next arguments;                         \
  }

#define ON_PATH(name, parameters, arguments)                                  \
  SEEN int name parameters {                                                  \
    NEXT(int(*) parameters, #name);                                           \
    return fails(path) ? -1 : next arguments;                                 \
  }

OPEN(open)
OPEN(open64)
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH(unlink, (const char *path), (path))
ON_PATH(lstat64, (const char *path, struct stat64 *to), (path, to))
ON_FILE(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
ON_FILE(ssize_t, write, (int fd, const void *from, size_t size),
        (fd, from, size))
ON_FILE(ssize_t, pread64, (int fd, void *to, size_t size, off64_t at),
        (fd, to, size, at))
ON_FILE(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at),
        (fd, from, size, at))
ON_FILE(int, ftruncate64, (int fd, off64_t length), (fd, length))
ON_FILE(int, fdatasync, (int fd), (fd))
ON_FILE(int, fsync, (int fd), (fd))

#define LOCK(name)                                                            \
  SEEN int name(int fd, int command, ...) {                                   \
    va_list list;                                                             \
    void *value;                                                              \
    NEXT(int (*)(int, int, ...), #name);                                      \
    va_start(list, command);                                                  \
    value = va_arg(list, void *);                                             \
    va_end(list);                                                             \
    return is_lock(command) && fails_for(fd) ? -1 : next(fd, command, value); \
  }

static int is_lock(int command) {
  return command == F_SETLK || command == F_OFD_SETLK ||
         command == F_OFD_GETLK;
}

LOCK(fcntl)
LOCK(fcntl64)

SEEN void *mmap64(void *to, size_t size, int what, int how, int fd,
                  off64_t at) {
  NEXT(void *(*)(void *, size_t, int, int, int, off64_t), "mmap64");
  return fd >= 0 && fails_for(fd) ? MAP_FAILED
                                  : next(to, size, what, how, fd, at);
}

/* Returns the error. */
SEEN int posix_fallocate64(int fd, off64_t from, off64_t length) {
  NEXT(int (*)(int, off64_t, off64_t), "posix_fallocate64");
  return fails_for(fd) ? errno : next(fd, from, length);
}
