#include "core/http/sockets.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool remember(seer_sockets *sockets, int fd) {
  if (sockets->count == sockets->room) {
    size_t room = sockets->room * 2 + 16;
    int *open = realloc(sockets->open, room * sizeof *open);
    if (open == NULL)
      return false;
    sockets->open = open;
    sockets->room = room;
  }
  sockets->open[sockets->count++] = fd;
  return true;
}

/* libcurl, too, makes it one that does not block, but does not look whether
   that has failed. */
curl_socket_t seer_sockets_open(void *data, curlsocktype purpose,
                                struct curl_sockaddr *address) {
  int kind = address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
  int fd = socket(address->family, kind, address->protocol);
  (void)purpose;
  if (fd < 0)
    return CURL_SOCKET_BAD;
  if (remember(data, fd))
    return fd;
  close(fd);
  return CURL_SOCKET_BAD;
}

int seer_sockets_close(void *data, curl_socket_t fd) {
  seer_sockets *sockets = data;
  for (size_t i = 0; i < sockets->count; i++) {
    if (sockets->open[i] == fd) {
      sockets->open[i] = sockets->open[--sockets->count];
      break;
    }
  }
  return close(fd);
}

void seer_sockets_abandon(seer_sockets *sockets) {
  for (size_t i = 0; i < sockets->count; i++)
    close(sockets->open[i]);
  sockets->count = 0;
}

void seer_sockets_clear(seer_sockets *sockets) {
  free(sockets->open);
}
