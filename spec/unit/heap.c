#include "core/heap.h"

#include "unit.h"

#include <string.h>

#define EVENTS 500

static seer_event *events[EVENTS];
static bool inside[EVENTS];

static int number_of(const seer_event *event) {
  int number = 0;
  while (number < EVENTS && events[number] != event)
    number++;
  return number;
}

static int64_t soonest(void) {
  int64_t soonest = INT64_MAX;
  for (int i = 0; i < EVENTS; i++)
    if (inside[i] && events[i]->due < soonest)
      soonest = events[i]->due;
  return soonest;
}

static void gives_the_soonest(void) {
  seer_event *heap = NULL;
  int count = 0;
  memset(inside, 0, sizeof inside);
  for (int i = 0; i < EVENTS; i++)
    events[i] = seer_event_new(&(seer_draft){.body = "{}", .length = 2});
  for (int i = 0; i < 20000 || count > 0; i++) {
    int64_t which = unit_random(EVENTS);
    bool growing = i / 2000 % 2 == 0 && i < 20000;
    if (!inside[which] && unit_random(10) < (growing ? 9 : 4)) {
      events[which]->due = unit_random(i % 3 == 0 ? 5 : 1000000);
      inside[which] = true;
      seer_heap_push(&heap, events[which]);
      count++;
    } else if (count > 0) {
      int64_t due = soonest();
      seer_event *event = seer_heap_pop(&heap);
      CHECK(number_of(event) < EVENTS && inside[number_of(event)]);
      CHECK(event->due == due);
      CHECK(event->next == NULL && event->child == NULL);
      inside[number_of(event)] = false;
      count--;
    }
    CHECK((heap == NULL) == (count == 0));
    CHECK(heap == NULL || heap->due == soonest());
  }
  for (int i = 0; i < EVENTS; i++)
    seer_event_free(events[i]);
}

const unit_test unit_heap[] = {
    {"a heap gives each event once, the soonest due first", gives_the_soonest},
    {NULL,                                                  NULL             }
};
