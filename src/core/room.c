#include "room.h"

#include "base/assert.h"
#include "base/thread.h"

#include <limits.h>
#pragma GCC visibility push(hidden)

#define ASK_AGAIN 1000 /* ms */

static int most = INT_MAX;
static int all, failing;

void seer_room_limit(int limit) {
  seer_assert(seer_lock_is_held());
  most = limit;
}

bool seer_room_is_full(void) {
  return all >= most;
}

int64_t seer_room_delay(int in_flight, bool fails) {
  seer_assert(seer_lock_is_held());
  return (in_flight > 0 && all >= most / 2) || (fails && failing >= most / 2)
             ? ASK_AGAIN
             : 0;
}

void seer_room_enter(bool fails) {
  all++;
  failing += fails;
}

void seer_room_leave(bool fails) {
  seer_assert(seer_lock_is_held());
  all--;
  failing -= fails;
}

void seer_room_forget(void) {
  all = failing = 0;
}
