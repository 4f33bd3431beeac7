/*
 * Makes each send() take two milliseconds more, so that a fork is likely to
 * come in the middle of one, and tells whether some thread is in it.
 */

#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile int sending;

__attribute__((visibility("default"))) int seer_spec_sending(void);

int seer_spec_sending(void) {
  return sending;
}

__attribute__((visibility("default"))) ssize_t send(int fd, const void *bytes,
                                                    size_t length, int flags) {
  static ssize_t (*real)(int, const void *, size_t, int);
  ssize_t sent;
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "send");
  sending = 1;
  usleep(2000);
  sent = real(fd, bytes, length, flags);
  sending = 0;
  return sent;
}
