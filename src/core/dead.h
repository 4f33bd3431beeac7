#pragma once

/*
 * What is to be freed when the lock is given up: whoever settles events
 * collects them here, for under it nothing is freed.
 */

#include "line.h"
#include "notice.h"

/* Events, messages, and queues without a client whose last event has gone. */
typedef struct seer_dead {
  seer_event *events;
  seer_message *messages;
  seer_queue *queues;             /* by `next_dead` */
  bool dropped[SEER_SETTLEMENTS]; /* some were so, which is to be told */
} seer_dead;

#define SEER_NO_DEAD ((seer_dead){.events = NULL})

/* True if there is nothing to free, and nothing to tell of what a put can
   drop. */
static inline bool seer_dead_is_empty(const seer_dead *dead) {
  return dead->events == NULL && dead->messages == NULL &&
         dead->queues == NULL && !dead->dropped[SEER_SETTLED_EXPIRED] &&
         !dead->dropped[SEER_SETTLED_DISPLACED];
}

void seer_dead_add(seer_dead *dead, seer_event *event);

/* All that the callbacks were to hear of. */
void seer_dead_take_notices(seer_dead *dead, seer_notices *notices);

/* Frees the events, the requests that nobody refers to, and the messages;
   the queues are for the caller. Without the lock. */
void seer_dead_free(seer_dead *dead);
