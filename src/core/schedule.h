#pragma once

/*
 * Which endpoints the sender has to look at: those that have news, one after
 * the other, and each of the others when its time comes. However many there
 * are that have nothing to do, a turn does not see them.
 *
 * With the lock held.
 */

#include "base/timer.h"

#include <stdbool.h>

/* An endpoint's place: in the list, in the heap of times, or in neither. */
typedef struct seer_place {
  struct seer_endpoint *endpoint;
  struct seer_place *next, *previous; /* in the list */
  bool listed;
  seer_timer timer;
} seer_place;

/* There are news: it is to be looked at in the next turn, after those that
   are in the list already. */
void seer_schedule_now(seer_place *place);

/* It has been looked at, and is to be again at that time, or when there are
   news. With SEER_NEVER it may be freed. */
void seer_schedule_at(seer_place *place, int64_t at);

/* The next to be looked at; NULL if there is none now. It stays the next until
   one of the above says otherwise. */
struct seer_endpoint *seer_schedule_first(int64_t now);

/* When the next one is to be looked at, or this one: 0 if there are news. */
int64_t seer_schedule_next(void);
int64_t seer_schedule_of(const seer_place *place);

/* In the child of a fork: all places begin anew, zeroed but for their
   endpoint. */
void seer_schedule_forget(void);
