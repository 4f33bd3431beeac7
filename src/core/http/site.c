#include "core/http/site.h"

#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/base/mask.h"
#include "core/base/thread.h"
#include "core/base/version.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Expect is named for libcurl not to send it. */
const char seer_site_own_headers[] =
    "Accept: application/json\0"
    "Content-Type: application/json\0"
    "User-Agent: Seerstack/Lua " SEER_VERSION "\0Expect:\0";

static char *copy(const char *text) {
  return strdup(text != NULL ? text : "");
}

static char *copy_block(const char *block) {
  size_t size = seer_block_size(block);
  char *copied = calloc(1, size + 1);
  if (copied != NULL && size > 0)
    memcpy(copied, block, size);
  return copied;
}

/*
** Secrets.
*/

/* The longest comes first: what is left of a secret that has another within
   it would not be found any more. There is room: no block has a name twice,
   so a site has two forms of its key, four of a login and four secret headers
   at most. */
static bool add_secret(seer_site *site, const char *secret) {
  char *next;
  if (strlen(secret) < SEER_SITE_LEAST_SECRET)
    return true;
  next = copy(secret);
  if (next == NULL)
    return false;
  for (char **place = site->secrets; next != NULL; place++) {
    char *here = *place;
    if (here != NULL && strlen(here) >= strlen(next))
      continue;
    *place = next;
    next = here;
  }
  return true;
}

static char *base64(const char *text) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                               "nopqrstuvwxyz0123456789+/";
  size_t length = strlen(text);
  char *coded = malloc(length / 3 * 4 + 5), *at = coded;
  if (coded == NULL)
    return NULL;
  for (size_t i = 0; i < length; i += 3) {
    unsigned char bytes[3] = {0, 0, 0};
    size_t left = length - i < 3 ? length - i : 3;
    memcpy(bytes, text + i, left);
    *at++ = digits[bytes[0] >> 2];
    *at++ = digits[(bytes[0] & 3) << 4 | bytes[1] >> 4];
    *at++ = left > 1 ? digits[(bytes[1] & 15) << 2 | bytes[2] >> 6] : '=';
    *at++ = left > 2 ? digits[bytes[2] & 63] : '=';
  }
  *at = '\0';
  return coded;
}

/* What goes over the wire of a login. */
static bool add_coded(seer_site *site, const char *login) {
  const char *colon = strchr(login, ':') != NULL ? "" : ":";
  char *text = malloc(strlen(login) + 2), *coded = NULL;
  bool added;
  if (text != NULL) {
    strcpy(text, login);
    strcat(text, colon);
    coded = base64(text);
  }
  added = coded != NULL && add_secret(site, coded);
  free(text);
  free(coded);
  return added;
}

/* "bob:secret" as it stands in the URL, what that means, and the password. A
   short name alone is none of it: it stands in too many places. */
static bool add_login(seer_site *site, const char *login) {
  char *meant = curl_easy_unescape(NULL, login, 0, NULL);
  const char *colon = meant != NULL ? strchr(meant, ':') : NULL;
  bool added = meant != NULL && add_coded(site, meant);
  if (added &&
      (colon != NULL || strlen(meant) >= (size_t)2 * SEER_SITE_LEAST_SECRET))
    added = add_secret(site, login) && add_secret(site, meant);
  if (added && colon != NULL)
    added = add_secret(site, colon + 1);
  curl_free(meant);
  return added;
}

static bool add_proxy_secrets(seer_site *site) {
  const char *start = strstr(site->proxy, "://");
  const char *end = strrchr(site->proxy, '@');
  char *login;
  bool added;
  start = start != NULL ? start + 3 : site->proxy;
  if (end == NULL || end <= start)
    return true;
  login = strndup(start, (size_t)(end - start));
  added = login != NULL && add_login(site, login);
  free(login);
  return added;
}

static bool add_header_secrets(seer_site *site) {
  const char *line = site->given_headers;
  for (; *line != '\0'; line = seer_block_next(line)) {
    const char *secret = seer_block_secret(line);
    if (secret != NULL && !add_secret(site, secret))
      return false;
  }
  return true;
}

/* The key, and as it stands in a query. */
static bool add_key(seer_site *site) {
  char *escaped = curl_easy_escape(NULL, site->api_key, 0);
  bool added =
      escaped != NULL && add_secret(site, site->api_key) &&
      (strcmp(escaped, site->api_key) == 0 || add_secret(site, escaped));
  curl_free(escaped);
  return added;
}

