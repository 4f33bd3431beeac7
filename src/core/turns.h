#pragma once

/*
 * The order of identifies: one of a user is not sent while an earlier one
 * of the same user is unsettled, for the service merges traits and the
 * stale one would win.
 *
 * The first unsettled identify of each user stands at the front; later ones
 * follow it in a chain. Fronts are found by a keyed hash of the user in a
 * digital search tree over the events' own links: nothing is allocated, and
 * random hashes keep it shallow. Followers are in a list besides, by age, so
 * that one can be dropped without a search.
 */

#include "base/event.h"

typedef struct seer_turns {
  seer_event *fronts; /* the tree */
  struct {
    seer_event *oldest, *newest;
  } followers[2];     /* that nobody waits for, and that somebody does */
  seer_event *unseen; /* the follower, of the former, that the keeper looks at
                         next; NULL: it has looked at all */
} seer_turns;

/* True if the event is at the front now; false if it follows another, and
   will be at the front when those before it have left. */
bool seer_turns_enter(seer_turns *turns, seer_event *event);

/* Removes an event, wherever it stands; returns the one that has come to the
   front by that, or NULL. */
seer_event *seer_turns_leave(seer_turns *turns, seer_event *event);

/* Whether an event, which need not be an identify, follows another. */
static inline bool seer_turns_follows(seer_event *event) {
  return (event->parts & SEER_PART_TURN) &&
         seer_event_turn(event)->ahead != NULL;
}

/* Whether there is one of this user, by the hash in its turn. */
bool seer_turns_has(seer_turns *turns, uint64_t user);

/* The oldest follower that somebody waits for, or that nobody does and the
   keeper does not have, and the next of such; NULL if there is none. They are
   not removed. */
seer_event *seer_turns_oldest(const seer_turns *turns, bool waited);
seer_event *seer_turns_newer(seer_event *follower);
