#ifndef SEER_SETTLE_H
#define SEER_SETTLE_H

/*
 * The end of an attempt: judge the answer, settle the event or put it back,
 * let the endpoint learn from it, and tell of trouble.
 */

#include "http/http.h"
#include "queue.h"

#pragma GCC visibility push(hidden)

/* Judges a transfer that has finished. The transfer itself stays the
   caller's; its event does not. Takes the lock. */
void seer_settle(seer_transfer *transfer);

/* A claimed event could not be sent for want of memory: it is put back for
   a while, or rejected if somebody has waited for its last attempt. `epoch`
   was the endpoint's when it was claimed. Takes the lock. */
void seer_settle_unsent(seer_queue *queue, seer_event *event, uint32_t epoch);

#pragma GCC visibility pop

#endif
