#include "core/http/site.h"

#include "core/base/block.h"
#include "core/base/version.h"
#include "core/http/lookup.h"
#include "core/http/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#pragma GCC visibility push(hidden)

/* Expect is named for libcurl not to send it; nor is Accept-Encoding, but what
   comes compressed is read. */
const char seer_site_own_headers[] =
    "Accept: application/json\0"
    "Content-Type: application/json\0"
    "User-Agent: Seerstack/Lua " SEER_VERSION "\0Expect:\0Accept-Encoding:\0";

static const char *copy_block(const char *block) {
  size_t size = seer_block_size(block);
  char *copied;
  if (block == NULL || *block == '\0')
    return "";
  copied = malloc(size);
  return copied != NULL ? memcpy(copied, block, size) : NULL;
}

/* Who comes second takes what the first has made. */
const seer_secrets *seer_site_get_secrets(seer_site *site) {
  seer_secrets *made = __atomic_load_n(&site->secrets, __ATOMIC_ACQUIRE);
  seer_secrets *fresh;
  if (made != NULL || (fresh = seer_site_secrets_new(&site->options)) == NULL)
    return made;
  if (__atomic_compare_exchange_n(&site->secrets, &made, fresh, false,
                                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return fresh;
  seer_site_secrets_free(fresh);
  return made;
}

size_t seer_site_mask(seer_site *site, char *text, size_t length, bool cut) {
  const seer_secrets *secrets = seer_site_get_secrets(site);
  size_t stars = length < 3 ? length : 3;
  if (secrets != NULL)
    return seer_secrets_mask(secrets, text, length, cut);
  memset(text, '*', stars);
  if (stars < length)
    text[stars] = '\0';
  return stars;
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

/* As curl does: HTTP_PROXY in capitals is not looked at, for a CGI script's
   client can set it. */
static void ask_environment(seer_site_options *options) {
  static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY",
                                     NULL};
  static const char *const https[] = {"https_proxy", "HTTPS_PROXY",
                                      "all_proxy", "ALL_PROXY", NULL};
  static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
  static const char *const authorities[] = {"SSL_CERT_FILE", NULL};
  bool secure = strncasecmp(options->base_url, "https", 5) == 0;
  if (options->proxy == NULL) {
    options->proxy = first_set(secure ? https : http);
    options->no_proxy = first_set(none);
  }
  if (options->ca_file == NULL && options->ca_blob == NULL)
    options->ca_file = first_set(authorities);
}

#define TEXTS 6

static const char **text_of(seer_site_options *options, int which) {
  const char **all[TEXTS] = {&options->proxy,    &options->no_proxy,
                             &options->ca_file,  &options->ca_blob,
                             &options->identity, &options->key_password};
  return all[which];
}

/* Most texts are empty, and those take no memory. */
static void free_text(const char *text) {
  if (text != NULL && *text != '\0')
    free((char *)text);
}

/* Whatever fails, all that is there afterwards is the site's. */
static bool copy_texts(seer_site_options *options) {
  bool copied = true;
  for (int i = 0; i < TEXTS; i++) {
    const char **text = text_of(options, i);
    *text = *text == NULL || **text == '\0' ? "" : strdup(*text);
    copied = copied && *text != NULL;
  }
  options->headers = copy_block(options->headers);
  options->query = copy_block(options->query);
  return copied && options->headers != NULL && options->query != NULL;
}

static void free_texts(seer_site_options *options) {
  for (int i = 0; i < TEXTS; i++)
    free_text(*text_of(options, i));
  free_text(options->headers);
  free_text(options->query);
}

static bool same_block(const char *one, const char *other) {
  size_t size = seer_block_size(one);
  return size == seer_block_size(other) && memcmp(one, other, size) == 0;
}

bool seer_site_equals(const seer_site *one, const seer_site *other) {
  seer_site_options mine = one->options, its = other->options;
  for (int i = 0; i < TEXTS; i++)
    if (strcmp(*text_of(&mine, i), *text_of(&its, i)) != 0)
      return false;
  return mine.http_version == its.http_version &&
         same_block(mine.headers, its.headers) &&
         same_block(mine.query, its.query);
}

/* A block of what is the SDK's own, the key first. */
static bool write_own(const seer_site *site, seer_buffer *out) {
  seer_buffer_text(out, "Authorization: Bearer ");
  seer_buffer_line(out, site->options.api_key);
  seer_buffer_append(out, seer_site_own_headers, sizeof seer_site_own_headers);
  return !out->error;
}

struct curl_slist *seer_site_list(const char *block, bool bodiless) {
  struct curl_slist *list, *node;
  size_t count = 1;
  for (const char *line = block; *line != '\0'; line = seer_block_next(line))
    count++;
  list = node = calloc(count, sizeof *list);
  for (; node != NULL && *block != '\0'; block = seer_block_next(block)) {
    if (bodiless && curl_strnequal(block, "Content-", 8))
      continue;
    if (node->data != NULL)
      node = node->next = node + 1;
    node->data = (char *)block;
  }
  return list;
}

static bool set_headers(const seer_site *site, seer_site_parts *parts) {
  seer_buffer own, all;
  seer_buffer_init(&own, SIZE_MAX / 2);
  seer_buffer_init(&all, SIZE_MAX / 2);
  if (write_own(site, &own))
    seer_block_merge(&all, SEER_BLOCK_HEADERS, own.data,
                     site->options.headers);
  seer_buffer_clear(&own);
  parts->headers = seer_buffer_take(&all);
  if (parts->headers != NULL)
    parts->list = seer_site_list(parts->headers, false);
  return parts->list != NULL;
}

char *seer_site_make_url(const seer_site *site, const char *path,
                         const char *query) {
  seer_buffer out;
  size_t before;
  seer_buffer_init(&out, SIZE_MAX / 2);
  seer_buffer_text(&out, site->options.base_url);
  seer_buffer_text(&out, path);
  before = out.length;
  seer_buffer_byte(&out, strchr(path, '?') != NULL ? '&' : '?');
  seer_block_write_query(&out, query);
  if (out.length == before + 1)
    seer_buffer_cut(&out, before);
  seer_buffer_byte(&out, '\0');
  return seer_buffer_take(&out);
}

static bool set_urls(const seer_site *site, seer_site_parts *parts) {
  for (int i = 0; i < SEER_ROWS; i++)
    if ((parts->urls[i] = seer_site_make_url(site, seer_kinds[i].path,
                                             site->options.query)) == NULL)
      return false;
  return true;
}

static void free_parts(seer_site_parts *parts) {
  if (parts == NULL)
    return;
  for (int i = 0; i < SEER_ROWS; i++)
    free(parts->urls[i]);
  free(parts->list);
  free(parts->headers);
  free(parts);
}

static seer_site_parts *make_parts(const seer_site *site) {
  seer_site_parts *parts = calloc(1, sizeof *parts);
  if (parts != NULL && set_urls(site, parts) && set_headers(site, parts))
    return parts;
  free_parts(parts);
  return NULL;
}

const seer_site_parts *seer_site_get_parts(seer_site *site) {
  seer_site_parts *made = __atomic_load_n(&site->parts, __ATOMIC_ACQUIRE);
  seer_site_parts *fresh;
  if (made != NULL || (fresh = make_parts(site)) == NULL)
    return made;
  if (__atomic_compare_exchange_n(&site->parts, &made, fresh, false,
                                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return fresh;
  free_parts(fresh);
  return made;
}

CURLU *seer_site_parsed(seer_site *site, int kind) {
  const seer_site_parts *parts = seer_site_get_parts(site);
  CURLU *parsed = site->parsed[kind];
  if (parsed != NULL || parts == NULL || (parsed = curl_url()) == NULL)
    return parsed;
  if (curl_url_set(parsed, CURLUPART_URL, parts->urls[kind], 0) == CURLUE_OK)
    return site->parsed[kind] = parsed;
  curl_url_cleanup(parsed);
  return NULL;
}

/* Most sites have nothing of their own that a handle keeps: neither a proxy
   nor authorities nor a certificate. */
static uint64_t number_of(const seer_site *site) {
  static uint64_t others = 1000; /* more than libcurl's versions of HTTP */
  const seer_site_options *own = &site->options;
  if (*own->proxy == '\0' && *own->no_proxy == '\0' && *own->ca_file == '\0' &&
      *own->ca_blob == '\0' && *own->identity == '\0')
    return (uint64_t)site->http_version;
  return __atomic_add_fetch(&others, 1, __ATOMIC_RELAXED);
}

bool seer_site_has_http2(void) {
  return seer_url_built_with(CURL_VERSION_HTTP2 | CURL_VERSION_SSL);
}

/* HTTP/2 pays from libcurl 8 on; below, it is slower than HTTP/1.1. */
static long http_version(int given) {
  if (given == 2 ||
      (given == 0 && seer_url_libcurl()->version_num >= 0x080000 &&
       seer_site_has_http2()))
    return CURL_HTTP_VERSION_2TLS;
  return CURL_HTTP_VERSION_1_1;
}

/* HTTP/2 wants TLS 1.2. libcurl does not use a connection for it then that was
   opened without asking for that, but since 8.16 everybody asks for that. Only
   the upper bound tells them apart then, which of the TLS libraries OpenSSL is
   known to take on every system. */
static long tls_version(void) {
  const char *library = seer_url_libcurl()->ssl_version;
  if (library == NULL || strncmp(library, "OpenSSL/3", 9) != 0)
    return CURL_SSLVERSION_TLSv1_2;
  return (long)CURL_SSLVERSION_TLSv1_2 | (long)CURL_SSLVERSION_MAX_TLSv1_3;
}

static bool set_targets(seer_site *site) {
  const seer_site_options *options = &site->options;
  char *targets =
      seer_url_targets(options->base_url, options->proxy, options->no_proxy);
  site->targets = targets;
  if (targets != NULL && *targets == '\0') {
    site->targets = "";
    free(targets);
  }
  return targets != NULL;
}

/* Where no thread can do it later. What is known may be old. */
static void look_up(const seer_site *site, bool threadless) {
  const char *target = site->targets;
  if (*target == '\0' || (!threadless && seer_lookup_has_threads()))
    return;
  for (; *target != '\0'; target = seer_block_next(target))
    seer_lookup_here(target);
}

seer_site *seer_site_new(const seer_site_options *options) {
  seer_site *site = calloc(1, sizeof *site);
  if (site == NULL)
    return NULL;
  site->references = 1;
  site->http_version = http_version(options->http_version);
  site->tls_version = tls_version();
  site->options = *options;
  ask_environment(&site->options);
  if (copy_texts(&site->options) && set_targets(site)) {
    site->number = number_of(site);
    look_up(site, options->threadless);
    return site;
  }
  seer_site_free(site);
  return NULL;
}

void seer_site_free(seer_site *site) {
  if (site == NULL)
    return;
  seer_site_secrets_free(site->secrets);
  free_parts(site->parts);
  for (int i = 0; i < SEER_ROWS; i++)
    curl_url_cleanup(site->parsed[i]);
  free_text(site->targets);
  free_texts(&site->options);
  free(site);
}

bool seer_site_connected(const seer_site *site, int64_t time) {
  return site->connected > 0 || site->connected_at >= time;
}

void seer_site_forget(seer_site *site) {
  site->connected = 0;
  site->connected_at = site->doubted_until = 0;
  site->flying = 0;
  site->suspects = 0;
}
