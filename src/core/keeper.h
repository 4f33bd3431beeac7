#pragma once

/*
 * The keeper of a store: the thread that brings events there, has rows
 * forgotten, and takes over what other processes have left. It is started by
 * the first event, and opens the store then: in the process and as the user
 * that captures.
 *
 * All functions are called with the lock held, and may give it up meanwhile.
 */

#include "keep.h"

/* Starts the thread, unless there is one. Where the system refuses it, events
   go on without the store for a while. */
void seer_keeper_start(seer_keep *keep);

/* Before a fork: the stores are made ready for it, which does not take long.
   Where one is not, the child goes without. */
void seer_keeper_before_fork(void);

/* What all keepers have of events goes to its lines. */
void seer_keeper_release(void);

/* In the child of a fork, whose queues have nothing any more: the stores are
   the parent's. */
void seer_keeper_forget(void);

/* At exit, when nothing is sent any more: brings what is left to the stores
   and closes them, until `deadline`. What they do not have then is in its
   lines. */
void seer_keeper_stop(int64_t deadline);
