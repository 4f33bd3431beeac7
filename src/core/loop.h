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

/* One step on the caller's thread, which waits for the network until
   `deadline` at most. Signals are held back while it works, but not while it
   waits, except for SIGPIPE. False if there is nothing to do before the
   deadline, another thread does it, or the process is ending. */
bool seer_loop_step(int64_t deadline);
