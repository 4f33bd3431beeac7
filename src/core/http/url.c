#include "core/http/url.h"

#include "core/base/names.h"
#include "core/base/os.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>
#pragma GCC visibility push(hidden)

#define PATH_MOST 8192    /* bytes */
#define PROXY_PORT "1080" /* libcurl's, where none is given */

/* libcurl takes "http:///name" for a host called so. */
static bool has_host(const char *text) {
  const char *slashes = strstr(text, "://");
  return slashes != NULL && slashes[3] != '/';
}

/* Reads a URL into `*url`, which the caller cleans up in any case; NULL, or
   what is wrong with it, `fault` if it is none. */
static const char *parse(CURLU **url, const char *text, unsigned flags,
                         const char *fault) {
  *url = curl_url();
  switch (*url != NULL ? curl_url_set(*url, CURLUPART_URL, text, flags)
                       : CURLUE_OUT_OF_MEMORY) {
  case CURLUE_OK:
    return NULL;
  case CURLUE_USER_NOT_ALLOWED:
    return "user information is not allowed in it";
  case CURLUE_OUT_OF_MEMORY:
    return "out of memory";
  default:
    return fault;
  }
}

const struct curl_version_info_data *seer_url_libcurl(void) {
  static const curl_version_info_data *known;
  const curl_version_info_data *all =
      __atomic_load_n(&known, __ATOMIC_ACQUIRE);
  if (all == NULL) {
    all = curl_version_info(CURLVERSION_NOW);
    __atomic_store_n(&known, all, __ATOMIC_RELEASE);
  }
  return all;
}

bool seer_url_built_with(int features) {
  return (seer_url_libcurl()->features & features) == features;
}

const char *seer_url_check_base(const char *text) {
  static const char expected[] = "an http or https URL expected";
  CURLU *url;
  const char *fault = parse(&url, text, CURLU_DISALLOW_USER, expected);
  curl_url_cleanup(url);
  if (curl_strnequal(text, "https:", 6) &&
      !seer_url_built_with(CURL_VERSION_SSL))
    return "this libcurl was built without TLS";
  if (fault != NULL)
    return fault;
  if (!has_host(text))
    return "a host is missing";
  if (!curl_strnequal(text, "http:", 5) && !curl_strnequal(text, "https:", 6))
    return expected;
  return strpbrk(text, "?#") != NULL ? "a base URL has no query or fragment"
                                     : NULL;
}

/* The bytes that a dot takes in a path, plain or percent-encoded; 0 if there
   is none. */
static size_t dot_length(const char *path) {
  if (path[0] == '.')
    return 1;
  return path[0] == '%' && path[1] == '2' && (path[2] | 32) == 'e' ? 3 : 0;
}

/* Whether a path has a segment "." or "..", which URLs do not keep. */
static bool has_dots(const char *path) {
  for (; *path == '/'; path += strcspn(path, "/?")) {
    const char *end = ++path;
    end += dot_length(end);
    if (end == path)
      continue;
    end += dot_length(end);
    if (*end == '/' || *end == '?' || *end == '\0')
      return true;
  }
  return false;
}

