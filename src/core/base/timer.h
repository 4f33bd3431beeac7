#pragma once

/*
 * Times at which something is to be looked at, the soonest first: a pairing
 * heap of timers that are a part of what they are for, so that nothing is
 * allocated. To set one takes constant time, to clear one logarithmic time on
 * average, however many there are.
 */

#include <stdint.h>

/* Zeroed, it is not set. */
typedef struct seer_timer {
  int64_t at; /* monotonic ms; 0: not set */
  struct seer_timer *child, *next;
  struct seer_timer *previous; /* the sibling before, or the parent */
} seer_timer;

/* Sets a timer, which may be set already; SEER_NEVER clears it. A time before
   the clock began, such as a database may ask for, is its first. */
void seer_timer_set(seer_timer **heap, seer_timer *timer, int64_t at);

/* Makes sure that it is set to that time, or to an earlier one. */
void seer_timer_hasten(seer_timer **heap, seer_timer *timer, int64_t at);

/* When a timer is due, such as the first of a heap, which may be NULL:
   SEER_NEVER if there is none, or it is not set. */
int64_t seer_timer_at(const seer_timer *timer);
