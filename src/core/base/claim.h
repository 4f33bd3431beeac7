#pragma once

/*
 * An event that is in flight, and what it has taken for that: a value, which
 * travels with its request.
 */

#include "event.h"

/* What lets one request out, see gate.h. */
typedef struct seer_slot {
  int64_t until; /* what the request has written into it */
  int32_t index; /* -1: none */
} seer_slot;

typedef struct seer_claim {
  struct seer_queue *queue;
  seer_event *event;
  seer_slot slot;
  uint32_t epoch; /* number of pauses that the endpoint had begun */
  bool failing;   /* whether requests to it had failed last */
} seer_claim;
