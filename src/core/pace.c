#include "pace.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdbool.h>
#pragma GCC visibility push(hidden)

/* Whether each request that has ended stands in one of the steps. */
static bool is_sound(const seer_pace *pace) {
  int64_t ended = 0;
  for (int i = 0; i < SEER_PACE_STEPS; i++)
    ended += pace->steps[i];
  return ended == pace->ended;
}

/* When what ended in a step comes free. */
static int64_t freed_at(int64_t step) {
  return (step + 1) * SEER_PACE_STEP + SEER_PACE_WINDOW;
}

/* Forgets what has come free. */
static void forget(seer_pace *pace, int64_t now) {
  seer_assert(is_sound(pace));
  while (pace->ended > 0 && freed_at(pace->oldest) <= now) {
    uint32_t *step = &pace->steps[pace->oldest % SEER_PACE_STEPS];
    pace->ended -= *step;
    *step = 0;
    pace->oldest++;
  }
}

int64_t seer_pace_delay(seer_pace *pace, int in_flight, int64_t share,
                        int64_t now) {
  int64_t excess;
  forget(pace, now);
  excess = pace->ended + in_flight - share + 1;
  if (excess <= 0)
    return 0;
  if (excess > pace->ended)
    return SEER_NEVER;
  int64_t step = pace->oldest;
  while (excess > pace->steps[step % SEER_PACE_STEPS])
    excess -= pace->steps[step++ % SEER_PACE_STEPS];
  return freed_at(step) - now;
}

void seer_pace_end(seer_pace *pace, int times, int64_t now) {
  int64_t step = now / SEER_PACE_STEP;
  forget(pace, now);
  if (pace->ended == 0)
    pace->oldest = step;
  seer_assert(step >= pace->oldest && step - pace->oldest < SEER_PACE_STEPS);
  pace->steps[step % SEER_PACE_STEPS] += (uint32_t)times;
  pace->ended += times;
  seer_assert(is_sound(pace));
}
