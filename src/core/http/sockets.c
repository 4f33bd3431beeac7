#include "core/http/sockets.h"

#include "core/base/clock.h"
#include "core/base/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

/*
** libcurl's own descriptors. It makes a pair of sockets to be woken by, which
** old versions leave open for programs that are started.
*/

/* The two descriptors that will be given out next. */
static void foresee(int next[2]) {
  next[0] = open("/", O_PATH | O_CLOEXEC);
  next[1] = open("/", O_PATH | O_CLOEXEC);
  for (int i = 0; i < 2; i++)
    if (next[i] >= 0)
      close(next[i]);
}

/* Whether something is on its way into or out of an end of the pair. */
static bool is_busy(int fd) {
  struct pollfd readable = {fd, POLLIN, 0};
  int sent = 0;
  return (poll(&readable, 1, 0) == 1 && readable.revents == POLLIN) ||
         (ioctl(fd, SIOCOUTQ, &sent) == 0 && sent > 0);
}

/* Another thread of the host's may have been given one of the two: those are
   libcurl's own over which it wakes itself. */
static void secure_pair(seer_sockets *sockets, CURLM *multi,
                        const int pair[2]) {
  bool before[2] = {is_busy(pair[0]), is_busy(pair[1])};
  curl_multi_wakeup(multi);
  for (int i = 0; i < 2; i++) {
    sockets->pair[i] = !before[i] && is_busy(pair[i]) ? pair[i] : -1;
    if (sockets->pair[i] >= 0)
      fcntl(pair[i], F_SETFD, FD_CLOEXEC);
  }
  curl_multi_poll(multi, NULL, 0, 0, NULL);
}

CURLM *seer_sockets_new_multi(seer_sockets *sockets) {
  int held[3] = {-1, -1, -1}, pair[2];
  CURLM *multi;
  seer_fds_hold(held);
  foresee(pair);
  multi = curl_multi_init();
  seer_fds_release(held);
  if (multi != NULL)
    secure_pair(sockets, multi, pair);
  return multi;
}

static bool remember(seer_sockets *sockets, int fd) {
  if (sockets->count == sockets->room) {
    size_t room = sockets->room * 2 + 16;
    seer_socket *open = realloc(sockets->open, room * sizeof *open);
    if (open == NULL)
      return false;
    sockets->open = open;
    sockets->room = room;
  }
  sockets->open[sockets->count++] =
      (seer_socket){.fd = fd, .alive_at = seer_clock_boot()};
  return true;
}

/* libcurl, too, makes it one that does not block, but does not look whether
   that has failed. */
curl_socket_t seer_sockets_open(seer_sockets *sockets,
                                const struct curl_sockaddr *address) {
  int kind = address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
  int fd = seer_fd_raise(socket(address->family, kind, address->protocol));
  if (fd < 0)
    return CURL_SOCKET_BAD;
  if (remember(sockets, fd))
    return fd;
  close(fd);
  errno = ENOMEM;
  return CURL_SOCKET_BAD;
}

int seer_sockets_close(void *data, curl_socket_t fd) {
  seer_sockets *sockets = data;
  seer_socket *opened = seer_sockets_get(sockets, fd);
  if (opened != NULL)
    *opened = sockets->open[--sockets->count];
  return close(fd);
}

/* An end of a connection, as getsockname and getpeername tell it. */
typedef union end {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} end;

static int port_of(const end *e) {
  return ntohs(e->any.sa_family == AF_INET6 ? e->v6.sin6_port
                                            : e->v4.sin_port);
}

/* While it is connected: of one that has been reset nothing is known. */
static void identify(seer_socket *opened) {
  end own = {.any.sa_family = AF_UNSPEC}, peer = own;
  socklen_t length = sizeof own, size = sizeof peer;
  const void *address = &peer.v4.sin_addr;
  if (getsockname(opened->fd, &own.any, &length) != 0 ||
      getpeername(opened->fd, &peer.any, &size) != 0)
    return;
  if (peer.any.sa_family == AF_INET6)
    address = &peer.v6.sin6_addr;
  if (inet_ntop(peer.any.sa_family, address, opened->peer,
                sizeof opened->peer) == NULL)
    return;
  opened->local_port = port_of(&own);
  opened->peer_port = port_of(&peer);
}

seer_socket *seer_sockets_find(seer_sockets *sockets, int local_port,
                               const char *peer, int peer_port) {
  for (size_t i = 0; i < sockets->count && local_port > 0; i++) {
    seer_socket *opened = &sockets->open[i];
    if (opened->local_port == 0)
      identify(opened);
    if (opened->local_port == local_port && opened->peer_port == peer_port &&
        strcmp(opened->peer, peer) == 0)
      return opened;
  }
  return NULL;
}

seer_socket *seer_sockets_get(seer_sockets *sockets, int fd) {
  for (size_t i = 0; i < sockets->count; i++)
    if (sockets->open[i].fd == fd)
      return &sockets->open[i];
  return NULL;
}

bool seer_socket_has_input(const seer_socket *opened) {
  char byte;
  return recv(opened->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
         (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool seer_sockets_exhausted(void) {
  int fd = open("/", O_PATH | O_CLOEXEC);
  if (fd < 0)
    return errno == EMFILE || errno == ENFILE;
  close(fd);
  return false;
}

void seer_sockets_abandon(seer_sockets *sockets) {
  for (size_t i = 0; i < sockets->count; i++)
    close(sockets->open[i].fd);
  for (int i = 0; i < 2; i++)
    if (sockets->pair[i] >= 0)
      close(sockets->pair[i]);
  sockets->count = 0;
}

void seer_sockets_clear(seer_sockets *sockets) {
  free(sockets->open);
}
