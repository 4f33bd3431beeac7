#include "schedule.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stddef.h>
#pragma GCC visibility push(hidden)

/* A ring of those that have news, which this one begins and ends. */
static seer_place list = {.next = &list, .previous = &list};
static seer_timer *timers;

static seer_place *place_of(seer_timer *timer) {
  return (seer_place *)(void *)((char *)timer - offsetof(seer_place, timer));
}

void seer_schedule_now(seer_place *place) {
  seer_assert(seer_lock_is_held());
  if (place->listed)
    return;
  seer_timer_set(&timers, &place->timer, SEER_NEVER);
  place->listed = true;
  place->next = &list;
  place->previous = list.previous;
  place->previous->next = list.previous = place;
}

void seer_schedule_at(seer_place *place, int64_t at) {
  seer_assert(seer_lock_is_held());
  if (place->listed) {
    place->previous->next = place->next;
    place->next->previous = place->previous;
    place->listed = false;
  }
  seer_timer_set(&timers, &place->timer, at);
}

struct seer_endpoint *seer_schedule_first(int64_t now) {
  seer_assert(seer_lock_is_held());
  if (seer_timer_at(timers) <= now) /* one a look, in which it has its turn */
    seer_schedule_now(place_of(timers));
  return list.next->endpoint;
}

int64_t seer_schedule_next(void) {
  seer_assert(seer_lock_is_held());
  return list.next != &list ? 0 : seer_timer_at(timers);
}

int64_t seer_schedule_of(const seer_place *place) {
  return place->listed ? 0 : seer_timer_at(&place->timer);
}

void seer_schedule_forget(void) {
  list.next = list.previous = &list;
  timers = NULL;
}
