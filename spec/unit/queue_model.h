#ifndef SEER_UNIT_QUEUE_MODEL_H
#define SEER_UNIT_QUEUE_MODEL_H

/*
 * A queue as simple as can be: a list of items, of which each knows where it
 * is, and lines that hold their numbers.
 */

#include "core/queue.h"

#define ITEMS 400

typedef enum place { GONE, READY, DELAYED, FOLLOWING, FLYING } place;

/* An event: where it is, and what decides where it goes. */
typedef struct item {
  seer_event *event;
  seer_request *request; /* NULL: nobody waits */
  place place;
  int user; /* -1: a capture */
  int64_t order, size, expires, due;
  bool cancelled; /* while it could not leave */
} item;

/* The items, the lines by their numbers, and the counts as they should be. */
extern struct queue_model {
  const seer_settings *settings;
  item items[ITEMS];
  int line[SEER_URGENCIES][ITEMS], lengths[SEER_URGENCIES];
  int64_t accepted, refused, orders, flushed;
  int64_t settled[SEER_SETTLEMENTS];
  int gone; /* by the operation that is being made */
  /* The first of each line, as the sender knew them when it fell asleep. It
     has to be woken when the first is another, unless all that has become of
     it is to leave, or to make room for what came behind it. */
  int known[SEER_URGENCIES];
} model;

/* Begins with none. */
void model_begin(const seer_settings *settings);

int model_urgency(const item *it);

/* The first of a line, or NULL. */
item *model_head(int urgency);

/* Takes it out of its line, if it is in one; puts it there when it is due. */
void model_take_out(item *it);
void model_come_back(item *it);

void model_settle(item *it, seer_settlement settlement);

/* Of a line, or of both (SEER_URGENCIES). */
void model_wake(int urgency);
void model_expire(int urgency);

/* What is owned, or of that what must not be displaced. */
void model_add_up(bool held, int64_t *events, int64_t *bytes);

/* Makes room, if it can; puts an item for which there is some. */
bool model_room(int64_t size);
void model_put(item *it);

#endif
