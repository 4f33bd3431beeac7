#include "thread.h"

#include "assert.h"
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define LOCK_TIMEOUT 10 /* s for the lock at the end of the process */
#define PAUSE 10        /* ms */

/* Both know who holds them. For such a lock musl has no initializer; to make
   one cannot fail. */
static pthread_mutex_t lock, fresh;

__attribute__((constructor)) static void make_locks(void) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&lock, &kind);
  pthread_mutex_init(&fresh, &kind);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Both are guarded by the lock. A condition variable would keep count of its
   waiters, and hang when one of them never comes back: cancelled, left behind
   by a fork, or interrupted by a signal whose handler ends the process. */
static uint32_t changes; /* number of times that seer_wake had work to do */
static bool awaited;     /* somebody may wait for the next of them */

void seer_once(void (*task)(void)) {
  pthread_once(&once, task);
}

void seer_lock(void) {
  pthread_mutex_lock(&lock);
}

bool seer_lock_unless_held(void) {
  return pthread_mutex_lock(&lock) == 0; /* or EDEADLK */
}

bool seer_lock_soon(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time); /* for no other is in POSIX here */
  time.tv_sec += LOCK_TIMEOUT;
  return pthread_mutex_timedlock(&lock, &time) == 0;
}

void seer_unlock(void) {
  pthread_mutex_unlock(&lock);
}

#ifdef SEER_ASSERT
bool seer_lock_is_held(void) {
  if (pthread_mutex_lock(&lock) != 0)
    return true; /* EDEADLK */
  pthread_mutex_unlock(&lock);
  return false;
}
#endif

/* Until `changes` is not `seen` any more, or the deadline. What the system
   takes is made of longs: a timespec is larger where a time of 32 bits is
   not. */
static void sleep_on_changes(uint32_t seen, int64_t deadline) {
  long time[] = {(long)(deadline / 1000), (long)(deadline % 1000) * 1000000};
  syscall(SYS_futex, &changes, FUTEX_WAIT_BITSET_PRIVATE, seen,
          deadline == SEER_NEVER ? NULL : time, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* In a way of being cancelled that leaves no trace either: without the lock,
   and with nothing to undo. */
static void wait_as(int type, int64_t deadline) {
  uint32_t seen = changes;
  int saved = errno, before;
  seer_assert(seer_lock_is_held());
  awaited = true;
  seer_unlock();
  pthread_setcanceltype(type, &before);
  sleep_on_changes(seen, deadline);
  pthread_setcanceltype(before, NULL);
  seer_lock();
  errno = saved;
}

void seer_wait(int64_t deadline) {
  wait_as(PTHREAD_CANCEL_DEFERRED, deadline);
}

void seer_wait_cancellable(int64_t deadline) {
  wait_as(PTHREAD_CANCEL_ASYNCHRONOUS, deadline);
}

void seer_wake(void) {
  seer_assert(seer_lock_is_held());
  if (!awaited)
    return;
  awaited = false;
  changes++;
  syscall(SYS_futex, &changes, FUTEX_WAKE_PRIVATE, INT_MAX);
}

bool seer_lock_renew(void) {
  bool was_free = pthread_mutex_trylock(&lock) == 0;
  if (was_free)
    pthread_mutex_unlock(&lock);
  else
    lock = fresh;
  return was_free;
}

bool seer_thread_atfork(void (*prepare)(void), void (*parent)(void),
                        void (*child)(void)) {
  return pthread_atfork(prepare, parent, child) == 0;
}

seer_thread_id seer_thread_self(void) {
  return (seer_thread_id)pthread_self();
}

static void *run_thread(void *argument) {
  void (*run)(void);
  *(void **)&run = argument; /* POSIX lets a function hide in a void * */
  run();
  return NULL;
}

/* Every signal but those that a thread raises in itself by what it does: the
   host's handlers of crashes, traps and forbidden system calls want to see
   them, and a blocked one ends the process. */
static void all_signals(sigset_t *set) {
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  sigfillset(set);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    sigdelset(set, own[i]);
}

bool seer_thread_start(void (*run)(void)) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t blocked, before;
  bool started;
  if (pthread_attr_init(&attributes) != 0)
    return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  all_signals(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  started =
      pthread_create(&thread, &attributes, run_thread, *(void **)&run) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return started;
}

void seer_signals_block(seer_signals *signals) {
  sigset_t blocked;
  all_signals(&blocked);
  pthread_sigmask(SIG_BLOCK, &blocked, &signals->before);
}

void seer_signals_restore(const seer_signals *signals) {
  pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
}

void seer_pipe_block(seer_signals *signals) {
  sigset_t pipe_signal, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &signals->cancel_state);
  sigpending(&pending);
  signals->pipe_pending = sigismember(&pending, SIGPIPE) != 0;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &signals->before);
}

void seer_pipe_restore(const seer_signals *signals) {
  struct timespec no_time = {0, 0};
  sigset_t pipe_signal;
  int saved = errno;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  if (!signals->pipe_pending)
    sigtimedwait(&pipe_signal, NULL, &no_time);
  pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
  pthread_setcancelstate(signals->cancel_state, NULL);
  errno = saved;
}

int seer_fd_raise(int fd) {
  int raised = fd;
  if (fd >= 0 && fd <= STDERR_FILENO) {
    raised = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
  }
  return raised;
}

void seer_fds_hold(int held[3]) {
  for (int i = 0; i < 3; i++) {
    held[i] = open("/", O_PATH | O_CLOEXEC);
    if (held[i] > 2) {
      close(held[i]);
      held[i] = -1;
    }
    if (held[i] < 0)
      break;
  }
}

void seer_fds_release(const int held[3]) {
  for (int i = 0; i < 3 && held[i] >= 0; i++)
    close(held[i]);
}

int seer_alarm_open(void) {
  return seer_fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void seer_alarm_ring(int alarm) {
  uint64_t one = 1;
  int saved = errno; /* the host's errno is its own */
  if (alarm >= 0 && write(alarm, &one, sizeof one) < 0)
    errno = saved; /* the counter is full: it rings already */
}

void seer_alarm_clear(int alarm) {
  uint64_t count;
  if (read(alarm, &count, sizeof count) < 0)
    return; /* it did not ring */
}

void seer_pause(void) {
  struct timespec pause = {0, PAUSE * 1000000L};
  nanosleep(&pause, NULL);
}

bool seer_alarm_wait(int alarm, int timeout) {
  struct pollfd waited = {alarm, POLLIN, 0};
  int ready = poll(&waited, 1, timeout);
  if (ready < 0 && errno != EINTR)
    seer_pause();
  return ready == 1;
}

static bool is_network_socket(int fd) {
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
    return false;
  return address.ss_family != AF_UNIX; /* a log daemon's is welcome */
}

void seer_write_quietly(int fd, const char *bytes, size_t length) {
  struct pollfd writable = {fd, POLLOUT, 0};
  seer_signals before;
  int saved = errno;
  if (poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT) &&
      !is_network_socket(fd)) {
    seer_pipe_block(&before);
    if (write(fd, bytes, length) < 0)
      errno = saved; /* nobody is there to read it */
    seer_pipe_restore(&before);
  }
  errno = saved;
}
