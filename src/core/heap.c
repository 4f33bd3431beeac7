#include "heap.h"

#include "base/assert.h"
#pragma GCC visibility push(hidden)

/* Of the two heaps below an event `child` has the higher rank, and `next` the
   lower, or the same: one more than that is the event's own. So the way down
   over `next` is short, a logarithm of what is there, however the heap came to
   be; and there alone is something done. */
static uint8_t rank_of(const seer_event *heap) {
  return heap != NULL ? heap->rank : 0;
}

static seer_event *meld(seer_event *first, seer_event *other) {
  if (first == NULL || other == NULL)
    return first != NULL ? first : other;
  if (other->due < first->due) {
    seer_event *later = first;
    first = other;
    other = later;
  }
  first->next = meld(first->next, other);
  if (rank_of(first->child) < rank_of(first->next)) {
    seer_event *higher = first->next;
    first->next = first->child;
    first->child = higher;
  }
  first->rank = (uint8_t)(rank_of(first->next) + 1);
  return first;
}

void seer_heap_push(seer_event **heap, seer_event *event) {
  event->next = event->child = NULL;
  event->rank = 1;
  *heap = meld(*heap, event);
}

seer_event *seer_heap_pop(seer_event **heap) {
  seer_event *first = *heap;
  *heap = meld(first->child, first->next);
  seer_assert(*heap == NULL || (*heap)->due >= first->due);
  first->next = first->child = NULL;
  return first;
}
