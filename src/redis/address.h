#pragma once

/*
 * Where a Redis is, and how to log in there, from a URL:
 *
 *   redis://[[user]:password@]host[:port][/database]; rediss:// over TLS
 *   unix://[[user]:password@]/path/of/socket[?db=database]
 *
 * User and password are secrets: no message names them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct seer_address {
  char host[256]; /* a name or an address; of a socket the path */
  int32_t port;   /* 0: a socket's */
  bool tls;
  int32_t database;
  char user[128], password[512]; /* "": none */
} seer_address;

/* Reads a URL of so many bytes into `address`, which is all zeros. The result
   says what is expected instead, NULL if it is well. */
const char *seer_address_read(seer_address *address, const char *url,
                              size_t length);

/* "host:port" or a path, for people. */
typedef char seer_address_name[280];
void seer_address_describe(const seer_address *address,
                           seer_address_name name);

/* Overwrites user and password in what somebody else has written. */
void seer_address_mask(const seer_address *address, char *text);
