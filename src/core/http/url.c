#include "core/http/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define PROXY_PORT "1080" /* libcurl's, where none is given */

/* libcurl takes "http:///name" for a host called so. */
static bool has_host(const char *text) {
  const char *slashes = strstr(text, "://");
  return slashes != NULL && slashes[3] != '/';
}

static const char *check_parts(CURLU *url, const char *text) {
  char *scheme = NULL;
  const char *fault = NULL;
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
    return "out of memory"; /* an URL that was accepted has one */
  if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
    fault = "an http or https URL expected";
  else if (strpbrk(text, "?#") != NULL)
    fault = "a base URL has no query or fragment";
  curl_free(scheme);
  return fault;
}

const char *seer_url_check_base(const char *text) {
  const char *fault;
  CURLU *url = curl_url();
  if (url == NULL)
    return "out of memory";
  switch (curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER)) {
  case CURLUE_OK:
    fault = has_host(text) ? check_parts(url, text) : "a host is missing";
    break;
  case CURLUE_USER_NOT_ALLOWED:
    fault = "user information is not allowed in it";
    break;
  case CURLUE_OUT_OF_MEMORY:
    fault = "out of memory";
    break;
  default:
    fault = "an http or https URL expected";
  }
  curl_url_cleanup(url);
  return fault;
}

static bool is_loopback_host(const char *host) {
  unsigned char address[4];
  if (inet_pton(AF_INET, host, address) == 1)
    return address[0] == 127;
  return strcasecmp(host, "localhost") == 0 ||
         strcasecmp(host, "localhost.") == 0 || strcmp(host, "[::1]") == 0;
}

bool seer_url_is_loopback(const char *text) {
  char *host = NULL;
  bool loopback = false;
  CURLU *url = curl_url();
  if (url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK)
    loopback = is_loopback_host(host);
  curl_free(host);
  curl_url_cleanup(url);
  return loopback;
}

static bool is_proxy_scheme(const char *scheme) {
  static const char *const schemes[] = {"http",    "https",  "socks4",
                                        "socks4a", "socks5", "socks5h"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
    if (strcmp(scheme, schemes[i]) == 0)
      return true;
  return false;
}

static const char *fault_of_scheme(CURLU *url) {
  char *scheme = NULL;
  bool known;
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
    return "out of memory";
  known = is_proxy_scheme(scheme);
  curl_free(scheme);
  return known ? NULL
               : "a proxy's scheme is http, https, socks4, socks4a, socks5 "
                 "or socks5h; libcurl guesses another of hosts called "
                 "'ftp.x' and the like, before which it has to stand";
}

/* As libcurl reads it: a port may be missing, and a scheme, which it guesses
   by the name of the host. */
const char *seer_url_check_proxy(const char *text) {
  const char *fault = NULL;
  CURLU *url = curl_url();
  if (url == NULL)
    return "out of memory";
  switch (curl_url_set(url, CURLUPART_URL, text, SEER_URL_OF_PROXY)) {
  case CURLUE_OK:
    fault = fault_of_scheme(url);
    break;
  case CURLUE_OUT_OF_MEMORY:
    fault = "out of memory";
    break;
  default:
    fault = "not the URL of a proxy";
  }
  curl_url_cleanup(url);
  return fault;
}

/*
** Looking a host up.
*/

/* Appends ",address" if there is room. */
static void append_address(char *entry, size_t size,
                           const struct addrinfo *found) {
  char address[NI_MAXHOST];
  size_t length = strlen(entry);
  const char *separator = entry[length - 1] == ':' ? "" : ",";
  const char *format =
      found->ai_family == AF_INET6 ? "%s[%s]" : "%s%s"; /* as in a URL */
  if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address,
                  NULL, 0, NI_NUMERICHOST) != 0 ||
      length + strlen(address) + 4 > size)
    return;
  snprintf(entry + length, size - length, format, separator, address);
}

/* Adds "host:port:address,address" to the list. */
static struct curl_slist *look_up(struct curl_slist *list, const char *host,
                                  const char *port) {
  struct addrinfo hints, *found = NULL;
  struct curl_slist *longer = NULL;
  char entry[1024];
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host, NULL, &hints, &found) != 0)
    return list;
  snprintf(entry, sizeof entry, "%s:%s:", host, port);
  for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
    append_address(entry, sizeof entry, a);
  if (entry[strlen(entry) - 1] != ':')
    longer = curl_slist_append(list, entry);
  freeaddrinfo(found);
  return longer != NULL ? longer : list;
}

static bool is_address(const char *host) {
  unsigned char address[4];
  return *host == '[' || inet_pton(AF_INET, host, address) == 1;
}

/* The port that libcurl takes where none is given: that of the scheme, but
   1080 for a proxy, unless it is one of https. */
static bool get_port(CURLU *url, bool of_proxy, char **port) {
  char *scheme = NULL;
  bool usual;
  if (curl_url_get(url, CURLUPART_PORT, port, 0) == CURLUE_OK)
    return true;
  curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
  usual = !of_proxy || (scheme != NULL && strcmp(scheme, "https") == 0);
  curl_free(scheme);
  if (usual)
    return curl_url_get(url, CURLUPART_PORT, port, CURLU_DEFAULT_PORT) ==
           CURLUE_OK;
  *port = NULL; /* curl_free takes it */
  return true;
}

struct curl_slist *seer_url_resolve(struct curl_slist *list, const char *text,
                                    bool of_proxy) {
  char *host = NULL, *port = NULL;
  CURLU *url = curl_url();
  if (url != NULL &&
      curl_url_set(url, CURLUPART_URL, text, SEER_URL_OF_PROXY) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
      get_port(url, of_proxy, &port) && !is_address(host))
    list = look_up(list, host, port != NULL ? port : PROXY_PORT);
  curl_free(host);
  curl_free(port);
  curl_url_cleanup(url);
  return list;
}
