#pragma once

/*
 * The end of an attempt: judge the answer, settle the event or put it back,
 * let the endpoint learn from it, and tell of trouble.
 */

#include "http/transfer.h"
#include "queue.h"

/* Judges a transfer that has finished. The transfer itself stays the
   caller's; its event does not: it is to be buried. Takes the lock. */
void seer_settle(seer_transfer *transfer, seer_dead *dead);

/* A claimed event could not be sent for want of memory: it is put back for
   a while, or rejected if somebody has waited for its last attempt. Takes the
   lock. */
void seer_settle_unsent(const seer_claim *claim);
