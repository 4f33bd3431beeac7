#ifndef SEER_PACE_H
#define SEER_PACE_H

/*
 * A sliding-window log of requests, in steps of a tenth of a second.
 *
 * A request takes a slot when it is sent; the slot comes free 60 s after
 * the request *ended*. Whenever the server counted it in between, and
 * whether its window slides or is fixed, it never sees more than the limit
 * in a window. A burst within the limit goes out at once. The log takes the
 * same memory for every limit: it counts ends per step, and a slot comes
 * free with the end of its step, so late by a step at most.
 *
 * Not synchronized: the endpoint's lock guards it.
 */

#include <stdint.h>

#pragma GCC visibility push(hidden)

#define SEER_PACE_WINDOW 60000 /* ms */
#define SEER_PACE_STEP 100     /* ms */
#define SEER_PACE_STEPS (SEER_PACE_WINDOW / SEER_PACE_STEP + 2)

typedef struct seer_pace {
  int64_t oldest;    /* number of the oldest step that may hold slots */
  int64_t ended;     /* slots of requests that have ended */
  int64_t in_flight; /* slots of requests that have not */
  uint32_t steps[SEER_PACE_STEPS];
} seer_pace;

/* How many of `rate_limit` requests a minute are used: 95 %, at least 1. */
int64_t seer_pace_share(int64_t rate_limit);

/* Milliseconds until a request may be sent by a client whose own limit is
   `rate_limit` (0: none): 0 now, SEER_NEVER when only the end of a request
   in flight can tell. */
int64_t seer_pace_delay(seer_pace *pace, int64_t rate_limit, int64_t now);

/* Takes a slot: a request is being sent. */
void seer_pace_begin(seer_pace *pace);

/* The request has ended; it went over the wire `times` times. */
void seer_pace_end(seer_pace *pace, int times, int64_t now);

#pragma GCC visibility pop

#endif
