#pragma once

/*
 * A site is an endpoint made ready for libcurl: what the requests of like
 * clients share, such as URLs, headers and proxy. Built on a thread of the
 * host's, constant afterwards except for references and the count of
 * connected transfers, which the lock guards. Much of it most clients of many
 * never need: that is made when it is first asked for, by any thread.
 */

#include "core/base/kinds.h"
#include "core/base/mask.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct curl_slist;
struct Curl_URL;

typedef struct seer_site seer_site;

/* What tells sites apart. In a site, the texts are its own but for the first
   two, which are its endpoint's, and "" for NULL. */
typedef struct seer_site_options {
  const char *base_url, *api_key;
  const char *proxy;    /* "": none; NULL: what the environment says */
  const char *no_proxy; /* hosts to be reached without the proxy, or NULL */
  const char *ca_file;  /* NULL: $SSL_CERT_FILE, else libcurl's own... */
  const char *ca_blob;  /* ...unless these are given, as PEM */
  const char *identity; /* a private key and certificates, as PEM, or NULL */
  const char *key_password; /* or NULL */
  int http_version;         /* 1 or 2; 0: the better one */
  bool threadless;          /* what is to be looked up is, now */
  const char *headers;      /* blocks, see block.h; or NULL */
  const char *query;
} seer_site_options;

/* What requests are made of. */
typedef struct seer_site_parts {
  char *urls[SEER_ROWS];   /* of each kind, with the query */
  char *headers;           /* a block: the client's over the SDK's... */
  struct curl_slist *list; /* ...and as libcurl reads them */
} seer_site_parts;

struct seer_site {
  seer_site *next;           /* of the same endpoint */
  int references;            /* of clients */
  int connected;             /* transfers whose connection is established */
  seer_site_options options; /* what it was made with */
  seer_site_parts *parts;    /* NULL until they are made; and those... */
  seer_secrets *secrets;     /* ...to be masked */
  const char *targets;       /* to be looked up, see url.h */
  struct Curl_URL *parsed[SEER_ROWS]; /* of libcurl; the sending thread's */
  uint64_t number;       /* of those for which handles are made alike */
  long http_version;     /* as libcurl names it */
  long tls_version;      /* the same, where HTTP/2 is wanted */
  int64_t connected_at;  /* when one was last, or began to be */
  int64_t doubted_until; /* at exit: until then old connections may show their
                            life, or it was not its turn; then it connects */
  int flying;            /* transfers; this and the rest are the thread's */
  int suspects;          /* of these, those from before the last timeout */
  uint64_t timeouts;     /* of transfers, but for such suspects */
  int64_t timed_out_at;  /* when the last of these was */
  int64_t broke_at;      /* when a used connection did, by seer_clock_boot */
};

/* Whether this libcurl knows HTTP/2, which it speaks over TLS alone here. */
bool seer_site_has_http2(void);

/* A site with one reference, or NULL without memory. Reads the environment
   for proxies (http_proxy, https_proxy, all_proxy and no_proxy, as curl does)
   and SSL_CERT_FILE, so call it on a thread of the host's. */
seer_site *seer_site_new(const seer_site_options *options);
void seer_site_free(seer_site *site);

/* These are made with the first call; NULL without memory. */
const seer_site_parts *seer_site_get_parts(seer_site *site);
const seer_secrets *seer_site_get_secrets(seer_site *site);

/* Whether requests to both, which are of the same endpoint, go out in the same
   way. */
bool seer_site_equals(const seer_site *one, const seer_site *other);

/* Puts *** in the place of the key, of what logs in at the proxy and of the
   client's own secret headers, wherever they stand in `text`, as they are or
   escaped as in JSON, and, when the text was cut off, of the part of one that
   may stand at the end. Without memory, in the place of all. Returns the
   length; what has become shorter ends with a zero. */
size_t seer_site_mask(seer_site *site, char *text, size_t length, bool cut);

/* Adds what is secret in a block of headers; false without memory. */
bool seer_site_secrets_add(seer_secrets *secrets, const char *block);

/* What is secret of a site with these options; NULL without memory. */
seer_secrets *seer_site_secrets_new(const seer_site_options *options);
void seer_site_secrets_free(seer_secrets *secrets);

/* Whether a transfer of the site has been connected since `time`, or is
   still. With the lock held. */
bool seer_site_connected(const seer_site *site, int64_t time);

/* In the child of a fork: its transfers and connections are the parent's. */
void seer_site_forget(seer_site *site);

/* A block: what every request says, unless somebody has put another line
   over it, and what another origin may see. */
extern const char seer_site_own_headers[];

/* The URL of a path with the parameters of a query, a block, if there are any;
   for the caller to free. NULL without memory. */
char *seer_site_make_url(const seer_site *site, const char *path,
                         const char *query);

/* The URL of a kind, parsed when it is used first; NULL without memory. For
   the thread that sends. */
struct Curl_URL *seer_site_parsed(seer_site *site, int kind);

/* The lines of a block of headers as libcurl reads them, which stay where they
   are, without those of a body if there is none; to be freed. NULL without
   memory. */
struct curl_slist *seer_site_list(const char *block, bool bodiless);