bool seer_url_is_relative(const char *path, size_t length) {
  if (strlen(path) != length || length > PATH_MOST || path[0] != '/' ||
      path[1] == '/' || has_dots(path))
    return false;
  for (; *path != '\0'; path++)
    if (*path <= ' ' || *path > '~' || *path == '#' || *path == '\\')
      return false;
  return true;
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
  CURLU *url;
  if (parse(&url, text, 0, "") == NULL &&
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
  CURLU *url;
  const char *fault =
      parse(&url, text, SEER_URL_OF_PROXY, "not the URL of a proxy");
  if (fault == NULL)
    fault = fault_of_scheme(url);
  curl_url_cleanup(url);
  return fault;
}

/*
** What is to be looked up.
*/

static bool is_address(const char *host) {
  unsigned char address[4];
  return *host == '[' || inet_pton(AF_INET, host, address) == 1;
}

static bool is_below(const char *host, size_t length, const char *domain,
                     size_t size) {
  return size > 0 && size <= length &&
         strncasecmp(host + length - size, domain, size) == 0 &&
         (size == length || host[length - size - 1] == '.');
}

/* The bytes of a host without the dot that may be at its end. */
static size_t length_of(const char *host) {
  size_t length = strlen(host);
  return length - (length > 0 && host[length - 1] == '.');
}

/* Names that libcurl gives to nobody, or in another form, and what is none. */
static bool is_own(const char *host) {
  size_t length = length_of(host);
  for (const char *c = host; *c != '\0'; c++)
    if ((unsigned char)*c >= 0x80)
      return true;
  return length >= SEER_NAME_SIZE || is_address(host) ||
         is_below(host, length, "localhost", 9);
}

/* Whether the host is reached without the proxy, as libcurl reads the list. */
static bool is_exempt(const char *host, const char *list) {
  size_t length = length_of(host), size;
  if (strcmp(list, "*") == 0)
    return true;
  for (; *(list += strspn(list, ", ")) != '\0'; list += size) {
    size_t dot = *list == '.', end;
    size = strcspn(list, ", ");
    end = size - (size > 1 && list[size - 1] == '.');
    if (is_below(host, length, list + dot, end - dot))
      return true;
  }
  return false;
}

static char *host_of(CURLU *url) {
  char *host = NULL;
  curl_url_get(url, CURLUPART_HOST, &host, 0);
  return host;
}

/* The port that libcurl takes where none is given: that of the scheme, but
   1080 for a proxy, unless it is one of https. */
static char *port_of(CURLU *url, bool of_proxy) {
  char *port = NULL, *scheme = NULL;
  bool usual;
  if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK)
    return port;
  curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
  usual = !of_proxy || (scheme != NULL && strcmp(scheme, "https") == 0);
  curl_free(scheme);
  if (usual)
    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  return port;
}

static void add_target(seer_buffer *out, CURLU *url, bool of_proxy) {
  char *host = host_of(url), *port = port_of(url, of_proxy);
  if (host != NULL && !is_own(host)) {
    seer_buffer_text(out, host);
    seer_buffer_byte(out, ':');
    seer_buffer_line(out, port != NULL ? port : PROXY_PORT);
  }
  curl_free(host);
  curl_free(port);
}

static bool looks_up_itself(const char *proxy) {
  return strncasecmp(proxy, "socks5://", 9) != 0 &&
         strncasecmp(proxy, "socks4://", 9) != 0;
}

/* Which proxy an address has may depend on masks in the list, as 10.0.0.0/8:
   then libcurl has to look up the proxy. */
static void add_targets(seer_buffer *out, CURLU *url, const char *proxy,
                        const char *no_proxy) {
  CURLU *parsed = *proxy != '\0' ? curl_url() : NULL;
  char *host = host_of(url);
  if (host == NULL || (*no_proxy != '\0' && is_address(host)))
    out->error = host == NULL ? SEER_BUFFER_NOMEM : out->error;
  else if (*proxy == '\0' || is_exempt(host, no_proxy))
    add_target(out, url, false);
  else if (curl_url_set(parsed, CURLUPART_URL, proxy, SEER_URL_OF_PROXY) ==
           CURLUE_OK) {
    add_target(out, parsed, true);
    if (!looks_up_itself(proxy))
      add_target(out, url, false);
  }
  curl_free(host);
  curl_url_cleanup(parsed);
}

char *seer_url_targets(const char *text, const char *proxy,
                       const char *no_proxy) {
  CURLU *url = curl_url();
  seer_buffer out;
  seer_buffer_init(&out, SIZE_MAX / 2);
  if (url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
    add_targets(&out, url, proxy, no_proxy);
  else
    out.error = SEER_BUFFER_NOMEM;
  curl_url_cleanup(url);
  seer_buffer_byte(&out, '\0');
  return seer_buffer_take(&out);
}
