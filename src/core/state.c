#include "state.h"

seer_state seer_process = {.alarm = -1};

bool seer_state_kick(void) {
  seer_process.kicked = true;
  if (!seer_process.sleeping)
    return false;
  seer_process.sleeping = false;
  return true;
}

bool seer_state_wants_thread(int64_t now) {
  return seer_process.phase == SEER_PHASE_NONE && !seer_process.starting &&
         !seer_process.stepping && now >= seer_process.start_again;
}
