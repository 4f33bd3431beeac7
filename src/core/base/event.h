#pragma once

/*
 * What travels: an event, ready to be sent, and the request that somebody
 * waits for, if anybody does.
 *
 * An event is one allocation: this header, the JSON body, for an identify
 * the record that keeps it in order, and what the request has of its own.
 * What is sent is fixed once it is submitted, and its id once it is claimed
 * first, so every attempt sends the same bytes under the same Idempotency-Key.
 * The header is small, for many events may be queued; the parts behind the
 * body have no pointer to them, but a function.
 */

#include "id.h"
#include "kinds.h"
#include "spare.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a request has of its own, where others have what their client has.
   The strings are the caller's until seer_event_new has copied them. */
typedef struct seer_special {
  int64_t timeout;     /* ms, of an attempt; 0: the client's */
  int64_t max_retries; /* -1: the client's */
  const char *path;    /* of a SEER_POST, may have a query; else NULL */
  const char *headers; /* blocks, see block.h; or NULL */
  const char *query;
  const char *key; /* its Idempotency-Key; NULL: made from the id */
} seer_special;

/* What has become of an event. */
typedef enum seer_settlement {
  SEER_SETTLED_DELIVERED,
  SEER_SETTLED_REJECTED,
  SEER_SETTLED_LEFT, /* to the store alone; another process may send it */
  SEER_DROPS,        /* this and the rest: without an answer */
  SEER_SETTLED_EXPIRED = SEER_DROPS, /* older than max_age */
  SEER_SETTLED_DISPLACED,            /* by a newer event, with drop_oldest */
  SEER_SETTLED_EXIT,                 /* the time to deliver at exit was up */
  SEER_SETTLED_DISABLED,             /* the client is not enabled */
  SEER_SETTLED_BEFORE_SEND,          /* the callback said so, or failed */
  SEER_SETTLED_SAMPLED,              /* not of the part that is to be sent */
  SEER_SETTLEMENTS
} seer_settlement;

/* What they are called: "delivered", "expired"... */
extern const char *const seer_settlement_names[SEER_SETTLEMENTS];

/* Why a request has no good answer. */
typedef enum seer_failure {
  SEER_FAILURE_NONE = 0,
  SEER_FAILURE_STATUS,     /* an answer, but not a 2xx */
  SEER_FAILURE_CONNECTION, /* no answer */
  SEER_FAILURE_REDIRECT,   /* a redirect that must not be followed */
  SEER_FAILURE_TIMEOUT,    /* no answer in time */
  SEER_FAILURE_PACED,      /* the pacer would have held it too long */
  SEER_FAILURE_CLOSED,     /* its queue ended first: fork, or exit */
  SEER_FAILURE_NOMEM
} seer_failure;

/* The answer to a waited-for request, or what came instead. The strings
   are owned by the outcome; the secrets in them are masked already. */
typedef struct seer_outcome {
  seer_failure failure;
  int status;    /* 0: none was received */
  char *headers; /* lines "Name: value\r\n", or NULL */
  size_t headers_length;
  char *body; /* or NULL */
  size_t body_length;
  char message[200]; /* why there was no answer */
} seer_outcome;

typedef struct seer_event seer_event;

/* A request that somebody waits for. Two hold it: the waiter, and its
   event until that is settled. The fields are guarded by the lock, except
   `outcome`: written before `settled` is set, and constant after. */
typedef struct seer_request {
  int64_t timeout; /* ms, of an attempt */
  int64_t max_retries;
  int64_t waits_until; /* or until it is settled; may move on */
  int references;
  bool settled;
  bool cancelled;    /* settled by the waiter: send it no more */
  bool away;         /* its event is in flight, or delayed */
  bool future;       /* the waiter may never ask */
  bool asked;        /* the waiter has seen the outcome */
  seer_event *event; /* until it is settled; kept for on_error when it is a
                        future that has failed... */
  uint32_t forks;    /* ...in this process: the queue's, when it was put */
  seer_outcome outcome;
} seer_request;

/* An identify's place among those of the same client and user. `user` is
   a keyed hash; two users that share one merely wait for each other. */
typedef struct seer_turn {
  uint64_t user;
  seer_event *link[2];  /* of the fronts' tree, or of the followers' list */
  seer_event *ahead;    /* the one before of the same user; NULL: a front */
  seer_event *follower; /* the next of the same user */
  seer_event *last;     /* at the front only: the end of that chain */
} seer_turn;

/* Of an event whose client has a store: its row there. */
typedef struct seer_stored {
  struct seer_queue *queue; /* its own */
  uint64_t row[2];          /* both 0: none */
  uint32_t era;             /* of the store, in which it is safe; 0: none */
} seer_stored;

