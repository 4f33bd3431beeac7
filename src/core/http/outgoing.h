#pragma once

/*
 * Inside http: a request as it goes out: where to, and with which headers.
 *
 * Most requests are like all others of their site but for the
 * Idempotency-Key. A request may have headers, a query or a path of its own.
 * After a redirect to another origin the SDK's own headers are left, without
 * the key.
 */

#include "core/base/event.h"
#include "core/http/incoming.h"
#include "core/http/site.h"

#define SEER_OUTGOING_REDIRECTS 10

typedef struct seer_outgoing {
  seer_site *site;
  const seer_site_parts *parts; /* of the site */
  const seer_event *event;
  bool foreign; /* has been sent to another origin */
  bool get;     /* has become a GET, without a body */
  int redirects;
  char *own_url;  /* where it begins, if not where others do; or NULL */
  char *url;      /* where it was redirected to, for curl_free; or NULL */
  char *next_url; /* where it is to go next */
  struct curl_slist *list;     /* what seer_outgoing_headers gave... */
  struct curl_slist *own_list; /* ...if not the site's, but for the key... */
  char *own_headers;           /* ...a block */
  seer_secrets secrets;        /* if it has some; the site's are among them */
  char *targets;               /* of where it was redirected to */
} seer_outgoing;

/* False without memory, also to know its secrets: then it must not be used,
   only cleared. */
bool seer_outgoing_init(seer_outgoing *out, seer_site *site,
                        const seer_event *event);
void seer_outgoing_clear(seer_outgoing *out);

/* Where it goes. */
const char *seer_outgoing_url(const seer_outgoing *out);

/* What libcurl may have to look up for that, see url.h; NULL without memory.
   Valid until the next call. */
const char *seer_outgoing_targets(seer_outgoing *out);

/* The headers, valid until the next call; NULL without memory. */
struct curl_slist *seer_outgoing_headers(seer_outgoing *out);

/* Whether an answer is a redirect that is to be followed. If it is, the next
   place is kept for seer_outgoing_redirect. If it is one that must not be,
   `*refusal` is why, else NULL. What somebody waits for is followed as a
   browser would; anything else only where nothing of it is lost. */
bool seer_outgoing_find_redirect(seer_outgoing *out, const seer_incoming *in,
                                 const char **refusal);

/* Makes it a request to the next place. */
void seer_outgoing_redirect(seer_outgoing *out);

/* Masks the secrets of the site, as seer_site_mask does, and those of the
   request itself. */
size_t seer_outgoing_mask(const seer_outgoing *out, char *text, size_t length,
                          bool cut);

/* Appends how the event would go out: the URL and a zero, then its headers
   as a block, with *** for the secrets. */
void seer_outgoing_preview(seer_site *site, const seer_event *event,
                           seer_buffer *out);
