#include "state.h"

#include "base/assert.h"
#include "base/thread.h"
#pragma GCC visibility push(hidden)

struct seer_state seer_state = {.alarm = -1};

int seer_state_kick(void) {
  bool asleep = seer_state.work == SEER_WORK_ASLEEP;
  seer_assert(seer_lock_is_held());
  if (asleep)
    seer_state.work = SEER_WORK_OUTSIDE;
  else if (seer_state.work == SEER_WORK_INSIDE)
    seer_state.work = SEER_WORK_KICKED;
  return asleep ? seer_state.alarm : -1;
}

bool seer_state_is_free(void) {
  seer_assert(seer_lock_is_held());
  return seer_state.work == SEER_WORK_FREE && seer_state.stage != SEER_STOPPED;
}

bool seer_state_wants_thread(int64_t now) {
  return seer_state_is_free() && now >= seer_state.start_again;
}

bool seer_state_is_mine(void) {
  seer_assert(seer_lock_is_held());
  return seer_state.owner == seer_thread_self();
}
