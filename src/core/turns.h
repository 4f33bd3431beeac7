#ifndef SEER_TURNS_H
#define SEER_TURNS_H

/*
 * The order of identifies: one of a user is not sent while an earlier one
 * of the same user is unsettled, for the service merges traits and the
 * stale one would win.
 *
 * The first unsettled identify of each user stands at the front; later ones
 * follow it in a chain. Fronts are found by a keyed hash of the user in a
 * digital search tree over the events' own links: nothing is allocated, and
 * random hashes keep it shallow.
 */

#include "base/event.h"

#pragma GCC visibility push(hidden)

typedef struct seer_turns {
  seer_event *fronts;   /* the tree */
  seer_event *followed; /* a list of the fronts that others follow */
} seer_turns;

/* True if the event is at the front now; false if it follows another, and
   will be at the front when those before it have left. */
bool seer_turns_enter(seer_turns *turns, seer_event *event);

/* Removes an event that is at the front; returns the one that has taken its
   place, or NULL. */
seer_event *seer_turns_leave(seer_turns *turns, seer_event *event);

/* Removes and returns a follower that nobody waits for, or NULL. */
seer_event *seer_turns_take(seer_turns *turns);

/* Removes and returns any follower, or NULL. */
seer_event *seer_turns_take_any(seer_turns *turns);

#pragma GCC visibility pop

#endif
