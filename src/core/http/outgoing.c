#include "core/http/outgoing.h"

#include "core/base/block.h"
#include "core/base/mask.h"
#include "core/http/url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define KEPT 4096 /* bytes of memory, from one request to the next */

void seer_outgoing_init(seer_outgoing *out) {
  memset(out, 0, sizeof *out);
  seer_buffer_init(&out->lines, SIZE_MAX / 2);
  seer_buffer_init(&out->path, SIZE_MAX / 2);
  seer_buffer_init(&out->targets, SIZE_MAX / 2);
}

static void free_urls(seer_outgoing *out) {
  curl_free(out->url);
  curl_free(out->next_url);
  out->url = out->next_url = NULL;
}

void seer_outgoing_clear(seer_outgoing *out) {
  free_urls(out);
  seer_buffer_clear(&out->lines);
  seer_buffer_clear(&out->path);
  seer_buffer_clear(&out->targets);
  seer_secrets_clear(&out->secrets);
  free(out->nodes);
}

static void write_key(seer_outgoing *out) {
  static const char name[] = "Idempotency-Key: ";
  const seer_special *special = seer_event_special(out->event);
  char *value = out->key + sizeof name - 1;
  memcpy(out->key, name, sizeof name);
  if (special != NULL && special->key != NULL)
    snprintf(value, SEER_OUTGOING_KEY + 1, "%s", special->key);
  else
    seer_id_text(out->event->id, value);
}

/* The request's own secrets, with those of its site. */
static bool find_secrets(seer_outgoing *out) {
  const seer_special *special = seer_event_special(out->event);
  seer_secrets_clear(&out->secrets);
  if (special == NULL || special->headers == NULL)
    return true;
  return seer_site_add_secrets(&out->secrets, special->headers) &&
         (out->secrets.count == 0 ||
          seer_secrets_copy(&out->secrets, &out->site->secrets));
}

bool seer_outgoing_reset(seer_outgoing *out, const seer_site *site,
                         const seer_event *event) {
  free_urls(out);
  out->site = site;
  out->event = event;
  out->foreign = out->get = false;
  out->redirects = 0;
  write_key(out);
  return find_secrets(out);
}

static const char *write_url(seer_outgoing *out, const seer_special *special) {
  seer_buffer query;
  seer_buffer_init(&query, SIZE_MAX / 2);
  seer_buffer_reset(&out->path, KEPT);
  seer_block_merge(&query, SEER_BLOCK_QUERY, out->site->options.query,
                   special->query);
  seer_buffer_text(&out->path, out->site->options.base_url);
  if (!query.error)
    seer_site_write_path(&out->path, seer_event_path(out->event), query.data);
  seer_buffer_byte(&out->path, '\0');
  if (query.error)
    out->path.error = query.error;
  seer_buffer_clear(&query);
  return out->path.error ? NULL : out->path.data;
}

const char *seer_outgoing_url(seer_outgoing *out) {
  const seer_special *special = seer_event_special(out->event);
  if (out->url != NULL)
    return out->url;
  if (special == NULL || (special->path == NULL && special->query == NULL))
    return out->site->urls[out->event->kind];
  return write_url(out, special);
}

const char *seer_outgoing_targets(seer_outgoing *out) {
  const seer_site *site = out->site;
  if (out->url == NULL)
    return site->targets;
  seer_buffer_reset(&out->targets, KEPT);
  seer_url_targets(&out->targets, out->url, site->options.proxy,
                   site->options.no_proxy);
  return out->targets.error ? NULL : out->targets.data;
}

/* A list of the key, the lines of a block, which stays where it is from now
   on, and another list. */
static struct curl_slist *link_lines(seer_outgoing *out, const char *block,
                                     struct curl_slist *rest) {
  size_t count = 1;
  const char *line;
  for (line = block; *line != '\0'; line = seer_block_next(line))
    count++;
  if (count > out->room) {
    struct curl_slist *nodes = realloc(out->nodes, count * sizeof *nodes);
    if (nodes == NULL)
      return NULL;
    out->nodes = nodes;
    out->room = count;
  }
  count = 0;
  out->nodes[count++].data = out->key;
  for (line = block; *line != '\0'; line = seer_block_next(line))
    if (!out->get || !curl_strnequal(line, "Content-", 8))
      out->nodes[count++].data = (char *)line;
  for (size_t i = 0; i < count; i++)
    out->nodes[i].next = i + 1 < count ? &out->nodes[i + 1] : rest;
  return out->nodes;
}

struct curl_slist *seer_outgoing_headers(seer_outgoing *out) {
  const seer_special *special = seer_event_special(out->event);
  const char *over = special != NULL ? special->headers : NULL;
  if (!out->foreign && !out->get && over == NULL)
    return out->list = link_lines(out, "", out->site->list);
  seer_buffer_reset(&out->lines, KEPT);
  seer_block_merge(&out->lines, SEER_BLOCK_HEADERS,
                   out->foreign ? seer_site_own_headers : out->site->headers,
                   out->foreign ? NULL : over);
  out->list = out->lines.error ? NULL : link_lines(out, out->lines.data, NULL);
  return out->list;
}

size_t seer_outgoing_mask(const seer_outgoing *out, char *text, size_t length,
                          bool cut) {
  return seer_secrets_mask(out->secrets.count > 0 ? &out->secrets
                                                  : &out->site->secrets,
                           text, length, cut);
}

