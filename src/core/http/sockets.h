#ifndef SEER_HTTP_SOCKETS_H
#define SEER_HTTP_SOCKETS_H

/*
 * Inside http: the sockets that libcurl has open, known by number, so that
 * the child of a fork can close what it has inherited.
 */

#include <curl/curl.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

typedef struct seer_sockets {
  int *open;
  size_t count, room;
} seer_sockets;

/* For CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION; `data` is
   the sockets. */
curl_socket_t seer_sockets_open(void *data, curlsocktype purpose,
                                struct curl_sockaddr *address);
int seer_sockets_close(void *data, curl_socket_t fd);

/* Closes them all, with no word to the servers. */
void seer_sockets_abandon(seer_sockets *sockets);

void seer_sockets_clear(seer_sockets *sockets);

#pragma GCC visibility pop

#endif
