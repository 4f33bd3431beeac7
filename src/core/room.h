#pragma once

/*
 * How many requests all endpoints together may have in flight. Each needs a
 * descriptor, and where an API hangs, those of a hundred clients would take
 * all that the program may have. Nor are they to take what others need whose
 * API works: an endpoint has more than one only while half of the room is
 * free, and all those that fail have no more than half of it.
 *
 * With the lock held.
 */

#include <stdbool.h>
#include <stdint.h>

/* There is room for so many; before that is called, for any number. */
void seer_room_limit(int limit);

bool seer_room_is_full(void);

/* When an endpoint with so many in flight may have another: 0 now; else in so
   many ms it is worth to ask, for those of others may end, and not its own. */
int64_t seer_room_delay(int in_flight, bool fails);

/* A request begins, and has ended. */
void seer_room_enter(bool fails);
void seer_room_leave(bool fails);

/* In the child of a fork: none is in flight. */
void seer_room_forget(void);
