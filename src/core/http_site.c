#include "http_site.h"

#include "clock.h"
#include "mask.h"
#include "thread.h"
#include "version.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const paths[] = {"/capture", "/identify"};

/* libcurl takes "http:///name" for a host called so. */
static bool has_host(const char *text) {
  const char *slashes = strstr(text, "://");
  return slashes != NULL && slashes[3] != '/';
}

static const char *check_parts(CURLU *url, const char *text) {
  char *scheme = NULL;
  const char *fault = NULL;
  curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
  if (scheme == NULL ||
      (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
    fault = "an http or https URL expected";
  else if (strpbrk(text, "?#") != NULL)
    fault = "a base URL has no query or fragment";
  curl_free(scheme);
  return fault;
}

const char *seer_http_check_url(const char *text) {
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
  return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

bool seer_http_is_loopback(const char *text) {
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

static bool same_part(CURLU *one, CURLU *other, CURLUPart part) {
  char *first = NULL, *second = NULL;
  curl_url_get(one, part, &first, CURLU_DEFAULT_PORT);
  curl_url_get(other, part, &second, CURLU_DEFAULT_PORT);
  bool same = first != NULL && second != NULL && strcmp(first, second) == 0;
  curl_free(first);
  curl_free(second);
  return same;
}

char *seer_site_same_origin(const char *text, const char *location) {
  char *result = NULL;
  CURLU *from = curl_url(), *to = curl_url();
  if (from != NULL && to != NULL &&
      curl_url_set(from, CURLUPART_URL, text, 0) == CURLUE_OK &&
      curl_url_set(to, CURLUPART_URL, text, 0) == CURLUE_OK &&
      curl_url_set(to, CURLUPART_URL, location, CURLU_DISALLOW_USER) ==
          CURLUE_OK &&
      same_part(from, to, CURLUPART_SCHEME) &&
      same_part(from, to, CURLUPART_HOST) &&
      same_part(from, to, CURLUPART_PORT))
    curl_url_get(to, CURLUPART_URL, &result, 0);
  curl_url_cleanup(from);
  curl_url_cleanup(to);
  return result;
}

void seer_site_mask(const seer_site *site, char *text, size_t length,
                    bool cut) {
  seer_mask(site->api_key, text, length, cut);
  if (site->proxy_login != NULL)
    seer_mask(site->proxy_login, text, length, cut);
}

static char *join(const char *one, const char *other) {
  size_t length = strlen(one);
  char *joined = malloc(length + strlen(other) + 1);
  if (joined == NULL)
    return NULL;
  memcpy(joined, one, length);
  strcpy(joined + length, other);
  return joined;
}

static bool add_header(seer_site *site, const char *line) {
  struct curl_slist *list = curl_slist_append(site->headers, line);
  if (list == NULL)
    return false;
  site->headers = list;
  return true;
}

/* `Expect:` keeps libcurl from asking leave for a large body. */
static bool add_headers(seer_site *site) {
  char *authorization = join("Authorization: Bearer ", site->api_key);
  bool added = authorization != NULL && add_header(site, authorization) &&
               add_header(site, "Accept: application/json") &&
               add_header(site, "Content-Type: application/json") &&
               add_header(site, "User-Agent: Seerstack/Lua " SEER_VERSION) &&
               add_header(site, "Expect:");
  free(authorization);
  return added;
}

/* The first of some environment variables that is set and not empty. */
static const char *first_set(const char *const *names) {
  for (; *names != NULL; names++) {
    const char *value = getenv(*names);
    if (value != NULL && *value != '\0')
      return value;
  }
  return NULL;
}

/* "bob:secret" of "http://bob:secret@proxy:3128". */
static bool find_proxy_login(seer_site *site) {
  const char *start = strstr(site->proxy, "://");
  const char *end = strrchr(site->proxy, '@');
  start = start != NULL ? start + 3 : site->proxy;
  if (end == NULL || end <= start)
    return true;
  site->proxy_login = strndup(start, (size_t)(end - start));
  return site->proxy_login != NULL;
}

/* As curl does: HTTP_PROXY in capitals is not looked at, for a CGI script's
   client can set it. */
static bool read_environment(seer_site *site, const char *base_url) {
  static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY",
                                     NULL};
  static const char *const https[] = {"https_proxy", "HTTPS_PROXY",
                                      "all_proxy", "ALL_PROXY", NULL};
  static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
  static const char *const authorities[] = {"SSL_CERT_FILE", NULL};
  bool secure = strncasecmp(base_url, "https", 5) == 0;
  const char *proxy = first_set(secure ? https : http);
  const char *no_proxy = first_set(none);
  const char *ca_file = first_set(authorities);
  site->proxy = join(proxy != NULL ? proxy : "", "");
  site->no_proxy = join(no_proxy != NULL ? no_proxy : "", "");
  if (ca_file != NULL && (site->ca_file = join(ca_file, "")) == NULL)
    return false;
  return site->proxy != NULL && site->no_proxy != NULL &&
         find_proxy_login(site);
}

static bool build_urls(seer_site *site, const char *base_url) {
  size_t length = strlen(base_url);
  char *base = join(base_url, "");
  if (base == NULL)
    return false;
  while (length > 0 && base[length - 1] == '/')
    base[--length] = '\0';
  site->urls[SEER_CAPTURE] = join(base, paths[SEER_CAPTURE]);
  site->urls[SEER_IDENTIFY] = join(base, paths[SEER_IDENTIFY]);
  free(base);
  return site->urls[SEER_CAPTURE] != NULL && site->urls[SEER_IDENTIFY] != NULL;
}

static uint64_t next_serial(void) {
  static uint64_t last;
  uint64_t serial;
  seer_lock();
  serial = ++last;
  seer_unlock();
  return serial;
}

seer_site *seer_site_new(const char *base_url, const char *api_key) {
  seer_site *site = calloc(1, sizeof *site);
  if (site == NULL)
    return NULL;
  site->serial = next_serial();
  site->api_key = join(api_key, "");
  if (site->api_key == NULL || !build_urls(site, base_url) ||
      !add_headers(site) || !read_environment(site, base_url)) {
    seer_site_free(site);
    return NULL;
  }
  return site;
}

void seer_site_free(seer_site *site) {
  if (site == NULL)
    return;
  curl_slist_free_all(site->headers);
  free(site->urls[SEER_CAPTURE]);
  free(site->urls[SEER_IDENTIFY]);
  free(site->api_key);
  free(site->proxy);
  free(site->proxy_login);
  free(site->no_proxy);
  free(site->ca_file);
  free(site);
}

bool seer_site_connected(const seer_site *site, int64_t time) {
  return site->connected > 0 || site->connected_at >= time;
}

void seer_site_forget(seer_site *site) {
  site->connected = 0;
  site->connected_at = 0;
}