static bool add_secrets(seer_site *site) {
  return (*site->api_key == '\0' || add_key(site)) &&
         add_proxy_secrets(site) && add_header_secrets(site);
}

size_t seer_site_mask(const seer_site *site, char *text, size_t length,
                      bool cut) {
  for (char *const *secret = site->secrets; *secret != NULL; secret++)
    length = seer_mask(*secret, text, length, cut);
  return length;
}

/*
** The environment.
*/

/* The first of some environment variables that is set and not empty. */
static const char *first_set(const char *const *names) {
  for (; *names != NULL; names++) {
    const char *value = getenv(*names);
    if (value != NULL && *value != '\0')
      return value;
  }
  return NULL;
}

/* As curl does: HTTP_PROXY in capitals is not looked at, for a CGI script's
   client can set it. */
static bool set_proxy(seer_site *site, const seer_site_options *options) {
  static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY",
                                     NULL};
  static const char *const https[] = {"https_proxy", "HTTPS_PROXY",
                                      "all_proxy", "ALL_PROXY", NULL};
  static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
  bool secure = strncasecmp(options->base_url, "https", 5) == 0;
  bool given = options->inherited || options->proxy != NULL;
  site->proxy =
      copy(given ? options->proxy : first_set(secure ? https : http));
  site->no_proxy = copy(given ? options->no_proxy : first_set(none));
  return site->proxy != NULL && site->no_proxy != NULL;
}

static bool set_authorities(seer_site *site,
                            const seer_site_options *options) {
  static const char *const authorities[] = {"SSL_CERT_FILE", NULL};
  const char *file = options->ca_file;
  if (file == NULL && options->ca_blob == NULL && !options->inherited)
    file = first_set(authorities);
  if (file != NULL && (site->ca_file = copy(file)) == NULL)
    return false;
  if (options->ca_blob != NULL &&
      (site->ca_blob = copy(options->ca_blob)) == NULL)
    return false;
  return true;
}

/*
** Headers and URLs.
*/

/* Appends a line of a block; the list is as it was without memory. */
static bool add_line(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer != NULL)
    *list = longer;
  return longer != NULL;
}

static bool add_block(struct curl_slist **list, const char *block) {
  for (; *block != '\0'; block = seer_block_next(block))
    if (!add_line(list, block))
      return false;
  return true;
}

/* A block of what is the SDK's own, the key first. */
static bool write_own(const seer_site *site, seer_buffer *out) {
  seer_buffer_append(out, "Authorization: Bearer ", 22);
  seer_buffer_append(out, site->api_key, strlen(site->api_key) + 1);
  seer_buffer_append(out, seer_site_own_headers, sizeof seer_site_own_headers);
  return !out->error;
}

static bool set_headers(seer_site *site, const seer_site_options *options) {
  seer_buffer own, all;
  seer_buffer_init(&own, SIZE_MAX / 2);
  seer_buffer_init(&all, SIZE_MAX / 2);
  site->given_headers = copy_block(options->headers);
  if (site->given_headers != NULL && write_own(site, &own)) {
    seer_block_merge(&all, SEER_BLOCK_HEADERS, own.data, site->given_headers);
    if (!all.error)
      site->headers = copy_block(all.data);
  }
  seer_buffer_clear(&own);
  seer_buffer_clear(&all);
  return site->headers != NULL && add_block(&site->list, site->headers);
}

static char *make_url(const char *base, const char *path, const char *query) {
  seer_buffer out;
  char *url = NULL;
  seer_buffer_init(&out, SIZE_MAX / 2);
  seer_buffer_append(&out, base, strlen(base));
  seer_site_write_path(&out, path, query);
  seer_buffer_byte(&out, '\0');
  if (!out.error)
    url = copy(out.data);
  seer_buffer_clear(&out);
  return url;
}

void seer_site_write_path(seer_buffer *out, const char *path,
                          const char *query) {
  const char *mark = strchr(path, '?');
  size_t before;
  seer_buffer_append(out, path, strlen(path));
  before = out->length;
  seer_buffer_byte(out, mark != NULL ? '&' : '?');
  seer_block_write_query(out, query);
  if (out->length == before + 1)
    seer_buffer_cut(out, before);
}

static bool set_urls(seer_site *site, const seer_site_options *options) {
  size_t length = strlen(options->base_url);
  site->base_url = copy(options->base_url);
  site->query = copy_block(options->query);
  if (site->base_url == NULL || site->query == NULL)
    return false;
  while (length > 0 && site->base_url[length - 1] == '/')
    site->base_url[--length] = '\0';
  for (int i = 0; i < SEER_ROWS; i++)
    if ((site->urls[i] = make_url(site->base_url, seer_kinds[i].path,
                                  site->query)) == NULL)
      return false;
  return true;
}

