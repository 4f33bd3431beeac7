#pragma once

/*
 * What an answer means, and how long to wait before the next attempt. Pure
 * functions: no time, no state, no I/O of their own.
 */

#include "event.h"

typedef enum seer_verdict {
  SEER_DELIVERED, /* the service has it */
  SEER_REJECTED,  /* it never will: the event is at fault */
  SEER_RETRY,     /* this event waits and goes behind others */
  SEER_PAUSE      /* the same, and so does all that is queued: the
                     configuration or the service is at fault */
} seer_verdict;

/* What judging needs of an answer. */
typedef struct seer_answer {
  int status;           /* 0: none was received */
  seer_failure failure; /* SEER_FAILURE_NONE for a 2xx */
  bool unreachable;     /* refused, unresolvable or rejected by TLS */
  int should_retry;     /* x-should-retry: 1 true, 0 false, -1 not given */
  int64_t retry_after;  /* ms that the server asks for; -1: none, or junk */
} seer_answer;

/* Who asks for a verdict. */
typedef struct seer_asked {
  int attempts;        /* 1: this was the first */
  int64_t max_retries; /* see below */
  bool waited;         /* somebody waits */
  bool own_path;       /* a post: its path may be wrong, not the service */
} seer_asked;

#define SEER_NO_RETRY_AFTER (-1)

/* True for an answer that speaks of the service or of the configuration of the
   client, not of the event. */
bool seer_retry_concerns_endpoint(int status);

/* True for a 2xx. */
bool seer_retry_is_success(int status);

/* The verdict on the answer to an attempt. What is waited for is given up
   after `max_retries`; a queued event is so after a 409 only. */
seer_verdict seer_retry_judge(const seer_answer *answer,
                              const seer_asked *asked);

/* Milliseconds to wait after attempt number `attempts`: the server's wish
   when it is over 0 and under 60 s, else min(initial * 2^(attempts - 1),
   max) less up to a quarter, by `fraction` from 0 to 1. */
int64_t seer_retry_delay(const seer_answer *answer, int attempts,
                         int64_t initial, int64_t max, double fraction);

/* How long a queue pauses for a 429 or 503 that asks for 60 s to an hour;
   0 for any other answer. */
int64_t seer_retry_long_pause(const seer_answer *answer);

/* Milliseconds from the values of retry-after-ms and retry-after (decimal
   numbers, or something else that means `until` ms); NULL for a header that is
   absent. Never negative: what is not a time in the future is
   SEER_NO_RETRY_AFTER. */
int64_t seer_retry_after(const char *milliseconds, const char *seconds,
                         int64_t until);
