#ifndef SEER_HTTP_SITE_H
#define SEER_HTTP_SITE_H

/*
 * Inside http: what transfers to one site share. Built on a thread of the
 * host's, constant afterwards except for the count of connected transfers,
 * which the lock guards.
 */

#include "http.h"

#include <curl/curl.h>

#pragma GCC visibility push(hidden)

struct seer_site {
  uint64_t serial;            /* no two sites of a process share it */
  char *urls[2];              /* by seer_kind */
  struct curl_slist *headers; /* of every request */
  char *api_key;
  char *proxy;       /* "": none */
  char *proxy_login; /* the part of it before the @; or NULL */
  char *no_proxy;    /* "": none */
  char *ca_file;     /* NULL: libcurl's own */
  int connected;     /* transfers whose connection is established */
  int64_t connected_at;
};

/* Overwrites the key, and what logs in at the proxy, wherever it stands in
   `text`, as it is or escaped as in JSON, and, when the text was cut off, the
   part of it that may stand at the end. */
void seer_site_mask(const seer_site *site, char *text, size_t length,
                    bool cut);

/* The absolute URL that `location` means when `url` answers with it, if it
   has the same scheme, host and port; else NULL. The caller frees it with
   curl_free. */
char *seer_site_same_origin(const char *url, const char *location);

#pragma GCC visibility pop

#endif
