#include "state.h"

struct seer_state seer_state = {.alarm = -1};

bool seer_state_kick(void) {
  seer_state.kicked = true;
  if (!seer_state.sleeping)
    return false;
  seer_state.sleeping = false;
  return true;
}

bool seer_state_wants_thread(int64_t now) {
  return seer_state.phase == SEER_PHASE_NONE && !seer_state.starting &&
         !seer_state.stepping && now >= seer_state.start_again;
}
