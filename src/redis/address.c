#include "address.h"

#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define REDIS_PORT 6379
#define URL_MOST 2048

static const char expected[] =
    "a URL such as redis://:password@host:6379/0 or unix:///path/of/socket";

static int digit_of(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies a part of a URL, of which %41 is an A. */
static bool decode(char *to, size_t room, const char *from, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) {
    char c = from[i];
    if (c == '%') {
      int high = i + 2 < length ? digit_of(from[i + 1]) : -1;
      int low = high >= 0 ? digit_of(from[i + 2]) : -1;
      if (low < 0)
        return false;
      c = (char)(16 * high + low);
      i += 2;
    }
    if (c == '\0' || count + 1 >= room)
      return false;
    to[count++] = c;
  }
  to[count] = '\0';
  return true;
}

static bool read_number(const char *text, int32_t most, int32_t *number) {
  char *end;
  long value;
  if (*text < '0' || *text > '9')
    return false;
  value = strtol(text, &end, 10);
  *number = (int32_t)value;
  return *end == '\0' && value <= most;
}

/* user:password */
static bool read_login(seer_address *address, const char *login,
                       size_t length) {
  const char *colon = memchr(login, ':', length);
  size_t user = colon != NULL ? (size_t)(colon - login) : length;
  return colon != NULL &&
         decode(address->user, sizeof address->user, login, user) &&
         decode(address->password, sizeof address->password, colon + 1,
                length - user - 1) &&
         address->password[0] != '\0';
}

/* host[:port][/database], or [address of IPv6] in the place of a host */
static bool read_host(seer_address *address, char *text) {
  char *slash = strchr(text, '/'), *port, *host = text;
  if (slash != NULL) {
    *slash = '\0';
    if (slash[1] != '\0' &&
        !read_number(slash + 1, 1 << 20, &address->database))
      return false;
  }
  if (*text == '[') {
    port = strchr(text, ']');
    if (port == NULL)
      return false;
    *port++ = '\0';
    host++;
  } else {
    port = strchr(text, ':');
  }
  address->port = REDIS_PORT;
  if (port != NULL && *port != '\0') {
    bool ok = *port == ':' && read_number(port + 1, 65535, &address->port) &&
              address->port > 0;
    if (!ok)
      return false;
    *port = '\0';
  }
  return *host != '\0' &&
         decode(address->host, sizeof address->host, host, strlen(host));
}

/* /path[?db=database]; a socket's name has 107 bytes at most */
static bool read_path(seer_address *address, char *text) {
  char *query = strchr(text, '?');
  if (query != NULL) {
    *query++ = '\0';
    if (strncmp(query, "db=", 3) != 0 ||
        !read_number(query + 3, 1 << 20, &address->database))
      return false;
  }
  return *text == '/' && decode(address->host, 108, text, strlen(text));
}

const char *seer_address_read(seer_address *address, const char *url,
                              size_t length) {
  char text[URL_MOST + 1], *rest, *at;
  bool path, tls, ok;
  if (length > URL_MOST || strlen(url) != length)
    return expected;
  memcpy(text, url, length + 1);
  tls = strncmp(text, "rediss://", 9) == 0;
  path = strncmp(text, "unix://", 7) == 0;
  if (!path && !tls && strncmp(text, "redis://", 8) != 0)
    return expected;
  if (tls && seer_tls_missing != NULL)
    return seer_tls_missing;
  address->tls = tls;
  rest = strstr(text, "://") + 3;
  at = strrchr(rest, '@');
  if (at != NULL && !read_login(address, rest, (size_t)(at - rest)))
    return expected;
  if (at != NULL)
    rest = at + 1;
  ok = path ? read_path(address, rest) : read_host(address, rest);
  return ok ? NULL : expected;
}

void seer_address_describe(const seer_address *address,
                           seer_address_name name) {
  if (address->port == 0)
    snprintf(name, sizeof(seer_address_name), "%s", address->host);
  else
    snprintf(name, sizeof(seer_address_name), "%s:%d", address->host,
             (int)address->port);
}

static void overwrite(const char *secret, char *text) {
  size_t length = strlen(secret);
  if (length == 0)
    return;
  while ((text = strstr(text, secret)) != NULL) {
    memset(text, '*', length);
    text += length;
  }
}

void seer_address_mask(const seer_address *address, char *text) {
  overwrite(address->password, text);
  overwrite(address->user, text);
}