/*
** Versions of HTTP.
*/

bool seer_http_has_http2(void) {
  return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) !=
         0;
}

/* HTTP/2 pays from libcurl 8 on; below, it is slower than HTTP/1.1. */
static long http_version(int given) {
  bool modern = curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000;
  if (given == 2 || (given == 0 && modern && seer_http_has_http2()))
    return CURL_HTTP_VERSION_2TLS;
  return CURL_HTTP_VERSION_1_1;
}

/*
** Making.
*/

static uint64_t next_serial(void) {
  static uint64_t last;
  uint64_t serial;
  seer_lock();
  serial = ++last;
  seer_unlock();
  return serial;
}

void seer_site_look_up(seer_site *site) {
  curl_slist_free_all(site->addresses);
  site->resolved = true;
  site->addresses = seer_site_resolve(NULL, site->base_url, false);
  if (*site->proxy != '\0')
    site->addresses = seer_site_resolve(site->addresses, site->proxy, true);
}

seer_site *seer_site_new(const seer_site_options *options) {
  seer_site *site = calloc(1, sizeof *site);
  if (site == NULL)
    return NULL;
  site->serial = next_serial();
  site->references = 1;
  site->http_given = options->http_version;
  site->http_version = http_version(options->http_version);
  site->resolve = options->resolve;
  site->api_key = copy(options->api_key);
  if (site->api_key != NULL && set_urls(site, options) &&
      set_headers(site, options) && set_proxy(site, options) &&
      set_authorities(site, options) && add_secrets(site)) {
    if (site->resolve)
      seer_site_look_up(site);
    return site;
  }
  seer_site_free(site);
  return NULL;
}

void seer_site_free(seer_site *site) {
  if (site == NULL)
    return;
  curl_slist_free_all(site->list);
  curl_slist_free_all(site->addresses);
  for (int i = 0; i < SEER_SITE_SECRETS; i++)
    free(site->secrets[i]);
  for (int i = 0; i < SEER_ROWS; i++)
    free(site->urls[i]);
  free(site->base_url);
  free(site->headers);
  free(site->given_headers);
  free(site->query);
  free(site->api_key);
  free(site->proxy);
  free(site->no_proxy);
  free(site->ca_file);
  free(site->ca_blob);
  free(site);
}

void seer_site_get_options(const seer_site *site, seer_site_options *options) {
  options->base_url = site->base_url;
  options->api_key = site->api_key;
  options->inherited = true;
  options->proxy = site->proxy;
  options->no_proxy = site->no_proxy;
  options->ca_file = site->ca_file;
  options->ca_blob = site->ca_blob;
  options->http_version = site->http_given;
  options->resolve = site->resolve;
  options->headers = site->given_headers;
  options->query = site->query;
}

void seer_site_link(seer_site **list, seer_site *site) {
  site->next = *list;
  *list = site;
}

seer_site *seer_site_next(const seer_site *site) {
  return site->next;
}

void seer_site_refer(seer_site *site) {
  site->references++;
}

bool seer_site_unrefer(seer_site **list, seer_site *site) {
  if (--site->references > 0)
    return false;
  while (*list != site)
    list = &(*list)->next;
  *list = site->next;
  return true;
}

static bool same_text(const char *one, const char *other) {
  return one == other ||
         (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool same_block(const char *one, const char *other) {
  size_t size = seer_block_size(one);
  return size == seer_block_size(other) && memcmp(one, other, size) == 0;
}

bool seer_site_equals(const seer_site *one, const seer_site *other) {
  return same_text(one->base_url, other->base_url) &&
         same_text(one->api_key, other->api_key) &&
         same_text(one->proxy, other->proxy) &&
         same_text(one->no_proxy, other->no_proxy) &&
         same_text(one->ca_file, other->ca_file) &&
         same_text(one->ca_blob, other->ca_blob) &&
         one->http_version == other->http_version &&
         one->http_given == other->http_given &&
         one->resolve == other->resolve &&
         same_block(one->given_headers, other->given_headers) &&
         same_block(one->query, other->query);
}

bool seer_site_connected(const seer_site *site, int64_t time) {
  return site->connected > 0 || site->connected_at >= time;
}

void seer_site_forget(seer_site *site) {
  site->connected = 0;
  site->connected_at = 0;
  site->flying = 0;
  site->suspects = 0;
}
