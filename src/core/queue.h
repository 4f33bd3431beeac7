#pragma once

/*
 * The bounded queue of one client's events, in memory. It owns every event
 * from put to done, and counts what becomes of each.
 *
 * The sender takes events through put, claim, release and done and knows no
 * more of them: this is the seam where queues that outlive the process can
 * be fitted. An event is in one of these places: ready (in a line, first in
 * first out), delayed (in a heap by the time it is due), following (an
 * identify behind an unsettled one of the same user), or in flight.
 * Waited-for requests have a line of their own, which is served first.
 *
 * But for the first, the functions here are called with the lock held; they
 * only move pointers. Events that are done with go to a caller's list of the
 * dead, to be freed when the lock is given up.
 */

#include "dead.h"
#include "line.h"
#include "notice.h"
#include "pace.h"
#include "settings.h"
#include "turns.h"

typedef struct seer_endpoint seer_endpoint;

typedef enum seer_submitted {
  SEER_ACCEPTED,    /* the queue has taken the event */
  SEER_QUEUE_FULL,  /* max_queue_events or max_queue_bytes */
  SEER_QUEUE_CLOSED /* the client is, or the process has stopped sending */
} seer_submitted;

/* A client, as one of those that share an endpoint. It has one reference to
   each of what it sends by. */
typedef struct seer_party {
  struct seer_party *next, *previous; /* of the same endpoint */
  seer_endpoint *endpoint;
  struct seer_site *site;
  const seer_settings *settings;
  seer_queue *queue; /* its own; NULL before its first event */
} seer_party;

struct seer_queue {
  seer_party *party; /* whose these three are: */
  const seer_settings *settings;
  seer_endpoint *endpoint;
  struct seer_site *site;
  seer_queue *next_dead;
  seer_line line[SEER_URGENCIES];
  seer_turns turns;
  struct seer_tenant *tenant; /* its place in a store, or NULL */
  int in_flight;              /* requests */
  seer_event *flying;    /* in flight: a list by `next`, back by `child` */
  int64_t events, bytes; /* owned */
  int64_t held_events, held_bytes; /* of these, not to be displaced */
  int64_t accepted, pending;
  int64_t settled[SEER_SETTLEMENTS];
  int64_t entering, saved; /* pending, with the keeper, and in the store */
  int64_t entering_bytes;
  int64_t staying, staying_bytes; /* of those that the keeper is putting */
  int64_t refused;                /* not accepted: no room, or closed */
  int64_t invalid;                /* not even tried */
  int64_t doubtful;               /* delivered, as far as the status says */
  uint32_t forks;                 /* times that it came into a child */
  uint32_t generation;            /* number of flushes so far */
  int64_t before_flush;           /* pending events of earlier generations */
  bool orphan;                    /* its client is gone */
  seer_notices notices;           /* for the callbacks */
  seer_pace pace;                 /* for its own limit */
  char last_error[200];
  seer_trouble troubles[SEER_TROUBLES]; /* told to the logger, if any... */
  seer_trouble drops[SEER_SETTLEMENTS]; /* ...and these too */
  int64_t drops_told[SEER_SETTLEMENTS];
  seer_hand hand; /* its client's thread's */
};

void seer_queue_init(seer_queue *queue, seer_party *party, seer_lines *lines);

/* Takes an event. If there is no room, settles what has expired; then, with
   drop_oldest, displaces as many as it must. `now` may be a coarse one. */
seer_submitted seer_queue_put(seer_queue *queue, seer_event *event,
                              int64_t now, seer_dead *dead);

/* True if the sender, who may be asleep, has to look again: something else is
   the first of a line than when it looked last. */
static inline bool seer_queue_has_news(const seer_queue *queue) {
  return queue->line[SEER_QUEUED].lines->place.listed;
}

/* The next ready event of a line, now in flight; NULL if there is none.
   Expired and cancelled ones on the way are settled. */
seer_event *seer_queue_claim(seer_line *line, int64_t now, seer_dead *dead);

/* The keeper begins to store an event, which is not displaced meanwhile. */
void seer_queue_storing(seer_queue *queue, seer_event *event);

/* The keeper is done with an event: it is sent from here now, or it is in the
   store alone. */
void seer_queue_entered(seer_queue *queue, seer_event *event);
void seer_queue_leave(seer_queue *queue, seer_event *event, seer_dead *dead);

/* Takes over an event that the store has had. */
void seer_queue_adopt(seer_queue *queue, seer_event *event);

/* Hands an event that is in no line to the keeper. One that the store has is
   put there once more. */
void seer_queue_enter(seer_queue *queue, seer_event *event);

/* Puts an event in flight back, behind the others, not to be claimed
   before `due`; whoever waits for it waits for so much longer. */
void seer_queue_release(seer_queue *queue, seer_event *event, int64_t due,
                        int64_t now);

/* Settles an event in flight. Its request, if any, must have its outcome;
   whoever waits for it is woken. */
void seer_queue_done(seer_queue *queue, seer_event *event,
                     seer_settlement settlement, seer_dead *dead);

/* Settles an event in flight that was rejected. `why`, if not NULL, is a
   request with one reference and the outcome, for on_error; the result says
   whether it was taken. */
bool seer_queue_reject(seer_queue *queue, seer_event *event, seer_request *why,
                       seer_dead *dead);

/* Leaves an event that was rejected, with its request and outcome, for
   on_error; false if there is nobody to hear of it. */
bool seer_queue_give_up(seer_queue *queue, seer_event *event, seer_dead *dead);

/* Settles a request on behalf of its waiter. Its event leaves the queue at
   once, wherever it stands, unless it is in flight or not due yet: then it
   does when that is over. */
void seer_queue_cancel(seer_queue *queue, seer_request *request, int64_t now,
                       seer_dead *dead);

/* Makes those delayed events ready whose time has come. */
void seer_queue_wake(seer_line *line, int64_t now);

/* Makes all delayed events ready. */
void seer_queue_hurry(seer_line *line);

/* Settles the expired and cancelled events at the head of a line. */
void seer_queue_expire(seer_line *line, int64_t now, seer_dead *dead);

/* Settles all events that are not in flight. */
void seer_queue_drop_all(seer_queue *queue, seer_settlement settlement,
                         seer_dead *dead);

/* In the child of a fork: the parent has the events, those in flight too;
   this queue starts anew. If it may not be `whole`, because another thread was
   changing it when the process was copied, what it owned is not even freed. */
void seer_queue_forget(seer_queue *queue, bool whole, seer_dead *dead);
