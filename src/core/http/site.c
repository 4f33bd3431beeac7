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

static const char *copy_block(const char *block) {
  size_t size = seer_block_size(block);
  char *copied;
  if (block == NULL || *block == '\0')
    return "";
  copied = malloc(size);
  return copied != NULL ? memcpy(copied, block, size) : NULL;
}

static bool add_secret(seer_secrets *secrets, const char *secret) {
  return seer_secrets_add(secrets, secret, strlen(secret));
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
static bool add_digits(seer_secrets *secrets, char *text, size_t length) {
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
static bool add_base64(seer_secrets *secrets, const char *bytes, size_t length) {
  bool added = true;
  for (size_t before = 0; added && before < 3; before++) {
    size_t first = before > 0 ? before + 1 : 0;
    size_t digits = (length + before) * 8 / 6;
    char *coded = base64(bytes + 2 - before, length + before);
    added = coded != NULL && (before > 0 || add_secret(secrets, coded)) &&
            (digits < first + (size_t)2 * SEER_SECRET_LEAST ||
             add_digits(secrets, coded + first, digits - first));
    free(coded);
  }
  return added;
}

/* Also its bytes in hexadecimal, in either case. */
static bool add_coded(seer_secrets *secrets, const char *secret) {
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
    added = add_secret(secrets, digits);
  }
  if (added) {
    strcpy(bytes + 2, secret);
    added = add_base64(secrets, bytes, length);
  }
  free(bytes);
  free(digits);
  return added;
}

/* "bob:secret", what goes over the wire of it, and the password. A short name
   alone is none of it: it stands in too many places. */
static bool add_login(seer_secrets *secrets, const char *user,
                      const char *password) {
  const char *secret = password != NULL ? password : "";
  char *login = malloc(strlen(user) + strlen(secret) + 2);
  bool added;
  if (login == NULL)
    return false;
  sprintf(login, "%s:%s", user, secret);
  added = add_coded(secrets, login) && add_secret(secrets, secret);
  if (password == NULL)
    login[strlen(user)] = '\0';
  if (password != NULL || strlen(user) >= (size_t)2 * SEER_SECRET_LEAST)
    added = added && add_secret(secrets, login);
  free(login);
  return added;
}

/* The login as it stands in the URL, or what that means. */
static bool add_parts(seer_secrets *secrets, CURLU *proxy, unsigned flags) {
  char *user = NULL, *password = NULL;
  bool added = curl_url_get(proxy, CURLUPART_USER, &user, flags) !=
                   CURLUE_OUT_OF_MEMORY &&
               curl_url_get(proxy, CURLUPART_PASSWORD, &password, flags) !=
                   CURLUE_OUT_OF_MEMORY;
  if (added && (user != NULL || password != NULL))
    added = add_login(secrets, user != NULL ? user : "", password);
  curl_free(user);
  curl_free(password);
  return added;
}

/* What is no URL is quoted by libcurl as a whole. */
static bool add_proxy_secrets(seer_secrets *secrets, const char *text) {
  CURLU *proxy = curl_url();
  CURLUcode code = CURLUE_OUT_OF_MEMORY;
  bool added;
  if (proxy != NULL)
    code = curl_url_set(proxy, CURLUPART_URL, text, SEER_URL_OF_PROXY);
  if (code == CURLUE_OK)
    added = add_parts(secrets, proxy, 0) &&
            add_parts(secrets, proxy, CURLU_URLDECODE);
  else
    added = code != CURLUE_OUT_OF_MEMORY && add_secret(secrets, text);
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

static void free_secrets(seer_secrets *secrets) {
  if (secrets != NULL)
    seer_secrets_clear(secrets);
  free(secrets);
}

static seer_secrets *make_secrets(const seer_site_options *options) {
  seer_secrets *secrets = calloc(1, sizeof *secrets);
  if (secrets != NULL && add_secret(secrets, options->api_key) &&
      add_secret(secrets, options->key_password) &&
      add_coded(secrets, options->api_key) &&
      (*options->proxy == '\0' ||
       add_proxy_secrets(secrets, options->proxy)) &&
      seer_site_add_secrets(secrets, options->headers))
    return secrets;
  free_secrets(secrets);
  return NULL;
}

/* Who comes second takes what the first has made. */
const seer_secrets *seer_site_get_secrets(seer_site *site) {
  seer_secrets *made = __atomic_load_n(&site->secrets, __ATOMIC_ACQUIRE);
  seer_secrets *fresh;
  if (made != NULL || (fresh = make_secrets(&site->options)) == NULL)
    return made;
  if (__atomic_compare_exchange_n(&site->secrets, &made, fresh, false,
                                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return fresh;
  free_secrets(fresh);
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
  site->lasting = seer_url_libcurl()->version_num >= 0x080101;
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
  free_secrets(site->secrets);
  free_parts(site->parts);
  for (int i = 0; i < SEER_ROWS; i++)
    curl_url_cleanup(site->parsed[i]);
  free_text(site->targets);
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
