#pragma once

/*
 * What a client's callbacks are to hear of: messages for its logger, events
 * that were given up, for on_error, and those that were delivered, for
 * on_delivered. The sender has no Lua state to call them in, so it leaves word
 * here until the owner asks. All kinds are bounded: past that the oldest are
 * missed, and counted.
 *
 * Nothing here allocates; with the lock held.
 */

#include "base/event.h"
#include "base/tell.h"

#define SEER_NOTICES 64 /* of each kind */

/* One allocation, to be freed with free(). */
typedef struct seer_message {
  struct seer_message *next;
  seer_level level;
  int status;       /* of an answer, or 0 */
  int attempt;      /* number of the request, or 0 */
  int64_t repeated; /* times it went untold before */
  char text[];
} seer_message;

/* Events for one of the callbacks. */
typedef struct seer_given {
  seer_events events;
  int count;
  size_t bytes; /* that they occupy */
} seer_given;

typedef struct seer_notices {
  seer_message *first_message, *last_message;
  int messages;
  seer_given lost, delivered;
  int64_t missed;
} seer_notices;

/* A message with a copy of the text, without control characters; NULL without
   memory. Not under the lock. */
seer_message *seer_message_new(seer_level level, const char *text);

/* Adds a message; the result, if any, is one to be freed. */
seer_message *seer_notices_add(seer_notices *notices, seer_message *message);

/* Adds an event, which was settled as `lost` says, to one of its lists: at
   most `most` bytes of such. What is missed for that goes to a list by `next`,
   to be freed. */
void seer_notices_give(seer_notices *notices, seer_event *event, size_t most,
                       seer_event **missed);

/* Takes the oldest; NULL if there is none. */
seer_message *seer_notices_take(seer_notices *notices);
seer_event *seer_notices_take_event(seer_given *from);
