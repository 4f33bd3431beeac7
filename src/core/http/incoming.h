#pragma once

/*
 * Inside http: an answer as it comes in. Interim answers (1xx) are passed
 * over. What is kept has ceilings; what a server sends beyond any sense
 * ends the transfer.
 */

#include "core/base/buffer.h"
#include "core/base/retry.h"

#define SEER_INCOMING_BODY 1048576  /* kept, if somebody reads all of it */
#define SEER_INCOMING_HEADERS 16384 /* kept of any answer */

typedef struct seer_incoming {
  int status;          /* of the answer being read; 1xx are not kept */
  bool whole_body;     /* keep up to SEER_INCOMING_BODY, else a start */
  bool cut;            /* there was more of the body */
  size_t header_bytes; /* received in all */
  size_t body_bytes;
  size_t lengths;      /* lines that may be a Content-Length */
  seer_buffer headers; /* of the final answer, a field in each line */
  seer_buffer body;
} seer_incoming;

void seer_incoming_init(seer_incoming *in);
void seer_incoming_clear(seer_incoming *in);

/* As new, for the next answer, but for memory and `whole_body`. */
void seer_incoming_again(seer_incoming *in);

/* A header line and a piece of the body have come; false: enough, end the
   transfer. */
bool seer_incoming_header(seer_incoming *in, const char *line, size_t length);
bool seer_incoming_body(seer_incoming *in, const char *bytes, size_t length);

/* Whether there is a header with this name, in lower case. */
bool seer_incoming_has(const seer_incoming *in, const char *name);

/* Copies a header's value, trimmed, into `value`; NULL if there is none or
   it is longer than `size` - 1. The name is in lower case. */
char *seer_incoming_find(const seer_incoming *in, const char *name,
                         char *value, size_t size);

/* Whether the body says that whoever gave a good status is not the API, or
   has not done what was asked: HTML, or "success": false. */
bool seer_incoming_is_doubtful(const seer_incoming *in);

/* What the headers say about trying again. */
void seer_incoming_judge(const seer_incoming *in, seer_answer *answer);
