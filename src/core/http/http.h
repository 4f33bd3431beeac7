#pragma once

/*
 * Requests over libcurl's multi interface, which the files in this folder
 * alone know.
 *
 * A pool has transfers, each to a site, and connections. It belongs to the
 * thread that sends; the lock is not needed for it. Nothing here follows a
 * redirect away from the site's origin with a secret, or reads more of an
 * answer than it must. No other file of this folder includes this one.
 */

#include "core/http/site.h"
#include "core/http/transfer.h"

typedef struct seer_http seer_http;

/* Loads libcurl; false if it cannot start. Before any other call. */
bool seer_http_init(void);

/* An empty pool without connections, which rings the alarm when it may go on
   without that the network moved; NULL without memory. */
seer_http *seer_http_new(int alarm);

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
  int64_t connection_age;  /* ms; an older one is not used again */
  bool thorough;           /* somebody will read all of the answer */
} seer_sending;

/* Starts to send. NULL without memory. */
seer_transfer *seer_http_start(seer_http *http, const seer_sending *sending);

/* Moves all transfers on, without waiting. */
void seer_http_perform(seer_http *http);

/* Gives connections that have not answered since the first of these calls
   three seconds to show that they are alive, for there may not be time to find
   out otherwise. Transfers over them that get no answer until then time out.
   Others that were used before have their time, and then one to connect.
   Takes the lock. */
void seer_http_hurry(seer_http *http);

/* A transfer that has finished, or NULL; the caller discards it. If a host
   has to be looked up for one, and no thread can do so, it stays in flight if
   the caller has the `time` (ms) for seer_http_look_up. */
seer_transfer *seer_http_finished(seer_http *http, int64_t time);
void seer_http_discard(seer_transfer *transfer);

/* Sends a transfer that was redirected to its new place; false if it cannot
   be, and the transfer is finished as it is. */
bool seer_http_follow(seer_http *http, seer_transfer *transfer);

/* Looks up a host for which the system refused a thread, and returns true; or
   there is none. Cannot be interrupted, and is not meant for the thread. */
bool seer_http_look_up(seer_http *http);

/* Waits up to `timeout` ms for a transfer to move, or the alarm; true if the
   alarm rang. */
bool seer_http_poll(seer_http *http, int alarm, int timeout);
