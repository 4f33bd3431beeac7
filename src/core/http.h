#ifndef SEER_HTTP_H
#define SEER_HTTP_H

/*
 * Requests over libcurl's multi interface: the only file that knows it.
 *
 * A site is an endpoint made ready for libcurl: URLs, headers, proxy. A
 * transfer is one request in flight and, when it has finished, its answer.
 * The pool of transfers and the connections belong to the thread that
 * sends; the lock is not needed for them. Nothing here follows a redirect
 * away from the site's origin or reads more of an answer than it must.
 */

#include "retry.h"
#include "sender.h"

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define SEER_HTTP_BODY_LIMIT 65536    /* of an answer that is waited for */
#define SEER_HTTP_HEADERS_LIMIT 16384 /* of any answer */
#define SEER_HTTP_REDIRECTS 10

typedef struct seer_http seer_http;
typedef struct seer_site seer_site;

typedef struct seer_transfer {
  seer_queue *queue; /* these four are the caller's to set and read */
  seer_event *event;
  seer_endpoint *endpoint;
  uint32_t epoch;

  seer_answer answer; /* these are valid when it has finished */
  int sent;           /* times that the request went over the wire */
  bool redirected;    /* seer_http_follow can go on */
  char *headers;      /* of a waiter's; owned by the transfer; or NULL */
  size_t headers_length;
  char *body;
  size_t body_length;
  char message[200]; /* the answer in a line: "401 {...}", "timed out" */
} seer_transfer;

/* Loads libcurl; false if it cannot start. Before any other call. */
bool seer_http_init(void);

/* Why `url` cannot be a base URL, or NULL if it can: http or https, a host,
   no user information, query or fragment. */
const char *seer_http_check_url(const char *url);

/* True if the URL's host is "localhost" or a loopback address. */
bool seer_http_is_loopback(const char *url);

/* Reads the environment for proxies (http_proxy, https_proxy, all_proxy and
   no_proxy, as curl does) and SSL_CERT_FILE, so call it on a thread of the
   host's. NULL without memory. */
seer_site *seer_site_new(const char *base_url, const char *api_key);
void seer_site_free(seer_site *site);

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

/* Starts to send the event; its body must stay until the transfer has
   finished. Times in ms. NULL without memory. */
seer_transfer *seer_http_start(seer_http *http, seer_site *site,
                               seer_event *event, int64_t timeout,
                               int64_t connect_timeout);

/* Moves all transfers on, without waiting. */
void seer_http_perform(seer_http *http);

/* A transfer that has finished, or NULL. The caller gives it back. */
seer_transfer *seer_http_finished(seer_http *http);
void seer_http_recycle(seer_http *http, seer_transfer *transfer);

/* Sends a transfer that was redirected to its new place; false if it cannot
   be, and the transfer is finished as it is. */
bool seer_http_follow(seer_http *http, seer_transfer *transfer);

/* Waits up to `timeout` ms for a transfer to move, or the alarm; true if the
   alarm rang. */
bool seer_http_poll(seer_http *http, int alarm, int timeout);

#pragma GCC visibility pop

#endif
