#ifndef SEER_LOOP_H
#define SEER_LOOP_H

/*
 * What the sender does: claim events, send them, judge the answers, and
 * sleep when there is nothing to do. Mostly a thread does so; where there is
 * none, callers who want something sent do, a step at a time.
 */

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The thread's body; it never returns. */
void seer_loop_run(void);

/* Starts the thread unless it runs; without the lock. False if there is
   none, and none can be had now. */
bool seer_loop_start(void);

typedef enum seer_step {
  SEER_STEP_MADE,     /* something was done or waited for */
  SEER_STEP_IDLE,     /* there is nothing to do before the deadline */
  SEER_STEP_ELSEWHERE /* another thread does it, or the process is ending */
} seer_step;

/* With the lock held: whether nobody else sends. */
bool seer_loop_is_free(void);

/* One step on the caller's thread, which waits for the network until
   `deadline` at most. Signals are held back while it works, but not while it
   waits, except for SIGPIPE. Without the lock. */
seer_step seer_loop_step(int64_t deadline);

#pragma GCC visibility pop

#endif
