#include "core/http/site.h"

#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/base/mask.h"
#include "core/base/thread.h"
#include "core/base/version.h"
#include "core/http/lookup.h"
#include "core/http/url.h"

#include <curl/curl.h>
#include <stdio.h>
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

static char *copy_block(const char *block) {
  size_t size = seer_block_size(block);
  char *copied = calloc(1, size + 1);
  if (copied != NULL && size > 0)
    memcpy(copied, block, size);
  return copied;
}

static bool add_secret(seer_site *site, const char *secret) {
  return seer_secrets_add(&site->secrets, secret, strlen(secret));
}

static char *base64(const char *bytes, size_t length) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                               "nopqrstuvwxyz0123456789+/";
  char *coded = calloc(1, length / 3 * 4 + 5), *at = coded;
  if (coded == NULL)
    return NULL;
  for (size_t i = 0; i < length; i += 3) {
    unsigned char three[3] = {0, 0, 0};
    size_t left = length - i < 3 ? length - i : 3;
    memcpy(three, bytes + i, left);
    *at++ = digits[three[0] >> 2];
    *at++ = digits[(three[0] & 3) << 4 | three[1] >> 4];
    *at++ = left > 1 ? digits[(three[1] & 15) << 2 | three[2] >> 6] : '=';
    *at++ = left > 2 ? digits[three[2] & 63] : '=';
  }
  return coded;
}

/* Adds what is left of a text in base64 when it begins there and is so long,
   as it is and as it would be in a URL. */
static bool add_digits(seer_site *site, char *text, size_t length) {
  seer_secrets *secrets = &site->secrets;
  bool added = seer_secrets_add(secrets, text, length), differs = false;
  for (char *at = text; at < text + length; at++) {
    differs = differs || *at == '+' || *at == '/';
    *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
  }
  return added && (!differs || seer_secrets_add(secrets, text, length));
}

/* As it goes over the wire of a login, or is shown by some servers: in base64,
   also behind and before something else, of which the digits at both ends
   depend. `bytes` has two more before the secret. */
static bool add_base64(seer_site *site, const char *bytes, size_t length) {
  bool added = true;
  for (size_t before = 0; added && before < 3; before++) {
    size_t first = before > 0 ? before + 1 : 0;
    size_t digits = (length + before) * 8 / 6;
    char *coded = base64(bytes + 2 - before, length + before);
    added = coded != NULL && (before > 0 || add_secret(site, coded)) &&
            (digits < first + (size_t)2 * SEER_SECRET_LEAST ||
             add_digits(site, coded + first, digits - first));
    free(coded);
  }
  return added;
}

/* Also its bytes in hexadecimal, in either case. */
static bool add_coded(seer_site *site, const char *secret) {
  static const char *const digits_of[] = {"0123456789abcdef",
                                          "0123456789ABCDEF"};
  size_t length = strlen(secret);
  char *bytes = calloc(1, length + 3), *digits = calloc(2, length + 1);
  bool added = bytes != NULL && digits != NULL;
  for (int upper = 0; added && upper < 2; upper++) {
    for (size_t i = 0; i < length; i++) {
      digits[2 * i] = digits_of[upper][(unsigned char)secret[i] >> 4];
      digits[2 * i + 1] = digits_of[upper][secret[i] & 15];
    }
    added = add_secret(site, digits);
  }
  if (added) {
    strcpy(bytes + 2, secret);
    added = add_base64(site, bytes, length);
  }
  free(bytes);
  free(digits);
  return added;
}

/* "bob:secret", what goes over the wire of it, and the password. A short name
   alone is none of it: it stands in too many places. */
static bool add_login(seer_site *site, const char *user,
                      const char *password) {
  const char *secret = password != NULL ? password : "";
  char *login = malloc(strlen(user) + strlen(secret) + 2);
  bool added;
  if (login == NULL)
    return false;
  sprintf(login, "%s:%s", user, secret);
  added = add_coded(site, login) && add_secret(site, secret);
  if (password == NULL)
    login[strlen(user)] = '\0';
  if (password != NULL || strlen(user) >= (size_t)2 * SEER_SECRET_LEAST)
    added = added && add_secret(site, login);
  free(login);
  return added;
}

/* The login as it stands in the URL, or what that means. */
static bool add_parts(seer_site *site, CURLU *proxy, unsigned flags) {
  char *user = NULL, *password = NULL;
  bool added = curl_url_get(proxy, CURLUPART_USER, &user, flags) !=
                   CURLUE_OUT_OF_MEMORY &&
               curl_url_get(proxy, CURLUPART_PASSWORD, &password, flags) !=
                   CURLUE_OUT_OF_MEMORY;
  if (added && (user != NULL || password != NULL))
    added = add_login(site, user != NULL ? user : "", password);
  curl_free(user);
  curl_free(password);
  return added;
}

