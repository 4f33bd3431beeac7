#pragma once

/*
 * What the sender does: claim events, send them, judge the answers, and
 * sleep when there is nothing to do. Mostly a thread does so; where there is
 * none, callers who want something sent do, a step at a time.
 */

#include <stdbool.h>
#include <stdint.h>

/* All of these are called with the lock held, and give it up meanwhile. */

/* Starts the thread, unless there is one, somebody does its work, or the
   system has refused it just now. */
void seer_loop_start(void);

typedef enum seer_step {
  SEER_STEP_MADE,     /* something was done or waited for */
  SEER_STEP_IDLE,     /* there is nothing to do before the deadline */
  SEER_STEP_ELSEWHERE /* another thread does it, or the process is ending */
} seer_step;

/* One step on the caller's thread, which waits for the network until
   `deadline` at most. Signals are held back while it works, but not while it
   waits, except for SIGPIPE. */
seer_step seer_loop_step(int64_t deadline);
