#ifndef SEER_LOOP_H
#define SEER_LOOP_H

/*
 * What the sender's thread does: claim events, send them, judge the
 * answers, and sleep when there is nothing to do.
 */

#pragma GCC visibility push(hidden)

/* The thread's body; it never returns. */
void seer_loop_run(void);

#pragma GCC visibility pop

#endif
