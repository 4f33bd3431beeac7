#ifndef SEER_LIMITER_H
#define SEER_LIMITER_H

/*
 * Servers that limit the rate, in four ways, with a Retry-After of four kinds.
 */

#include "unit.h"

typedef enum limiter_kind {
  SLIDING, /* so many in any minute */
  FIXED,   /* so many in each minute of the server's clock */
  BUCKET,  /* tokens for a minute, which come back evenly */
  GCRA,    /* ten at once, then evenly */
  LIMITERS
} limiter_kind;

typedef enum limiter_advice {
  EXACT,
  SECONDS,
  ONE,
  NONE,
  ADVICES
} limiter_advice;

typedef struct limiter {
  limiter_kind kind;
  limiter_advice advice;
  int64_t limit; /* a minute */
  int64_t log[4096], first, count, window;
  double tokens, filled, tat;
} limiter;

void limiter_init(limiter *server, limiter_kind kind, limiter_advice advice,
                  int64_t limit);

/* The status of a request that arrives, and for 429 what Retry-After says in
   ms, or -1. */
int limiter_ask(limiter *server, int64_t now, int64_t *retry_after);

#endif
