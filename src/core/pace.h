#pragma once

/*
 * A sliding-window log of one client's requests, in steps of a second: for a
 * limit of its own that is less than its API's, which the gate keeps.
 *
 * A request counts from when it is sent until a window after it *ended*. A
 * burst within the limit goes out at once. The log takes the same memory for
 * every limit: it counts ends per step, and what ended comes free with the end
 * of its step, so late by a step at most.
 *
 * Not synchronized: the lock guards it.
 */

#include <stdint.h>

#define SEER_PACE_WINDOW 60000 /* ms */
#define SEER_PACE_STEP 1000    /* ms */
#define SEER_PACE_STEPS (SEER_PACE_WINDOW / SEER_PACE_STEP + 2)

typedef struct seer_pace {
  int64_t oldest; /* number of the oldest step that may hold requests */
  int64_t ended;  /* requests that have ended, of the window */
  uint32_t steps[SEER_PACE_STEPS];
} seer_pace;

/* Milliseconds until another of `share` requests a window may be sent, while
   so many have not ended: 0 now, SEER_NEVER when only the end of one can
   tell. */
int64_t seer_pace_delay(seer_pace *pace, int in_flight, int64_t share,
                        int64_t now);

/* A request has ended; it went over the wire `times` times. */
void seer_pace_end(seer_pace *pace, int times, int64_t now);
