#pragma once

/*
 * What is remembered of a client's requests: most clients of many are idle,
 * and have none.
 */

#include "base/event.h"
#include "base/tell.h"
#include "pace.h"

typedef struct seer_history {
  seer_pace pace; /* for its own limit */
  char last_error[200];
  seer_trouble troubles[SEER_TROUBLES]; /* told to the logger, if any... */
  seer_trouble drops[SEER_DROPS];       /* ...and these too */
  int64_t drops_told[SEER_DROPS];
} seer_history;

/* Makes a queue's, by who owns the queue, before the first event is put. Takes
   the lock; false without memory. To be freed with free(). */
bool seer_history_begin(seer_history **history);
