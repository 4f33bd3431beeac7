#include "thread.h"

#include "assert.h"
#include "os.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define LOCK_TIMEOUT 10 /* s for the lock at the end of the process... */
#define COPY_TIMEOUT 1  /* ...and in a child without handlers of fork */
#define PAUSE 10        /* ms */
#define TRIES 20        /* to take the lock, before it is slept for... */
#define APART 8         /* ...and moments between them */

/* Both know who holds them. For such a lock musl has no initializer; to make
   one cannot fail. */
static pthread_mutex_t lock, fresh;
static pid_t process; /* whose they are */

__attribute__((constructor)) static void make_locks(void) {
  process = getpid();
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

bool seer_lock_at_once(void) {
  return pthread_mutex_trylock(&lock) == 0;
}

/* Whoever has the lock gives it up soon: to sleep and to be woken would take
   longer. */
static bool lock_by_trying(void) {
  for (int i = 0; i < TRIES; i++) {
    for (int j = 0; j < APART; j++)
      seer_os_relax();
    if (seer_lock_at_once())
      return true;
  }
  return false;
}

/* Where a lock has no limit, as long as it takes. */
static int lock_within(int seconds) {
#if _POSIX_TIMEOUTS > 0
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time); /* for no other is in POSIX here */
  time.tv_sec += seconds;
  return pthread_mutex_timedlock(&lock, &time);
#else
  (void)seconds;
  return pthread_mutex_lock(&lock);
#endif
}

void seer_lock_own(void) {
  process = getpid();
}

bool seer_lock_is_copy(void) {
  return getpid() != process;
}

void seer_lock(void) {
  int error = 0;
  if (seer_lock_at_once() || lock_by_trying())
    return;
  if (seer_lock_is_copy()) { /* whoever had it may not be there */
    if (lock_within(COPY_TIMEOUT) == 0)
      return;
    seer_lock_renew();
  }
  error = pthread_mutex_lock(&lock);
  (void)error;
  seer_assert(error == 0); /* EDEADLK: who gives it back does so twice */
}

bool seer_lock_unless_held(void) {
  return pthread_mutex_lock(&lock) == 0; /* or EDEADLK */
}

bool seer_lock_soon(void) {
  return lock_within(LOCK_TIMEOUT) == 0;
}

void seer_unlock(void) {
  int error = pthread_mutex_unlock(&lock);
  (void)error;
  seer_assert(error == 0);
}

#ifdef SEER_ASSERT
bool seer_lock_is_held(void) {
  if (pthread_mutex_lock(&lock) != 0)
    return true; /* EDEADLK */
  pthread_mutex_unlock(&lock);
  return false;
}
#endif

/* In a way of being cancelled that leaves no trace either: without the lock,
   and with nothing to undo. */
static void wait_as(int type, int64_t deadline) {
  uint32_t seen = changes;
  int saved = errno, before;
  seer_assert(seer_lock_is_held());
  awaited = true;
  seer_unlock();
  pthread_setcanceltype(type, &before);
  seer_os_wait(&changes, seen, deadline);
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
  seer_os_wake(&changes);
}

bool seer_lock_renew(void) {
  bool was_free = pthread_mutex_trylock(&lock) == 0;
  if (was_free)
    pthread_mutex_unlock(&lock);
  else
    lock = fresh;
  return was_free;
}

seer_thread_id seer_thread_self(void) {
  return (seer_thread_id)pthread_self();
}

bool seer_thread_start(void *(*run)(void *), void *argument) {
  pthread_attr_t attributes;
  pthread_t thread;
  seer_signals before;
  bool started;
  if (pthread_attr_init(&attributes) != 0)
    return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  seer_signals_inherit(&before);
  started = pthread_create(&thread, &attributes, run, argument) == 0;
  seer_signals_restore(&before);
  pthread_attr_destroy(&attributes);
  return started;
}

void seer_pause(void) {
  struct timespec pause = {0, PAUSE * 1000000L};
  nanosleep(&pause, NULL);
}
