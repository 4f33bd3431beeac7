#pragma once

/*
 * One request in flight and, when it has finished, its answer. What is told
 * of it is without secrets.
 */

#include "core/base/claim.h"
#include "core/base/retry.h"

typedef struct seer_transfer {
  seer_claim claim;   /* the caller's to set and read */
  seer_answer answer; /* this and the rest: valid when it has finished */
  int sent;           /* times that the request went over the wire */
  bool doubtful;      /* a good status, but not the API's good answer */
  bool redirected;    /* seer_http_follow can go on */
  char *headers;      /* if thorough; owned by the transfer; or NULL */
  size_t headers_length;
  char *body;
  size_t body_length;
  char message[200]; /* the answer in a line: "401 {...}", "timed out" */
} seer_transfer;