#define SEER_PART_TURN 1
#define SEER_PART_SPECIAL 2
#define SEER_PART_STORED 4
#define SEER_PARTS 7          /* all of them */
#define SEER_EVENT_ENTERING 8 /* no part: the keeper has it */
#define SEER_EVENT_STORING 16 /* no part: the keeper is reading it */
#define SEER_EVENT_FUSED 32   /* no part: processes have died having it */
#define SEER_EVENT_FLYING 64  /* no part: it is in flight */

struct seer_event {
  seer_event *next;      /* in a list, or one of two below it in a heap... */
  seer_event *child;     /* ...and the other one */
  seer_request *request; /* NULL: nobody waits for it */
  int64_t expires;       /* monotonic ms */
  int64_t due;           /* monotonic ms; while it is delayed */
  seer_id id;            /* its Idempotency-Key; drawn when it is sent */
  uint32_t length;       /* of the body */
  uint32_t generation;   /* of flushes, when it was accepted */
  uint16_t attempts;     /* made so far */
  uint8_t kind;          /* a seer_kind */
  uint8_t rank;          /* in a heap */
  uint8_t lost;          /* once given up: the seer_settlement */
  uint8_t parts;         /* what is behind the body, and SEER_EVENT_... */
  char body[];           /* JSON; not terminated by a zero */
};

/* A list by `next`, the oldest first; all zero at first. */
typedef struct seer_events {
  seer_event *first, *last;
} seer_events;

static inline void seer_events_add(seer_events *events, seer_event *event) {
  event->next = NULL;
  if (events->first == NULL)
    events->first = event;
  else
    events->last->next = event;
  events->last = event;
}

/* Removes the oldest; NULL if there is none. */
static inline seer_event *seer_events_take(seer_events *events) {
  seer_event *event = events->first;
  if (event != NULL) {
    events->first = event->next;
    event->next = NULL;
  }
  return event;
}

/* Where the parts begin: behind a body of this length, aligned. */
static inline size_t seer_event_parts(size_t length) {
  size_t end = offsetof(seer_event, body) + length;
  return (end + sizeof(int64_t) - 1) / sizeof(int64_t) * sizeof(int64_t);
}

/* What an event is made from. */
typedef struct seer_draft {
  seer_kind kind;
  const char *body;
  size_t length;
  const char *user; /* of an identify: its user_id; else NULL */
  size_t user_length;
  const seer_special *special; /* or NULL */
  bool stored;                 /* its client has a store */
  seer_hand *hand;             /* its client's, or NULL */
} seer_draft;

/* A new event with a copy of the body, without an id yet; NULL without
   memory. */
seer_event *seer_event_new(const seer_draft *draft);

/* An identify's place in the order. */
static inline seer_turn *seer_event_turn(seer_event *event) {
  /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): never NULL */
  size_t parts = seer_event_parts(event->length);
  return (seer_turn *)(void *)((char *)event + parts);
}

/* Where it is stored; of those with SEER_PART_STORED. */
static inline size_t seer_event_stored_at(size_t length, int parts) {
  return seer_event_parts(length) +
         (parts & SEER_PART_TURN ? sizeof(seer_turn) : 0);
}

static inline seer_stored *seer_event_stored(seer_event *event) {
  size_t offset = seer_event_stored_at(event->length, event->parts);
  return (seer_stored *)(void *)((char *)event + offset);
}

/* Whether it can be in a store: nobody waits for it, and it has nothing of its
   own. */
static inline bool seer_event_is_storable(const seer_event *event) {
  return (event->parts & (SEER_PART_STORED | SEER_PART_SPECIAL)) ==
             SEER_PART_STORED &&
         event->request == NULL;
}

/* What the request has of its own, or NULL. */
const seer_special *seer_event_special(const seer_event *event);

/* Frees the event, or a list of them; their requests, if any, must be released
   before. */
void seer_event_free(seer_event *event);
void seer_event_free_all(seer_event *events);

/* That of its kind, or the path of a post. */
const char *seer_event_path(const seer_event *event);

/* Milliseconds that an attempt may take, by the request or else the client. */
int64_t seer_event_timeout(const seer_event *event, int64_t clients);

/* All the memory that an event occupies, the allocator's share included. */
size_t seer_event_size(const seer_event *event);

/* A request with one reference, or NULL without memory. Times in ms. */
seer_request *seer_request_new(int64_t timeout, int64_t max_retries);

/* Frees a request that nobody refers to any more. */
void seer_request_free(seer_request *request);
