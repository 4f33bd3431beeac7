#pragma once

/*
 * What systems have each in a way of its own, or not at all. The rest of the
 * sources asks for what POSIX and C have, and for no system's name.
 *
 * os_posix.c has Linux's own means, and what there is for macOS and the BSDs;
 * built with SEER_PORTABLE it takes the latter on Linux too, for tests.
 * os_windows.c is Windows's.
 *
 * A descriptor here is what can be polled there: a file's, or on Windows a
 * socket's alone, whose handles fit in an int.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef _WIN32
#include <ws2tcpip.h>
void *memmem(const void *text, size_t length, const void *part, size_t size);
char *strndup(const char *text, size_t most);
#else
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#endif

/* The clocks that count a suspend, too, and that cost little. */
#ifdef __linux__
#define SEER_OS_BOOT CLOCK_BOOTTIME
#define SEER_OS_COARSE CLOCK_MONOTONIC_COARSE
#else
#define SEER_OS_BOOT CLOCK_MONOTONIC
#define SEER_OS_COARSE CLOCK_MONOTONIC
#endif

/* Fills up to 256 bytes at random; false if the system has none to give. */
bool seer_os_random(void *bytes, size_t size);

/* Waits while `*word` is `seen`, until `deadline` (monotonic ms, or
   SEER_NEVER). May return early. Whoever is interrupted or cancelled here, and
   never comes back, leaves nothing that others wait for. */
void seer_os_wait(uint32_t *word, uint32_t seen, int64_t deadline);

/* Wakes who waits, after `*word` has changed. */
void seer_os_wake(uint32_t *word);

/* Some clocks for whoever has to try again at once. */
static inline void seer_os_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Opens a file to read it, which no exec keeps; the path is in UTF-8 where the
   system does not leave that open. NULL with errno. */
FILE *seer_os_open(const char *path);

/*
** The process.
*/

/* Registers handlers of fork, where there is fork; false if refused. */
bool seer_os_at_fork(void (*prepare)(void), void (*parent)(void),
                     void (*child)(void));

/* Has `handler` called when the host's program ends by exit or by the end of
   main, while its threads are alive; false if refused. */
bool seer_os_at_exit(void (*handler)(void));

/* Whether the handler is called so late that there are no other threads. */
bool seer_os_is_torn_down(void);

/* Keeps the shared object mapped for good in which `address` is. */
void seer_os_pin(const void *address);

/* Something that the host's program exports, or NULL. */
void *seer_os_symbol(const char *name);

/* Signals on the caller's thread: held back, all of them but those that it
   raises in itself, or SIGPIPE alone and with it that the thread is cancelled;
   and as before again. A SIGPIPE that came meanwhile is not for the host. */
#ifdef _WIN32
typedef int seer_signals; /* there are none */
#else
typedef struct seer_signals {
  sigset_t before;
  bool pipe_pending;
  int cancel_state;
} seer_signals;
#endif

void seer_signals_block(seer_signals *signals);

/* The same, and those are not held back: for a thread that is to be started,
   which takes it over. */
void seer_signals_inherit(seer_signals *signals);
void seer_signals_restore(const seer_signals *signals);
void seer_pipe_block(seer_signals *signals);
void seer_pipe_restore(const seer_signals *signals);

/*
** Memory that processes share.
*/

/* Memory that is zero, and the same in the children of a fork; NULL if the
   system has none. A segment is given up by `free`, too. */
void *seer_os_memory_new(size_t size);
void seer_os_memory_free(void *memory, size_t size);

/* A segment that processes find by its key, made if there is none and `make`
   is set: its number, or -1 with errno, which is ENOSPC where there should be
   no more. */
int seer_os_segment_open(int key, size_t size, bool make);

/* NULL with errno. */
void *seer_os_segment_attach(int id, bool to_write);

/* Whether it is this user's alone, of this size, and stays; how many have it
   attached. */
bool seer_os_segment_is_mine(int id, size_t size, uint64_t *attached);
void seer_os_segment_remove(int id);

/* The number of the next segment of the system's list from a place on, which
   moves on; -1 if there is none, or nobody can look. The first place is 0. */
int seer_os_segment_next(int *place);

/* Whose the process is, and which monotonic clock it has: 0 for the system's
   only or first one. */
uint64_t seer_os_user(void);
uint64_t seer_os_clock(void);

/*
** Descriptors.
*/

/* Moves a descriptor that is one of a standard stream's, which the host has
   closed: what it prints must not go there. Returns the new one, which exec
   closes; negative stays negative, with errno. */
int seer_fd_raise(int fd);

/* Takes the descriptors of standard streams that are closed, so that others'
   code opens none there, until they are given back. Reading and writing them
   fails as before. */
void seer_fds_hold(int held[3]);
void seer_fds_release(const int held[3]);

/* A descriptor of no use; or -1, with errno if there is none to be had. */
int seer_fd_open(void);
int seer_fd_close(int fd);
void seer_fd_close_on_exec(int fd);

/* Writes to the standard error, which may be a broken pipe, without a SIGPIPE
   for the host, and without waiting where the reader is stuck. */
void seer_os_complain(const char *bytes, size_t length);

/* How many sockets we may have, at least 2: a quarter of the descriptors that
   the program may have, for these are its own before they are ours; and not so
   many that to look at each in every turn would be a burden. */
#define SEER_OS_SOCKETS 4096
int seer_os_sockets_most(void);

/* As socket(); above the standard streams', it does not block, and exec
   closes it. */
int seer_os_socket(int family, int type, int protocol);

/* Whether there is something to be read, or the other end has closed. */
bool seer_os_has_input(int fd);

/* Whether something is on its way into or out of a socket; false where the
   system cannot tell. */
bool seer_os_is_busy(int fd);

/* An alarm wakes a thread that polls its descriptor. -1 without one: ringing
   that does nothing. */
int seer_alarm_open(void);
void seer_alarm_ring(int alarm);
void seer_alarm_clear(int alarm);

/* Polls the alarm alone, up to `timeout` ms (-1: for ever); true if it
   rang. Pauses when the system refuses to poll. */
bool seer_alarm_wait(int alarm, int timeout);
