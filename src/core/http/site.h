#ifndef SEER_HTTP_SITE_H
#define SEER_HTTP_SITE_H

/*
 * Inside http: what transfers to one site share. Built on a thread of the
 * host's, constant afterwards except for references and the count of
 * connected transfers, which the lock guards.
 */

#include "core/base/buffer.h"
#include "core/http/http.h"

#include <curl/curl.h>

#pragma GCC visibility push(hidden)

#define SEER_SITE_SECRETS 12     /* at most, with a NULL after the last */
#define SEER_SITE_LEAST_SECRET 4 /* bytes: a shorter one stands anywhere */

struct seer_site {
  seer_site *next;              /* of the same endpoint */
  uint64_t serial;              /* no two sites of a process share it */
  int references;               /* of queues */
  char *base_url;               /* without the slash at its end */
  char *urls[SEER_ROWS];        /* of each kind, with the query */
  char *headers;                /* a block: the client's over the SDK's */
  char *given_headers;          /* the client's alone */
  char *query;                  /* a block */
  bool resolve;                 /* when it is made */
  bool resolved;                /* whether that was tried */
  struct curl_slist *addresses; /* of the host, as libcurl takes them */
  struct curl_slist *list;      /* of `headers` */
  char *api_key;
  char *proxy;                      /* "": none */
  char *no_proxy;                   /* "": none */
  char *ca_file;                    /* NULL: libcurl's own */
  char *ca_blob;                    /* NULL: none */
  long http_version;                /* as libcurl names it */
  int http_given;                   /* as it was given */
  char *secrets[SEER_SITE_SECRETS]; /* to be masked; NULL after the last */
  int connected;        /* transfers whose connection is established */
  int64_t connected_at; /* when one was last, or began to be */
  int flying;           /* transfers; this and the rest are the thread's */
  int suspects;         /* of these, those from before the last timeout */
  uint64_t timeouts;    /* of transfers, but for such suspects */
  int64_t timed_out_at; /* when the last of these was */
};

/* A block: what every request says, unless somebody has put another line
   over it, and what another origin may see. */
extern const char seer_site_own_headers[];

/* Looks up the hosts that it may connect to, its own and its proxy's, for
   CURLOPT_RESOLVE. While it is made, or by the one who sends. */
void seer_site_look_up(seer_site *site);

/* The list with the addresses of the URL's host, unless that is an address
   itself, or nobody knows any. The scheme may be missing, as in a proxy's.
   Waits for the resolver. */
struct curl_slist *seer_site_resolve(struct curl_slist *list, const char *text,
                                     bool of_proxy);

/* Appends a path and, when the block has any, the parameters of a query. */
void seer_site_write_path(seer_buffer *out, const char *path,
                          const char *query);

#pragma GCC visibility pop

#endif
