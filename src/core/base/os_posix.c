#include "os.h"

#ifndef _WIN32
#include "clock.h"
#include "thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif
#if defined(__linux__) || defined(__APPLE__)
#include <sys/random.h>
#endif
#pragma GCC visibility push(hidden)

#if defined(__linux__) && !defined(SEER_PORTABLE)

/* The time namespace that the system began with. */
#define FIRST_CLOCK UINT64_C(0xeffffffa)

bool seer_os_random(void *bytes, size_t size) {
  return getrandom(bytes, size, GRND_NONBLOCK) == (ssize_t)size;
}

/* What the system takes is made of longs: a timespec is larger where a time of
   32 bits is not. */
void seer_os_wait(uint32_t *word, uint32_t seen, int64_t deadline) {
  long time[] = {(long)(deadline / 1000), (long)(deadline % 1000) * 1000000};
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen,
          deadline == SEER_NEVER ? NULL : time, NULL, FUTEX_BITSET_MATCH_ANY);
}

void seer_os_wake(uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

static void take_signal(const sigset_t *set) {
  struct timespec no_time = {0, 0};
  sigtimedwait(set, NULL, &no_time);
}

int seer_fd_open(void) {
  return open("/", O_PATH | O_CLOEXEC);
}

int seer_os_socket(int family, int type, int protocol) {
  int kind = type | SOCK_NONBLOCK | SOCK_CLOEXEC;
  return seer_fd_raise(socket(family, kind, protocol));
}

int seer_alarm_open(void) {
  return seer_fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static bool has_unsent(int fd) {
  int unsent = 0;
  return ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0;
}

static bool is_going(const struct shmid_ds *segment) {
  return (segment->shm_perm.mode & SHM_DEST) != 0;
}

int seer_os_segment_next(int *place) {
  struct shm_info all;
  struct shmid_ds segment;
  int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&all), id = -1;
  while (id < 0 && *place <= last)
    id = shmctl((*place)++, SHM_STAT, &segment);
  return id;
}

/* Half of those that the system may have are for other programs. */
static bool has_room(void) {
  struct shm_info all;
  struct shminfo most;
  return shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&all) >= 0 &&
         shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&most) >= 0 &&
         (unsigned long)all.used_ids < most.shmmni / 2;
}

uint64_t seer_os_clock(void) {
  struct stat found;
  if (stat("/proc/self/ns/time", &found) != 0 ||
      (uint64_t)found.st_ino == FIRST_CLOCK)
    return 0;
  return (uint64_t)found.st_ino;
}

#else

#include "os_loopback.h"

#define SLICE 5 /* ms */

bool seer_os_random(void *bytes, size_t size) {
  return getentropy(bytes, size) == 0;
}

/* Condition variables keep count of their waiters, and so does whatever else
   POSIX has to be woken by. To poll is a point of cancellation, which this is
   not to be. */
void seer_os_wait(uint32_t *word, uint32_t seen, int64_t deadline) {
  int64_t left = deadline - seer_clock_now();
  int state;
  if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != seen || left <= 0)
    return;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  poll(NULL, 0, left < SLICE ? (int)left : SLICE);
  pthread_setcancelstate(state, NULL);
}

/* They look by themselves. */
void seer_os_wake(uint32_t *word) {
  (void)word;
}

static void take_signal(const sigset_t *set) {
  sigset_t pending;
  int number;
  sigpending(&pending);
  if (sigismember(&pending, SIGPIPE) == 1)
    sigwait(set, &number);
}

int seer_fd_open(void) {
  return open("/", O_RDONLY | O_CLOEXEC);
}

int seer_os_socket(int family, int type, int protocol) {
  int fd = seer_fd_raise(socket(family, type, protocol));
  if (fd >= 0) {
    seer_fd_close_on_exec(fd);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  return fd;
}

int seer_alarm_open(void) {
  return open_loopback();
}

static bool has_unsent(int fd) {
  int unsent = 0;
#ifdef SO_NWRITE
  socklen_t length = sizeof unsent;
  if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &unsent, &length) != 0)
    return false;
#else
  (void)fd;
#endif
  return unsent > 0;
}

static bool is_going(const struct shmid_ds *segment) {
  (void)segment;
  return false;
}

int seer_os_segment_next(int *place) {
  (void)place;
  return -1;
}

static bool has_room(void) {
  return true;
}

uint64_t seer_os_clock(void) {
  return 0;
}

#endif

FILE *seer_os_open(const char *path) {
  return fopen(path, "rbe");
}

bool seer_os_at_fork(void (*prepare)(void), void (*parent)(void),
                     void (*child)(void)) {
  return pthread_atfork(prepare, parent, child) == 0;
}

bool seer_os_at_exit(void (*handler)(void)) {
  return atexit(handler) == 0;
}

bool seer_os_is_torn_down(void) {
  return false;
}

