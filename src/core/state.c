#include "state.h"

struct seer_state seer_state = {.alarm = -1};

bool seer_state_kick(void) {
  bool asleep = seer_state.work == SEER_WORK_ASLEEP;
  if (asleep)
    seer_state.work = SEER_WORK_OUTSIDE;
  else if (seer_state.work == SEER_WORK_INSIDE)
    seer_state.work = SEER_WORK_KICKED;
  return asleep;
}

bool seer_state_is_free(void) {
  return seer_state.work == SEER_WORK_FREE && seer_state.stage != SEER_STOPPED;
}

bool seer_state_wants_thread(int64_t now) {
  return seer_state_is_free() && now >= seer_state.start_again;
}

bool seer_state_is_mine(void) {
  return seer_state.owner == seer_thread_self();
}
