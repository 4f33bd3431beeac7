#pragma once

/*
 * What a keeper asks of its store at a time: a batch for the driver, made of
 * a keep's events and rows, and what comes of it.
 */

#include "base/buffer.h"
#include "tenants.h"

#define SEER_TRANSACTION_TARGETS 64

typedef struct seer_transaction {
  seer_batch batch;
  seer_store_message message;
  seer_store_result result;
  seer_row rows[SEER_KEEP_BATCH];
  uint64_t turns[SEER_KEEP_BATCH]; /* of an identify; see turns.h */
  seer_store_id settled[SEER_KEEP_BATCH];
  uint8_t targets[SEER_TRANSACTION_TARGETS][16];
  seer_tenant *tenants[SEER_TRANSACTION_TARGETS]; /* whose these are */
  seer_tenant *asker; /* who wants slots of its budget; NULL: nobody */
  seer_gate *gate;    /* for which they were asked; NULL: they were not... */
  seer_budget budget;
  int64_t asked_at;   /* ...then */
  bool unshared;      /* there was no answer, though all else was done */
  seer_buffer bodies; /* copies: the events may be taken back meanwhile */
  seer_keep *keep;
  seer_events adopted;
} seer_transaction;

/* One for each keeper; NULL without memory. */
seer_transaction *seer_transaction_new(void);

/* With the lock held: takes what there is to do; false if that is nothing. */
bool seer_transaction_begin(seer_transaction *t, seer_keep *keep, int64_t now);

/* Without the lock: copies what the driver reads, and makes room for what it
   may say; false without memory. */
bool seer_transaction_copy(seer_transaction *t, int64_t now);

/* With the lock held: which of the events may stay here. */
void seer_transaction_decide(seer_transaction *t);

/* Without the lock: has it done. */
void seer_transaction_commit(seer_transaction *t);

/* With the lock held: draws the conclusions. True if something is in a line
   that was not. */
bool seer_transaction_end(seer_transaction *t, int64_t now, seer_dead *dead);
