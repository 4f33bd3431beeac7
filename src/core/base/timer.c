#include "timer.h"

#include "clock.h"

#include <stddef.h>
#pragma GCC visibility push(hidden)

/* Makes the later of two roots the first child of the sooner. */
static seer_timer *meld(seer_timer *one, seer_timer *other) {
  seer_timer *first = one, *child = other;
  if (one == NULL || other == NULL)
    return one == NULL ? other : one;
  if (other->at < one->at) {
    first = other;
    child = one;
  }
  child->previous = first;
  child->next = first->child;
  if (child->next != NULL)
    child->next->previous = child;
  first->child = child;
  return first;
}

/* Melds siblings in pairs, then the pairs into one: the two passes that
   keep the heap shallow. */
static seer_timer *combine(seer_timer *sibling) {
  seer_timer *pairs = NULL, *heap = NULL;
  while (sibling != NULL) {
    seer_timer *one = sibling, *other = one->next;
    sibling = other != NULL ? other->next : NULL;
    one->next = NULL;
    if (other != NULL)
      other->next = NULL;
    one = meld(one, other);
    one->next = pairs;
    pairs = one;
  }
  while (pairs != NULL) {
    seer_timer *next = pairs->next;
    pairs->next = NULL;
    heap = meld(heap, pairs);
    pairs = next;
  }
  return heap;
}

static void clear(seer_timer **heap, seer_timer *timer) {
  seer_timer *below = combine(timer->child);
  if (timer == *heap) {
    *heap = below;
  } else {
    if (timer->previous->child == timer)
      timer->previous->child = timer->next;
    else
      timer->previous->next = timer->next;
    if (timer->next != NULL)
      timer->next->previous = timer->previous;
    *heap = meld(*heap, below);
  }
  *timer = (seer_timer){0, NULL, NULL, NULL};
}

void seer_timer_set(seer_timer **heap, seer_timer *timer, int64_t at) {
  if (timer->at != 0)
    clear(heap, timer);
  if (at == SEER_NEVER)
    return;
  timer->at = at > 0 ? at : 1;
  *heap = meld(*heap, timer);
}

void seer_timer_hasten(seer_timer **heap, seer_timer *timer, int64_t at) {
  if (at < seer_timer_at(timer))
    seer_timer_set(heap, timer, at);
}

int64_t seer_timer_at(const seer_timer *timer) {
  return timer != NULL && timer->at != 0 ? timer->at : SEER_NEVER;
}