/* A header as it would go out; its secret is not shown, however short. */
static void show_header(seer_buffer *out, const char *line) {
  const char *secret = seer_block_secret(line);
  if (secret == NULL || *secret == '\0') {
    seer_buffer_append(out, line, strlen(line) + 1);
  } else {
    seer_buffer_append(out, line, (size_t)(secret - line));
    seer_buffer_append(out, "***", sizeof "***");
  }
}

void seer_outgoing_preview(const seer_site *site, const seer_event *event,
                           seer_buffer *out) {
  seer_outgoing request;
  const struct curl_slist *header;
  const char *url;
  bool known;
  seer_outgoing_init(&request);
  known = seer_outgoing_reset(&request, site, event);
  url = seer_outgoing_url(&request);
  header = seer_outgoing_headers(&request);
  if (!known || url == NULL || header == NULL)
    out->error = SEER_BUFFER_NOMEM;
  else
    seer_buffer_append(out, url, strlen(url) + 1);
  for (; header != NULL; header = header->next)
    show_header(out, header->data);
  seer_buffer_byte(out, '\0');
  if (!out->error)
    out->length = seer_outgoing_mask(&request, out->data, out->length, false);
  seer_outgoing_clear(&request);
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

/* The same address in another zone, which may have a capital letter, is
   another host. */
static bool same_part(CURLU *one, CURLU *other, CURLUPart part) {
  char *first = NULL, *second = NULL;
  CURLUcode got = curl_url_get(one, part, &first, CURLU_DEFAULT_PORT);
  bool same =
      curl_url_get(other, part, &second, CURLU_DEFAULT_PORT) == got &&
      (got == CURLUE_NO_ZONEID ||
       (got == CURLUE_OK &&
        (part == CURLUPART_ZONEID ? strcmp(first, second) == 0
                                  : curl_strequal(first, second) != 0)));
  curl_free(first);
  curl_free(second);
  return same;
}

static bool same_origin(CURLU *one, CURLU *other) {
  return same_part(one, other, CURLUPART_SCHEME) &&
         same_part(one, other, CURLUPART_HOST) &&
         same_part(one, other, CURLUPART_ZONEID) &&
         same_part(one, other, CURLUPART_PORT);
}

static bool is_plain(const char *url) {
  return curl_strnequal(url, "http:", 5) != 0;
}

static bool is_secure(const char *url) {
  return curl_strnequal(url, "https:", 6) != 0;
}

/* Keeps the place that `location` means; or returns why not. */
static const char *resolve(seer_outgoing *out, CURLU *from, CURLU *to,
                           const char *location, bool *leaves) {
  const char *current = seer_outgoing_url(out);
  CURLUcode code = CURLUE_OUT_OF_MEMORY;
  curl_free(out->next_url);
  out->next_url = NULL;
  if (from != NULL && to != NULL && current != NULL &&
      curl_url_set(from, CURLUPART_URL, current, 0) == CURLUE_OK &&
      curl_url_set(to, CURLUPART_URL, current, 0) == CURLUE_OK)
    code = curl_url_set(to, CURLUPART_URL, location, CURLU_DISALLOW_USER);
  if (code == CURLUE_USER_NOT_ALLOWED)
    return "redirect to a URL with user information";
  if (code == CURLUE_OK)
    curl_url_get(to, CURLUPART_URL, &out->next_url, 0);
  if (code == CURLUE_OK && out->next_url == NULL)
    return "redirect, and no memory to follow it";
  if (code != CURLUE_OK ||
      (!is_plain(out->next_url) && !is_secure(out->next_url)))
    return "redirect to what is no http or https URL";
  if (!is_plain(current) && is_plain(out->next_url))
    return "redirect from https to http refused";
  *leaves = !same_origin(from, to);
  return NULL;
}

static const char *find_next(seer_outgoing *out, const seer_incoming *in,
                             bool *leaves) {
  char location[4096];
  CURLU *from, *to;
  const char *refusal;
  if (!seer_incoming_find(in, "location", location, sizeof location))
    return seer_incoming_has(in, "location") ? "redirect to a URL too long"
                                             : "redirect without a location";
  if (location[0] == '\0' || location[0] == '#')
    return "redirect without a location";
  if (out->redirects >= SEER_OUTGOING_REDIRECTS)
    return "too many redirects";
  from = curl_url();
  to = curl_url();
  refusal = resolve(out, from, to, location, leaves);
  curl_url_cleanup(from);
  curl_url_cleanup(to);
  return refusal;
}

bool seer_outgoing_find_redirect(seer_outgoing *out, const seer_incoming *in,
                                 const char **refusal) {
  bool leaves = false, keeps = in->status == 307 || in->status == 308;
  *refusal = NULL;
  if (!is_redirect(in->status))
    return false;
  *refusal = find_next(out, in, &leaves);
  if (*refusal != NULL)
    return false;
  if (out->event->request == NULL && (!keeps || leaves)) {
    *refusal = keeps ? "redirect to another origin"
                     : "redirect that would drop the body";
    return false;
  }
  out->get = out->get || !keeps;
  out->foreign = out->foreign || leaves;
  return true;
}

void seer_outgoing_redirect(seer_outgoing *out) {
  curl_free(out->url);
  out->url = out->next_url;
  out->next_url = NULL;
  out->redirects++;
}
