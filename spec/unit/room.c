#include "core/room.h"

#include "core/base/clock.h"
#include "core/base/thread.h"
#include "unit.h"

#include <limits.h>

#define MOST 8

/* How many begin of which it is said that they may. */
static int begin(int in_flight, bool fails, int wanted) {
  int begun = 0;
  for (; begun < wanted && !seer_room_is_full() &&
         seer_room_delay(in_flight, fails) == 0;
       begun++)
    seer_room_enter(fails);
  return begun;
}

static void end(int count, bool fails) {
  for (; count > 0; count--)
    seer_room_leave(fails);
}

static void keeps_room_for_others(void) {
  seer_lock();
  seer_room_forget(); /* what other tests have left in flight */
  seer_room_limit(MOST);
  CHECK(begin(1, false, 100) == MOST / 2); /* one endpoint has half */
  CHECK(seer_room_delay(1, false) > 0 &&
        seer_room_delay(1, false) < SEER_NEVER);
  CHECK(begin(0, true, 100) == MOST / 2);
  CHECK(seer_room_is_full());
  end(MOST / 2, false);
  CHECK(!seer_room_is_full());
  CHECK(begin(0, true, 100) == 0); /* all that fail have half */
  CHECK(seer_room_delay(0, true) > 0 && seer_room_delay(0, true) < SEER_NEVER);
  CHECK(begin(0, false, 100) == MOST / 2);
  end(1, true);
  CHECK(begin(0, true, 100) == 1);
  end(MOST / 2, true);
  end(MOST / 2, false);
  seer_room_limit(INT_MAX);
  seer_unlock();
}

const unit_test unit_room[] = {
    {"room is kept for endpoints that work", keeps_room_for_others},
    {NULL,                                   NULL                 },
};
