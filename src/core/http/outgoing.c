#include "core/http/outgoing.h"

#include "core/base/block.h"
#include "core/base/mask.h"
#include "core/http/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

/* The request's own secrets, with those of its site. */
static bool find_secrets(seer_outgoing *out) {
  const seer_special *special = seer_event_special(out->event);
  const seer_secrets *sites;
  if (special == NULL || special->headers == NULL)
    return true;
  if (!seer_site_secrets_add(&out->secrets, special->headers))
    return false;
  if (out->secrets.count == 0)
    return true;
  sites = seer_site_get_secrets(out->site);
  return sites != NULL && seer_secrets_copy(&out->secrets, sites);
}

static bool set_url(seer_outgoing *out) {
  const seer_special *special = seer_event_special(out->event);
  seer_buffer query;
  if (special == NULL || (special->path == NULL && special->query == NULL))
    return true;
  seer_buffer_init(&query, SIZE_MAX / 2);
  seer_block_merge(&query, SEER_BLOCK_QUERY, out->site->options.query,
                   special->query);
  if (!query.error)
    out->own_url =
        seer_site_make_url(out->site, seer_event_path(out->event), query.data);
  seer_buffer_clear(&query);
  return out->own_url != NULL;
}

bool seer_outgoing_init(seer_outgoing *out, seer_site *site,
                        const seer_event *event) {
  memset(out, 0, sizeof *out);
  out->site = site;
  out->event = event;
  out->parts = seer_site_get_parts(site);
  return out->parts != NULL && set_url(out) && find_secrets(out);
}

static void free_headers(seer_outgoing *out) {
  free(out->list);
  free(out->own_list);
  free(out->own_headers);
  out->list = out->own_list = NULL;
  out->own_headers = NULL;
}

void seer_outgoing_clear(seer_outgoing *out) {
  free(out->own_url);
  curl_free(out->url);
  curl_free(out->next_url);
  free_headers(out);
  free(out->targets);
  seer_secrets_clear(&out->secrets);
}

const char *seer_outgoing_url(const seer_outgoing *out) {
  if (out->url != NULL)
    return out->url;
  return out->own_url != NULL ? out->own_url
                              : out->parts->urls[out->event->kind];
}

const char *seer_outgoing_targets(seer_outgoing *out) {
  const seer_site *site = out->site;
  if (out->url == NULL)
    return site->targets;
  free(out->targets);
  out->targets =
      seer_url_targets(out->url, site->options.proxy, site->options.no_proxy);
  return out->targets;
}

#define KEY_NAME "Idempotency-Key: "

/* The line of the key, before the others. */
static struct curl_slist *put_key(seer_outgoing *out,
                                  struct curl_slist *others) {
  const seer_special *special = seer_event_special(out->event);
  const char *given = special != NULL ? special->key : NULL;
  size_t size = given != NULL ? strlen(given) : SEER_ID_LENGTH;
  char *value;
  out->list = malloc(sizeof *out->list + sizeof KEY_NAME + size);
  if (out->list == NULL)
    return NULL;
  out->list->data = (char *)(out->list + 1);
  out->list->next = others;
  memcpy(out->list->data, KEY_NAME, sizeof KEY_NAME);
  value = out->list->data + sizeof KEY_NAME - 1;
  if (given != NULL)
    strcpy(value, given);
  else
    seer_id_text(out->event->id, value);
  return out->list;
}

/* The lines of a request that has not those of its site. */
static struct curl_slist *own_lines(seer_outgoing *out, const char *over) {
  seer_buffer lines;
  seer_buffer_init(&lines, SIZE_MAX / 2);
  seer_block_merge(&lines, SEER_BLOCK_HEADERS,
                   out->foreign ? seer_site_own_headers : out->parts->headers,
                   out->foreign ? NULL : over);
  out->own_headers = seer_buffer_take(&lines);
  if (out->own_headers != NULL)
    out->own_list = seer_site_list(out->own_headers, out->get);
  return out->own_list;
}

struct curl_slist *seer_outgoing_headers(seer_outgoing *out) {
  const seer_special *special = seer_event_special(out->event);
  const char *over = special != NULL ? special->headers : NULL;
  struct curl_slist *others = out->parts->list;
  free_headers(out);
  if (over != NULL || out->foreign || out->get)
    others = own_lines(out, over);
  return others != NULL ? put_key(out, others) : NULL;
}

size_t seer_outgoing_mask(const seer_outgoing *out, char *text, size_t length,
                          bool cut) {
  return out->secrets.count > 0
             ? seer_secrets_mask(&out->secrets, text, length, cut)
             : seer_site_mask(out->site, text, length, cut);
}

/* A header as it would go out; its secret is not shown, however short. */
static void show_header(seer_buffer *out, const char *line) {
  const char *secret = seer_block_secret(line);
  if (secret == NULL || *secret == '\0') {
    seer_buffer_line(out, line);
  } else {
    seer_buffer_append(out, line, (size_t)(secret - line));
    seer_buffer_line(out, "***");
  }
}

void seer_outgoing_preview(seer_site *site, const seer_event *event,
                           seer_buffer *out) {
  seer_outgoing request;
  const struct curl_slist *header = NULL;
  if (seer_outgoing_init(&request, site, event) &&
      seer_site_get_secrets(site) != NULL)
    header = seer_outgoing_headers(&request);
  if (header == NULL)
    out->error = SEER_BUFFER_NOMEM;
  else
    seer_buffer_line(out, seer_outgoing_url(&request));
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
  if (from != NULL && to != NULL &&
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
