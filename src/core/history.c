#include "history.h"

#include "base/thread.h"

#include <stdlib.h>
#pragma GCC visibility push(hidden)

bool seer_history_begin(seer_history **history) {
  seer_history *begun = calloc(1, sizeof *begun);
  seer_lock();
  *history = begun;
  seer_unlock();
  return begun != NULL;
}
