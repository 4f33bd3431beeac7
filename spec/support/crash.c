/*
 * A host whose sender crashes: to be preloaded. The first connect() on a
 * thread other than the first ends in SIGSEGV, and its handler does what
 * SEER_CRASH says before the process ends by it: "fork", as to run a debugger,
 * or "exit".
 */

#undef _GNU_SOURCE /* for which glibc gives connect() a type of its own */
#define _DEFAULT_SOURCE

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_crash(int number) {
  pid_t child;
  if (strcmp(getenv("SEER_CRASH"), "exit") == 0)
    exit(9);
  child = fork();
  if (child == 0)
    _exit(0);
  waitpid(child, NULL, 0);
  signal(number, SIG_DFL);
  raise(number);
}

__attribute__((visibility("default"))) int
connect(int fd, const struct sockaddr *address, socklen_t length) {
  if (syscall(SYS_gettid) != getpid() && getenv("SEER_CRASH") != NULL) {
    signal(SIGSEGV, on_crash);
    raise(SIGSEGV);
  }
  return (int)syscall(SYS_connect, fd, address, length);
}
