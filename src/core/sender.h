#pragma once

/*
 * What clients ask of the one background thread of the process. Where there
 * is none, because the system grants none or the client wants none, those
 * who wait for something do its work meanwhile.
 *
 * A client owns a queue and speaks to the sender through the functions
 * below. All of them take the process-wide lock, hold it for a few pointer
 * moves, and call neither libcurl nor Lua nor the allocator under it. Those
 * that wait do so on the monotonic clock and return when their time is up,
 * whether or not the sender is alive.
 */

#include "queue.h"
#include "store.h"

/* A client's queue at some moment, copied for its counts: all zero without
   one. */
typedef struct seer_stats {
  seer_queue queue;   /* its last error may be of what was adopted */
  int64_t rate;       /* requests a minute at present; 0: no limit */
  int64_t retry_in;   /* ms until the next try; -1: not held */
  const char *sender; /* "none", "running", "stopped" */
} seer_stats;

/* What has become of the store, and of what was adopted there. */
typedef struct seer_store_stats {
  const char *name, *state; /* "closed", "open", "full", "failing", "barred" */
  seer_store_message error; /* the last; "": none */
  seer_store_totals totals;
  int64_t displaced, unsaved;
  seer_queue adopted; /* a copy, likewise */
} seer_store_stats;

/* Gives a client its queue, which sends by way of `store`, unless that is
   NULL; NULL without memory. The queue owns the party from then on. */
seer_queue *seer_sender_open(seer_party *party,
                             const seer_store_object *store);

/* The client is gone: what is queued is still sent, then the queue frees
   itself. Waits for nothing, so that __gc may call it. */
void seer_sender_release(seer_queue *queue);

/* Hands an event over and starts or wakes the sender. The queue owns the
   event if, and only if, the result is SEER_ACCEPTED. An event with a
   request needs two references to it: the waiter's and its own. */
seer_submitted seer_sender_submit(seer_queue *queue, seer_event *event);

/* Adds one to a count of a queue: of what it has not accepted. */
void seer_sender_count(int64_t *count);

/* Counts an event as accepted and settled at once. */
void seer_sender_account(seer_queue *queue, seer_settlement settlement);

/* Waits until `request` is settled, or `deadline` (monotonic ms; 0 to look
   without waiting); true if it is settled, so that `request->outcome` can be
   read. When even its retries must be over, or its first attempt could not
   begin within its timeout, it is cancelled with SEER_FAILURE_TIMEOUT.
   Without a queue, which is one that is gone, nothing is waited for. Without
   a thread, one step of sending is made even if `deadline` is 0. */
bool seer_sender_wait(seer_queue *queue, seer_request *request,
                      int64_t deadline);

/* One more reference of a waiter. Takes the lock. */
void seer_sender_refer(seer_request *request);

/* Gives the waiter's reference back; whoever is last frees the request. A
   future may have asked in vain or not at all: then a failure goes to the
   on_error of `queue`. Without a queue, nobody hears. */
void seer_sender_leave(seer_queue *queue, seer_request *request);

/* Waits until all that was accepted before the call is settled; false if
   `timeout` ms were not enough. */
bool seer_sender_flush(seer_queue *queue, int64_t timeout);

/* Waits until all that was accepted before is in the store, or settled; false
   if `timeout` ms were not enough. Of a client with a store. */
bool seer_sender_persist(seer_queue *queue, int64_t timeout);

/* Where there is no thread, sends what can be sent in `timeout` ms, at least
   what needs no waiting. Returns how many events of the client are left. */
int64_t seer_sender_pump(const seer_party *party, int64_t timeout);

/* A consistent copy of the counts; and of those of the store, which the client
   has. */
void seer_sender_stats(const seer_party *party, seer_stats *stats);
void seer_sender_store_stats(seer_queue *queue, seer_store_stats *stats);
