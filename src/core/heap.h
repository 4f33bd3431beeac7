#pragma once

/*
 * Delayed events, the soonest due first: a pairing heap over the events'
 * own links, so that nothing is allocated. Insertion is constant, removal
 * of the first logarithmic on average.
 */

#include "base/event.h"

/* Adds an event by its `due`. */
void seer_heap_push(seer_event **heap, seer_event *event);

/* Removes the first of a heap that is not empty. */
seer_event *seer_heap_pop(seer_event **heap);
