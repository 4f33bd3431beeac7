#include "heap.h"

#include "base/assert.h"
#pragma GCC visibility push(hidden)

/* Makes the later root the first child of the sooner. */
static seer_event *meld(seer_event *one, seer_event *other) {
  if (one == NULL)
    return other;
  if (other == NULL)
    return one;
  if (other->due < one->due) {
    seer_event *sooner = other;
    other = one;
    one = sooner;
  }
  other->next = one->child;
  one->child = other;
  return one;
}

void seer_heap_push(seer_event **heap, seer_event *event) {
  event->next = event->child = NULL;
  *heap = meld(*heap, event);
}

/* Melds siblings in pairs, then the pairs into one: the two passes that
   keep the heap shallow. */
static seer_event *combine(seer_event *sibling) {
  seer_event *pairs = NULL, *heap = NULL;
  while (sibling != NULL) {
    seer_event *one = sibling, *other = one->next;
    sibling = other != NULL ? other->next : NULL;
    one->next = NULL;
    if (other != NULL)
      other->next = NULL;
    one = meld(one, other);
    one->next = pairs;
    pairs = one;
  }
  while (pairs != NULL) {
    seer_event *next = pairs->next;
    pairs->next = NULL;
    heap = meld(heap, pairs);
    pairs = next;
  }
  return heap;
}

seer_event *seer_heap_pop(seer_event **heap) {
  seer_event *first = *heap;
  *heap = combine(first->child);
  seer_assert(*heap == NULL || (*heap)->due >= first->due);
  first->next = first->child = NULL;
  return first;
}
