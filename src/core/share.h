#pragma once

/*
 * One budget for processes that know nothing of each other: those of a user on
 * a machine, with the same base URL and key, which ask for it.
 *
 * Its gate is in a segment of System V shared memory, which is found by a hash
 * of all that. A file would do, too, but for what goes wrong with files: to
 * write to a mapped page of a disk's waits for the disk, with the lock held,
 * and whoever cuts the file short kills all that have mapped it. The system
 * makes a segment of zeros, which are a gate; forgets it when it starts anew,
 * as it does its monotonic clock; and knows who has it attached, whoever was
 * killed. So nothing is locked, initialized or repaired here. Those that
 * nobody needs any more are removed when another one is made.
 */

#include "endpoint.h"

/* Has the queue's endpoint use that gate. What it uses already is mended; what
   is not to be had is told. Without the lock. */
void seer_share(seer_queue *queue);
