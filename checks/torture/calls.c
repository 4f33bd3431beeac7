#include "torture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Defines `next` as the function whose place `name` has taken. */
#define NEXT(name)                                                            \
  static __typeof__(name) *_Atomic next;                                      \
  if (next == NULL)                                                           \
  next = (__typeof__(name) *)torture_next(#name)

#define FAILS(kind, name) torture_fails(kind, #name, CALLER)

/* A function of the C library that says by its result, or by errno, that it
   has failed. */
#define RETURNS(kind, name, failure, parameters, arguments)                   \
  EXPORTED int name parameters {                                              \
    NEXT(name);                                                               \
    return FAILS(kind, name) ? (failure) : next arguments;                    \
  }

static int fail(int number) {
  errno = number;
  return -1;
}

/*
** Threads.
*/

RETURNS(KIND_THREADS, pthread_create, EAGAIN,
        (pthread_t *restrict thread, const pthread_attr_t *restrict a,
         void *(*run)(void *), void *restrict argument),
        (thread, a, run, argument))
RETURNS(KIND_THREADS, pthread_attr_init, ENOMEM, (pthread_attr_t * a), (a))
RETURNS(KIND_THREADS, pthread_attr_setdetachstate, EINVAL,
        (pthread_attr_t * a, int state), (a, state))
RETURNS(KIND_THREADS, pthread_mutex_init, ENOMEM,
        (pthread_mutex_t * lock, const pthread_mutexattr_t *a), (lock, a))

pid_t torture_forker;
uint64_t torture_left_behind;

EXPORTED int pthread_mutex_trylock(pthread_mutex_t *lock) {
  NEXT(pthread_mutex_trylock);
  int error = next(lock);
  if (error != 0 && torture_forker != 0 && torture_forker != getpid())
    torture_left_behind = torture_allocations();
  return error;
}

/*
** The network.
*/

RETURNS(KIND_NETWORK, socket, fail(EMFILE),
        (int domain, int type, int protocol), (domain, type, protocol))
RETURNS(KIND_NETWORK, socketpair, fail(EMFILE),
        (int domain, int type, int protocol, int pair[2]),
        (domain, type, protocol, pair))
RETURNS(KIND_NETWORK, eventfd, fail(EMFILE), (unsigned value, int flags),
        (value, flags))
RETURNS(KIND_NETWORK, pipe, fail(EMFILE), (int pair[2]), (pair))
RETURNS(KIND_NETWORK, pipe2, fail(EMFILE), (int pair[2], int flags),
        (pair, flags))
RETURNS(KIND_NETWORK, connect, fail(ENETUNREACH),
        (int fd, const struct sockaddr *address, socklen_t length),
        (fd, address, length))
RETURNS(KIND_NETWORK, getsockname, fail(ENOBUFS),
        (int fd, struct sockaddr *restrict address,
         socklen_t *restrict length),
        (fd, address, length))
RETURNS(KIND_NETWORK, getpeername, fail(ENOBUFS),
        (int fd, struct sockaddr *restrict address,
         socklen_t *restrict length),
        (fd, address, length))
RETURNS(KIND_NETWORK, setsockopt, fail(ENOBUFS),
        (int fd, int level, int name, const void *value, socklen_t length),
        (fd, level, name, value, length))
RETURNS(KIND_NETWORK, getsockopt, fail(ENOBUFS),
        (int fd, int level, int name, void *restrict value,
         socklen_t *restrict length),
        (fd, level, name, value, length))
RETURNS(KIND_NETWORK, getaddrinfo, EAI_MEMORY,
        (const char *restrict node, const char *restrict service,
         const struct addrinfo *restrict hints,
         struct addrinfo **restrict result),
        (node, service, hints, result))

EXPORTED ssize_t send(int fd, const void *bytes, size_t length, int flags) {
  NEXT(send);
  return FAILS(KIND_NETWORK, send) ? fail(ECONNRESET)
                                   : next(fd, bytes, length, flags);
}

EXPORTED ssize_t recv(int fd, void *bytes, size_t length, int flags) {
  NEXT(recv);
  return FAILS(KIND_NETWORK, recv) ? fail(ECONNRESET)
                                   : next(fd, bytes, length, flags);
}

/* What comes after two arguments is a word at most. */
#define MAY_TAKE_MORE(kind, code, name, type)                                 \
  EXPORTED int name(type first, int second, ...) {                            \
    va_list arguments;                                                        \
    long third;                                                               \
    NEXT(name);                                                               \
    va_start(arguments, second);                                              \
    third = va_arg(arguments, long);                                          \
    va_end(arguments);                                                        \
    return FAILS(kind, name) ? fail(code) : next(first, second, third);       \
  }

MAY_TAKE_MORE(KIND_NETWORK, EINVAL, fcntl, int)
MAY_TAKE_MORE(KIND_NETWORK, EINVAL, fcntl64, int)

/*
** Files and random numbers.
*/

MAY_TAKE_MORE(KIND_FILES, EMFILE, open, const char *)
MAY_TAKE_MORE(KIND_FILES, EMFILE, open64, const char *)

#define OPENS_STREAM(name)                                                    \
  EXPORTED FILE *name(const char *restrict path, const char *restrict mode) { \
    NEXT(name);                                                               \
    if (!FAILS(KIND_FILES, name))                                             \
      return next(path, mode);                                                \
    errno = EMFILE;                                                           \
    return NULL;                                                              \
  }

OPENS_STREAM(fopen)
OPENS_STREAM(fopen64)

EXPORTED ssize_t getrandom(void *bytes, size_t length, unsigned flags) {
  NEXT(getrandom);
  return FAILS(KIND_RANDOM, getrandom) ? fail(EAGAIN)
                                       : next(bytes, length, flags);
}

RETURNS(KIND_RANDOM, getentropy, fail(EIO), (void *bytes, size_t length),
        (bytes, length))

/*
** The process.
*/

int __register_atfork(void (*prepare)(void), void (*parent)(void),
                      void (*child)(void), void *object);
int __cxa_atexit(void (*handler)(void *), void *argument, void *object);

RETURNS(KIND_PROCESS, __register_atfork, ENOMEM,
        (void (*prepare)(void), void (*parent)(void), void (*child)(void),
         void *object),
        (prepare, parent, child, object))
RETURNS(KIND_PROCESS, __cxa_atexit, -1,
        (void (*handler)(void *), void *argument, void *object),
        (handler, argument, object))

EXPORTED int dladdr(const void *address, Dl_info *info) {
  NEXT(dladdr);
  return FAILS(KIND_PROCESS, dladdr) ? 0 : next(address, info);
}

/*
** A clock that runs fast, and waits that are short by as much.
*/

int torture_speed = 1;

static int64_t to_nanoseconds(const struct timespec *time) {
  return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static struct timespec to_timespec(int64_t nanoseconds) {
  return (struct timespec){.tv_sec = nanoseconds / 1000000000,
                           .tv_nsec = nanoseconds % 1000000000};
}

/* When the fast clock began to run. */
static int64_t beginning(__typeof__(clock_gettime) *clock) {
  static _Atomic int64_t began;
  struct timespec time;
  if (began == 0) {
    clock(CLOCK_MONOTONIC, &time);
    began = to_nanoseconds(&time);
  }
  return began;
}

EXPORTED int clock_gettime(clockid_t id, struct timespec *time) {
  int result;
  NEXT(clock_gettime);
  result = next(id, time);
  if (result == 0 && id == CLOCK_MONOTONIC && torture_speed > 1) {
    int64_t began = beginning(next);
    *time =
        to_timespec(began + (to_nanoseconds(time) - began) * torture_speed);
  }
  return result;
}

static struct timespec earlier(const struct timespec *time) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t began =
      beginning((__typeof__(clock_gettime) *)torture_next("clock_gettime"));
  int64_t after = to_nanoseconds(time) - began;
  return to_timespec(began + (after + torture_speed - 1) / torture_speed);
}

/* Of the system's calls only the wait until some time is another. */
EXPORTED long syscall(long number, ...) {
  long a[6];
  struct timespec sooner;
  va_list arguments;
  NEXT(syscall);
  va_start(arguments, number);
  for (int i = 0; i < 6; i++)
    a[i] = va_arg(arguments, long);
  va_end(arguments);
  if (number == SYS_futex && a[1] == FUTEX_WAIT_BITSET_PRIVATE && a[3] != 0 &&
      torture_speed > 1) {
    sooner = earlier((const struct timespec *)a[3]);
    a[3] = (long)&sooner;
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Of more descriptors libcurl 7.88 makes a list, and loses it when poll
   fails. */
#define POLLED_MOST 10

EXPORTED int poll(struct pollfd *fds, nfds_t count, int timeout) {
  NEXT(poll);
  if (count <= POLLED_MOST && FAILS(KIND_NETWORK, poll))
    return fail(ENOMEM);
  if (timeout > 0)
    timeout = (timeout + torture_speed - 1) / torture_speed;
  return next(fds, count, timeout);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);

EXPORTED int __poll_chk(struct pollfd *fds, nfds_t count, int timeout,
                        size_t size) {
  NEXT(__poll_chk);
  if (count <= POLLED_MOST && FAILS(KIND_NETWORK, poll))
    return fail(ENOMEM);
  if (timeout > 0)
    timeout = (timeout + torture_speed - 1) / torture_speed;
  return next(fds, count, timeout, size);
}

EXPORTED int nanosleep(const struct timespec *time, struct timespec *left) {
  struct timespec shorter = to_timespec(to_nanoseconds(time) / torture_speed);
  NEXT(nanosleep);
  return next(&shorter, left);
}