void seer_os_pin(const void *address) {
  Dl_info info;
  if (dladdr(address, &info) != 0)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

void *seer_os_symbol(const char *name) {
  return dlsym(RTLD_DEFAULT, name);
}

/*
** Signals.
*/

/* Every signal but those that a thread raises in itself by what it does: the
   host's handlers of crashes, traps and forbidden system calls want to see
   them, and a blocked one ends the process. */
static void all_signals(sigset_t *set) {
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  sigfillset(set);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    sigdelset(set, own[i]);
}

void seer_signals_inherit(seer_signals *signals) {
  sigset_t blocked;
  all_signals(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &signals->before);
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
  sigset_t pipe_signal;
  int saved = errno;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  if (!signals->pipe_pending)
    take_signal(&pipe_signal);
  pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
  pthread_setcancelstate(signals->cancel_state, NULL);
  errno = saved;
}

/*
** Memory that processes share.
*/

/* Where one piece was, another may be, for another thread: the system orders
   the two, which ThreadSanitizer does not see of segments. */
static unsigned given_up;

void *seer_os_memory_new(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED ? memory : NULL;
}

void seer_os_memory_free(void *memory, size_t size) {
  __atomic_fetch_add(&given_up, 1, __ATOMIC_RELEASE);
  if (shmdt(memory) != 0)
    munmap(memory, size);
}

int seer_os_segment_open(int key, size_t size, bool make) {
  if (make && !has_room()) {
    errno = ENOSPC;
    return -1;
  }
  return shmget(key, size, 0600 | (make ? IPC_CREAT : 0));
}

void *seer_os_segment_attach(int id, bool to_write) {
  void *memory = shmat(id, NULL, to_write ? 0 : SHM_RDONLY);
  __atomic_load_n(&given_up, __ATOMIC_ACQUIRE);
  return memory != (void *)-1 ? memory : NULL; /* NOLINT: so POSIX has it */
}

bool seer_os_segment_is_mine(int id, size_t size, uint64_t *attached) {
  struct shmid_ds segment;
  if (shmctl(id, IPC_STAT, &segment) != 0)
    return false;
  *attached = (uint64_t)segment.shm_nattch;
  return segment.shm_perm.uid == geteuid() &&
         segment.shm_perm.cuid == geteuid() &&
         (segment.shm_perm.mode & 0777) == 0600 && segment.shm_segsz == size &&
         !is_going(&segment);
}

void seer_os_segment_remove(int id) {
  shmctl(id, IPC_RMID, NULL);
}

uint64_t seer_os_user(void) {
  return geteuid();
}

/*
** Descriptors.
*/

int seer_fd_raise(int fd) {
  int raised = fd;
  if (fd >= 0 && fd <= STDERR_FILENO) {
    raised = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
  }
  return raised;
}

int seer_os_sockets_most(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_cur / 4 > SEER_OS_SOCKETS)
    return SEER_OS_SOCKETS;
  return limit.rlim_cur < 8 ? 2 : (int)(limit.rlim_cur / 4);
}

void seer_fds_hold(int held[3]) {
  for (int i = 0; i < 3; i++) {
    held[i] = seer_fd_open();
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

int seer_fd_close(int fd) {
  return close(fd);
}

void seer_fd_close_on_exec(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static bool is_network_socket(int fd) {
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
    return false;
  return address.ss_family != AF_UNIX; /* a log daemon's is welcome */
}

void seer_os_complain(const char *bytes, size_t length) {
  struct pollfd writable = {STDERR_FILENO, POLLOUT, 0};
  seer_signals before;
  int saved = errno;
  if (poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT) &&
      !is_network_socket(STDERR_FILENO)) {
    seer_pipe_block(&before);
    if (write(STDERR_FILENO, bytes, length) < 0)
      errno = saved; /* nobody is there to read it */
    seer_pipe_restore(&before);
  }
  errno = saved;
}

bool seer_os_has_input(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
         (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool seer_os_is_busy(int fd) {
  struct pollfd readable = {fd, POLLIN, 0};
  return (poll(&readable, 1, 0) == 1 && readable.revents == POLLIN) ||
         has_unsent(fd);
}

void seer_alarm_ring(int alarm) {
  uint64_t one = 1;
  int saved = errno; /* the host's errno is its own */
  if (alarm >= 0 && write(alarm, &one, sizeof one) < 0)
    errno = saved; /* it is full: it rings already */
}

void seer_alarm_clear(int alarm) {
  uint64_t count;
  if (read(alarm, &count, sizeof count) < 0)
    return; /* it did not ring */
}

bool seer_alarm_wait(int alarm, int timeout) {
  struct pollfd waited = {alarm, POLLIN, 0};
  int ready = poll(&waited, 1, timeout);
  if (ready < 0 && errno != EINTR)
    seer_pause();
  return ready == 1;
}

#endif
