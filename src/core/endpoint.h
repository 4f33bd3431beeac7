#pragma once

/*
 * What the clients of one API share: base URL, key, pacing and back-off.
 * Clients with the same base URL and key have the same endpoint, in whatever
 * Lua state they live, for the server counts and refuses them together. In
 * what way their requests go out (headers, proxy and the like) is their
 * site's matter, of which an endpoint may have several.
 *
 * A client's own rate_limit and max_in_flight are held against its own
 * requests, and the largest of all clients' against those of all. So a client
 * that may do little gets that little, however much the others do.
 *
 * The fields are guarded by the lock; only the strings are constant.
 */

#include "base/retry.h"
#include "base/tell.h"
#include "gate.h"
#include "http/site.h"
#include "queue.h"

/* What it has from the first queue on: most endpoints of many have none. */
typedef struct seer_busy {
  seer_pauses pauses; /* its own, at exit */
  seer_trouble troubles[SEER_TROUBLES];
} seer_busy;

struct seer_endpoint {
  seer_endpoint *next;      /* of those whose hash is alike... */
  seer_endpoint *next_left; /* ...or that nobody may refer to, if it is... */
  bool left;                /* ...among these */
  uint64_t hash;            /* of URL and key */
  char *base_url, *api_key;
  seer_site *sites; /* a list */
  int references;
  seer_party *parties; /* its clients: a list */
  seer_busy *busy;     /* NULL before the first has a queue */
  seer_lines lines;
  int64_t rate_limit, max_in_flight; /* the largest of its clients' */
  seer_gate *gate;                   /* which other processes may share... */
  int segment;         /* the id of its segment, + 1; 0: it is in none */
  seer_pauses *pauses; /* ...and its pauses; at exit, its own */
  int64_t probe;       /* of the pauses: with this we try; 0: we do not */
  int64_t scarce_at;   /* when the budget last let out nothing more */
  int in_flight;       /* requests */
  int passed;          /* waited-for ones that went before queued ones */
  int failures;        /* in a row, while not backing off */
  int refusals;        /* in a row, since exit began */
  bool hopeless;       /* at exit: nothing more will be delivered */
};

/* What has become of an attempt. */
typedef struct seer_attempt {
  const seer_answer *answer;
  seer_verdict verdict;
  uint32_t epoch; /* of the pauses, when it was claimed */
  int number;     /* 1: the event's first */
  bool waited;
  bool exiting;  /* the process ends: no time to lose */
  double jitter; /* a random number from 0 to 1 */
} seer_attempt;

/* The rest is for the sender, with the lock held. */

/* Claims the next event that may be sent now, taken in turn from the
   endpoint's queues and counted as in flight; false if there is none. */
bool seer_endpoint_claim(seer_endpoint *endpoint, int64_t now,
                         seer_claim *claim, seer_dead *dead);

/* When it is worth to claim again, or an event is due to expire; SEER_NEVER
   if only a new event or the end of a request can change anything. */
int64_t seer_endpoint_next(seer_endpoint *endpoint, int64_t now);

/* What was claimed is in flight no more; it went over the wire `sent` times.
   Without an answer it counts until its time would have been up: the server
   may still be about to read it. */
void seer_endpoint_landed(const seer_claim *claim, int sent, bool answered,
                          int64_t now);

/* What was claimed is to be sent once more, to another place: true, and it has
   another slot for that, if there is one now. `sent` as above. */
bool seer_endpoint_hop(seer_claim *claim, int sent, int64_t now);

/* Draws the conclusions for the endpoint of the queue whose event it was, and
   returns when that is due again, if it is. */
int64_t seer_endpoint_learn(const seer_queue *queue,
                            const seer_attempt *attempt, int64_t now);

/* How many requests a minute may be sent at present; 0: no limit. */
int64_t seer_endpoint_rate(const seer_endpoint *endpoint, int64_t now);

/* Events that the budget holds. */
typedef struct seer_shortage {
  int64_t waiting, come, may_go; /* the latter two a minute */
} seer_shortage;

/* Whether it has held events of this client for a minute. True once, until it
   has let all of them go. */
bool seer_endpoint_is_short(seer_queue *queue, int64_t now,
                            seer_shortage *shortage);

/* The process exits: forget pauses, unless that is done. */
void seer_endpoint_hurry(seer_endpoint *endpoint);

/* Has it use the gate in this segment. The result is one that it does not
   need (any more), to be freed without the lock. */
seer_gate *seer_endpoint_use(seer_endpoint *endpoint, seer_gate *gate,
                             int segment, int64_t now);
