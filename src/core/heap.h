#pragma once

/*
 * Delayed events, the soonest due first: a leftist heap over the events' own
 * links, so that nothing is allocated. Both insertion and removal of the first
 * are logarithmic, each time: the lock is held meanwhile.
 */

#include "base/event.h"

/* Adds an event by its `due`. */
void seer_heap_push(seer_event **heap, seer_event *event);

/* Removes the first of a heap that is not empty. */
seer_event *seer_heap_pop(seer_event **heap);