/* What is no URL is quoted by libcurl as a whole. */
static bool add_proxy_secrets(seer_site *site) {
  CURLU *proxy = curl_url();
  CURLUcode code = CURLUE_OUT_OF_MEMORY;
  bool added;
  if (proxy != NULL)
    code = curl_url_set(proxy, CURLUPART_URL, site->options.proxy,
                        SEER_URL_OF_PROXY);
  if (code == CURLUE_OK)
    added =
        add_parts(site, proxy, 0) && add_parts(site, proxy, CURLU_URLDECODE);
  else
    added =
        code != CURLUE_OUT_OF_MEMORY && add_secret(site, site->options.proxy);
  curl_url_cleanup(proxy);
  return added;
}

bool seer_site_add_secrets(seer_secrets *secrets, const char *block) {
  for (; *block != '\0'; block = seer_block_next(block)) {
    const char *secret = seer_block_secret(block);
    size_t length = secret != NULL ? strlen(secret) : 0;
    if (secret != NULL && !seer_secrets_add(secrets, secret, length))
      return false;
    while (secret != NULL &&
           (secret = seer_block_part(secret, &length)) != NULL) {
      if (!seer_secrets_add(secrets, secret, length))
        return false;
      secret += length;
    }
  }
  return true;
}

static bool add_secrets(seer_site *site) {
  return add_secret(site, site->options.api_key) &&
         add_secret(site, site->options.key_password) &&
         add_coded(site, site->options.api_key) &&
         (*site->options.proxy == '\0' || add_proxy_secrets(site)) &&
         seer_site_add_secrets(&site->secrets, site->options.headers);
}

size_t seer_site_mask(const seer_site *site, char *text, size_t length,
                      bool cut) {
  return seer_secrets_mask(&site->secrets, text, length, cut);
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

#define TEXTS 8

static const char **text_of(seer_site_options *options, int which) {
  const char **all[TEXTS] = {&options->base_url, &options->api_key,
                             &options->proxy,    &options->no_proxy,
                             &options->ca_file,  &options->ca_blob,
                             &options->identity, &options->key_password};
  return all[which];
}

/* Whatever fails, all that is there afterwards is the site's. */
static bool copy_texts(seer_site_options *options) {
  bool copied = true;
  for (int i = 0; i < TEXTS; i++) {
    const char **text = text_of(options, i);
    *text = strdup(*text != NULL ? *text : "");
    copied = copied && *text != NULL;
  }
  options->headers = copy_block(options->headers);
  options->query = copy_block(options->query);
  return copied && options->headers != NULL && options->query != NULL;
}

static void free_texts(seer_site_options *options) {
  for (int i = 0; i < TEXTS; i++)
    free((char *)*text_of(options, i));
  free((char *)options->headers);
  free((char *)options->query);
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
  seer_buffer_append(out, "Authorization: Bearer ", 22);
  seer_buffer_append(out, site->options.api_key,
                     strlen(site->options.api_key) + 1);
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

static bool set_headers(seer_site *site) {
  seer_buffer own, all;
  seer_buffer_init(&own, SIZE_MAX / 2);
  seer_buffer_init(&all, SIZE_MAX / 2);
  if (write_own(site, &own))
    seer_block_merge(&all, SEER_BLOCK_HEADERS, own.data,
                     site->options.headers);
  seer_buffer_clear(&own);
  site->headers = seer_buffer_take(&all);
  if (site->headers != NULL)
    site->list = seer_site_list(site->headers, false);
  return site->list != NULL;
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

static bool set_urls(seer_site *site) {
  for (int i = 0; i < SEER_ROWS; i++)
    if ((site->urls[i] = seer_site_make_url(site, seer_kinds[i].path,
                                            site->options.query)) == NULL)
      return false;
  return true;
}

CURLU *seer_site_parsed(seer_site *site, int kind) {
  CURLU *parsed = site->parsed[kind];
  if (parsed != NULL || (parsed = curl_url()) == NULL)
    return parsed;
  if (curl_url_set(parsed, CURLUPART_URL, site->urls[kind], 0) == CURLUE_OK)
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
  site->targets =
      seer_url_targets(options->base_url, options->proxy, options->no_proxy);
  return site->targets != NULL;
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
  site->lasting = seer_url_libcurl()->version_num >= 0x080101;
  site->http_version = http_version(options->http_version);
  site->tls_version = tls_version();
  site->options = *options;
  ask_environment(&site->options);
  if (copy_texts(&site->options) && set_urls(site) && set_headers(site) &&
      set_targets(site) && add_secrets(site)) {
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
  seer_secrets_clear(&site->secrets);
  for (int i = 0; i < SEER_ROWS; i++) {
    free(site->urls[i]);
    curl_url_cleanup(site->parsed[i]);
  }
  free(site->list);
  free(site->headers);
  free(site->targets);
  free_texts(&site->options);
  free(site);
}

bool seer_site_unrefer(seer_site **list, seer_site *site) {
  if (--site->references > 0)
    return false;
  while (*list != site)
    list = &(*list)->next;
  *list = site->next;
  return true;
}

void seer_site_doubt(seer_site *site, int64_t time) {
  seer_lock();
  if (time > site->doubted_until)
    site->doubted_until = time;
  seer_unlock();
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
