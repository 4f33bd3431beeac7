#include "schedule.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stddef.h>
#pragma GCC visibility push(hidden)

static seer_place *first, *last;
static seer_timer *timers;

static seer_place *place_of(seer_timer *timer) {
  return (seer_place *)(void *)((char *)timer - offsetof(seer_place, timer));
}

static void unlist(seer_place *place) {
  if (place->previous != NULL)
    place->previous->next = place->next;
  else
    first = place->next;
  if (place->next != NULL)
    place->next->previous = place->previous;
  else
    last = place->previous;
  place->listed = false;
}

void seer_schedule_now(seer_place *place) {
  seer_assert(seer_lock_is_held());
  if (place->listed)
    return;
  seer_timer_set(&timers, &place->timer, SEER_NEVER);
  place->listed = true;
  place->next = NULL;
  place->previous = last;
  if (last != NULL)
    last->next = place;
  else
    first = place;
  last = place;
}

void seer_schedule_at(seer_place *place, int64_t at) {
  seer_assert(seer_lock_is_held());
  if (place->listed)
    unlist(place);
  seer_timer_set(&timers, &place->timer, at);
}

struct seer_endpoint *seer_schedule_first(int64_t now) {
  seer_assert(seer_lock_is_held());
  if (seer_timer_at(timers) <= now) /* one a look, in which it has its turn */
    seer_schedule_now(place_of(timers));
  return first != NULL ? first->endpoint : NULL;
}

int64_t seer_schedule_next(void) {
  seer_assert(seer_lock_is_held());
  return first != NULL ? 0 : seer_timer_at(timers);
}

int64_t seer_schedule_of(const seer_place *place) {
  return place->listed ? 0 : seer_timer_at(&place->timer);
}

void seer_schedule_forget(void) {
  first = last = NULL;
  timers = NULL;
}
