/* All connections over IPv4 have the same port on our end: to be preloaded.
   The system does so by itself where ports are scarce, if their other ends
   differ. SEER_PORT is the port. */

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

typedef int connecting(int, const struct sockaddr *, socklen_t);

static void bind_to(int fd, int port) {
  struct sockaddr_in own = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0)
    abort();
}

/* Declared otherwise in the C library's header. */
__attribute__((visibility("default"))) int
connect_from(int fd, const struct sockaddr *to,
             socklen_t length) __asm__("connect");

int connect_from(int fd, const struct sockaddr *to, socklen_t length) {
  connecting *next;
  *(void **)&next = dlsym(RTLD_NEXT, "connect");
  if (next == NULL)
    abort();
  if (to->sa_family == AF_INET)
    bind_to(fd, atoi(getenv("SEER_PORT")));
  return next(fd, to, length);
}
