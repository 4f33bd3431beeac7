#ifndef SEER_HTTP_H
#define SEER_HTTP_H

/*
 * Requests over libcurl's multi interface: the http files alone know it.
 *
 * A site is an endpoint made ready for libcurl: URLs, headers, proxy. A
 * transfer is one request in flight and, when it has finished, its answer.
 * The pool of transfers and the connections belong to the thread that
 * sends; the lock is not needed for them. Nothing here follows a redirect
 * away from the site's origin or reads more of an answer than it must.
 */

#include "core/base/buffer.h"
#include "core/base/event.h"
#include "core/base/retry.h"

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define SEER_HTTP_BODY_LIMIT 65536    /* of an answer that is waited for */
#define SEER_HTTP_HEADERS_LIMIT 16384 /* of any answer */
#define SEER_HTTP_REDIRECTS 10

typedef struct seer_http seer_http;
typedef struct seer_site seer_site;

typedef struct seer_transfer {
  struct seer_queue *queue; /* these four are the caller's to set and read */
  seer_event *event;
  struct seer_endpoint *endpoint;
  uint32_t epoch;

  seer_answer answer; /* these are valid when it has finished */
  int sent;           /* times that the request went over the wire */
  bool redirected;    /* seer_http_follow can go on */
  char *headers;      /* if thorough; owned by the transfer; or NULL */
  size_t headers_length;
  char *body;
  size_t body_length;
  char message[200]; /* the answer in a line: "401 {...}", "timed out" */
} seer_transfer;

/* Loads libcurl; false if it cannot start. Before any other call. */
bool seer_http_init(void);

/* Why `url` cannot be a base URL, or NULL if it can: http or https, a host,
   no user information, query or fragment. */
const char *seer_http_check_url(const char *text);

/* True if the URL's host is "localhost" or a loopback address. */
bool seer_http_is_loopback(const char *url);

/* Why `text` cannot be the URL of a proxy, or NULL if it can. The result
   says nothing of the text: there may be a password in it. */
const char *seer_http_check_proxy(const char *text);

/* Whether this libcurl knows HTTP/2. */
bool seer_http_has_http2(void);

/* What tells sites apart. */
typedef struct seer_site_options {
  const char *base_url, *api_key;
  bool inherited;       /* from a site that has asked the environment */
  const char *proxy;    /* "": none; NULL: what the environment says */
  const char *no_proxy; /* hosts to be reached without the proxy, or NULL */
  const char
      *ca_file; /* NULL: $SSL_CERT_FILE, else libcurl's own, unless... */
  const char *ca_blob; /* ...these are given, as PEM */
  int http_version;    /* 1 or 2; 0: the better one */
  bool resolve;        /* look the host up now, once for all */
  const char *headers; /* blocks, see block.h; or NULL */
  const char *query;
} seer_site_options;

/* A site with one reference, or NULL without memory. Reads the environment
   for proxies (http_proxy, https_proxy, all_proxy and no_proxy, as curl does)
   and SSL_CERT_FILE, so call it on a thread of the host's. */
seer_site *seer_site_new(const seer_site_options *options);
void seer_site_free(seer_site *site);

/* The sites of an endpoint are a list. With the lock held; unrefer returns
   true, and has unlinked the site, if that was the last reference. */
void seer_site_link(seer_site **list, seer_site *site);
seer_site *seer_site_next(const seer_site *site);
void seer_site_refer(seer_site *site);
bool seer_site_unrefer(seer_site **list, seer_site *site);

/* Whether requests to both go out in the same way. */
bool seer_site_equals(const seer_site *one, const seer_site *other);

/* The options that the site was made with; the strings are the site's. */
void seer_site_get_options(const seer_site *site, seer_site_options *options);

/* Puts *** in the place of the key, of what logs in at the proxy and of the
   client's own secret headers, wherever they stand in `text`, as they are or
   escaped as in JSON, and, when the text was cut off, of the part of one that
   may stand at the end. Returns the length; what has become shorter ends
   with a zero. */
size_t seer_site_mask(const seer_site *site, char *text, size_t length,
                      bool cut);

/* Appends how the event would go out: the URL and a zero, then its headers
   as a block, with *** for the secrets. */
void seer_http_preview(const seer_site *site, const seer_event *event,
                       seer_buffer *out);

/* Whether a transfer of the site has been connected since `time`, or is
   still. With the lock held. */
bool seer_site_connected(const seer_site *site, int64_t time);

/* In the child of a fork: its transfers and connections are the parent's. */
void seer_site_forget(seer_site *site);

/* An empty pool without connections; NULL without memory. */
seer_http *seer_http_new(void);

/* Closes all connections and frees the pool, which must have no transfers
   in flight. */
void seer_http_free(seer_http *http);

/* In the child of a fork: closes the sockets, which are the parent's, with
   no word to the server, and leaves the rest alone. */
void seer_http_abandon(seer_http *http);

/* How an event is to be sent. */
typedef struct seer_sending {
  seer_site *site;
  seer_event *event;       /* stays until the transfer has finished */
  int64_t timeout;         /* ms, of the attempt */
  int64_t connect_timeout; /* ms */
  bool thorough;           /* somebody will read all of the answer */
  bool threadless; /* libcurl's resolver will be refused a thread, too */
} seer_sending;

/* Starts to send. NULL without memory. */
seer_transfer *seer_http_start(seer_http *http, const seer_sending *sending);

/* Moves all transfers on, without waiting. */
void seer_http_perform(seer_http *http);

/* A transfer that has finished, or NULL. The caller gives it back. */
seer_transfer *seer_http_finished(seer_http *http);
void seer_http_recycle(seer_http *http, seer_transfer *transfer);

/* Sends a transfer that was redirected to its new place; false if it cannot
   be, and the transfer is finished as it is. */
bool seer_http_follow(seer_http *http, seer_transfer *transfer);

/* What goes out, and what has come back, in a line without secrets, for
   debugging; at most `size` bytes, ended by a zero. */
void seer_http_trace_request(seer_transfer *transfer, char *text, size_t size);
void seer_http_trace_answer(seer_transfer *transfer, char *text, size_t size);

/* Waits up to `timeout` ms for a transfer to move, or the alarm; true if the
   alarm rang. */
bool seer_http_poll(seer_http *http, int alarm, int timeout);

#pragma GCC visibility pop

#endif
