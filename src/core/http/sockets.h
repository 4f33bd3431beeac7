#pragma once

/*
 * Inside http: the sockets that libcurl has open, known by number, so that
 * the child of a fork can close what it has inherited, and by what has gone
 * over them, so that no request goes over one that may be dead or has an
 * answer of nobody waiting.
 */

#include "core/base/os.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct seer_socket {
  int fd;
  int local_port; /* 0: not connected yet */
  int peer_port;
  char peer[INET6_ADDRSTRLEN]; /* the other end's address, as text */
  bool used;                   /* a request has gone over it */
  bool in_turn;                /* one request at a time, as in HTTP/1 */
  int64_t alive_at; /* when it had last answered, as seer_clock_boot has it */
} seer_socket;

typedef struct seer_sockets {
  seer_socket *open; /* for free() */
  size_t count, room;
  int pair[2]; /* by which libcurl is woken; -1: not known */
} seer_sockets;

/* A multi handle whose own descriptors are above those of the standard
   streams, and are closed by exec; NULL without memory. */
CURLM *seer_sockets_new_multi(seer_sockets *sockets);

/* Opens a socket for libcurl, above the standard streams'. */
curl_socket_t seer_sockets_open(seer_sockets *sockets,
                                const struct curl_sockaddr *address);

/* For CURLOPT_CLOSESOCKETFUNCTION; `data` is the sockets. */
int seer_sockets_close(void *data, curl_socket_t fd);

/* The socket that is connected from this local port to that of a peer; NULL if
   there is none. The local port alone may be that of several. Valid until the
   next one is opened or closed. */
seer_socket *seer_sockets_find(seer_sockets *sockets, int local_port,
                               const char *peer, int peer_port);

/* The socket of this number, likewise. */
seer_socket *seer_sockets_get(seer_sockets *sockets, int fd);

/* Whether the system refuses another descriptor to this process. */
bool seer_sockets_exhausted(void);

/* Closes them all, with no word to the servers. */
void seer_sockets_abandon(seer_sockets *sockets);
