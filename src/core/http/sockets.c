#include "core/http/sockets.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

/*
** libcurl's own descriptors. It makes a pair of sockets to be woken by, which
** old versions leave open for programs that are started.
*/

/* The two descriptors that will be given out next. */
static void foresee(int next[2]) {
  next[0] = seer_fd_open();
  next[1] = seer_fd_open();
  for (int i = 0; i < 2; i++)
    if (next[i] >= 0)
      seer_fd_close(next[i]);
}

/* Another thread of the host's may have been given one of the two: those are
   libcurl's own over which it wakes itself. */
static void secure_pair(seer_sockets *sockets, CURLM *multi,
                        const int pair[2]) {
  bool before[2] = {seer_os_is_busy(pair[0]), seer_os_is_busy(pair[1])};
  curl_multi_wakeup(multi);
  for (int i = 0; i < 2; i++) {
    sockets->pair[i] = !before[i] && seer_os_is_busy(pair[i]) ? pair[i] : -1;
    if (sockets->pair[i] >= 0)
      seer_fd_close_on_exec(pair[i]);
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
  int fd =
      seer_os_socket(address->family, address->socktype, address->protocol);
  if (fd < 0)
    return CURL_SOCKET_BAD;
  if (remember(sockets, fd))
    return fd;
  seer_fd_close(fd);
  errno = ENOMEM;
  return CURL_SOCKET_BAD;
}

int seer_sockets_close(void *data, curl_socket_t fd) {
  seer_sockets *sockets = data;
  seer_socket *opened = seer_sockets_get(sockets, (int)fd);
  if (opened != NULL)
    *opened = sockets->open[--sockets->count];
  return seer_fd_close((int)fd);
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

bool seer_sockets_exhausted(void) {
  int fd = seer_fd_open();
  if (fd < 0)
    return errno == EMFILE || errno == ENFILE;
  seer_fd_close(fd);
  return false;
}

void seer_sockets_abandon(seer_sockets *sockets) {
  for (size_t i = 0; i < sockets->count; i++)
    seer_fd_close(sockets->open[i].fd);
  for (int i = 0; i < 2; i++)
    if (sockets->pair[i] >= 0)
      seer_fd_close(sockets->pair[i]);
  sockets->count = 0;
}
