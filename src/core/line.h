#pragma once

/*
 * Lines of events that are to be sent: the ready ones, first in first out,
 * and the delayed ones by the time they are due. A client has a line for each
 * urgency; the lines of an endpoint's clients that have something to send are
 * joined, and the times at which others will are in a heap, so that the sender
 * finds them without looking at the rest.
 *
 * All links are the events' and the lines' own: nothing is allocated, and
 * nothing can fail. With the lock held.
 */

#include "base/event.h"
#include "base/timer.h"
#include "schedule.h"

typedef struct seer_queue seer_queue;

typedef enum seer_urgency {
  SEER_WAITED, /* somebody waits */
  SEER_QUEUED,
  SEER_URGENCIES
} seer_urgency;

typedef struct seer_lines seer_lines;

/* Ready and delayed events of one urgency, and the line's place among the
   lines of other clients. */
typedef struct seer_line {
  seer_queue *queue;
  seer_lines *lines;
  seer_urgency urgency;
  seer_event *head, *tail; /* ready: a list by `next`, back by `child` */
  seer_event *heap;        /* delayed: a heap by `due` */
  struct seer_line *next_ready, *previous_ready; /* ring */
  bool parked;        /* has ready events, but is not in the ring */
  bool judged;        /* the sender knows whether its first event can wait */
  seer_timer timer;   /* set until the first event is due, or expires */
  bool delayed_seen;  /* the keeper has looked at the delayed ones... */
  seer_event *unseen; /* ...and at ready ones up to this; NULL: at all */
  int64_t held_since; /* the budget holds ready events; 0: it does not */
  int64_t held_last;  /* when it was last seen to */
  int64_t held_from;  /* what the client had accepted then */
} seer_line;

/* The lines of all clients of an endpoint that have something. */
struct seer_lines {
  seer_line *ready[SEER_URGENCIES]; /* rings; whose turn it is */
  seer_timer *timers;               /* of lines, in the ring or not */
  seer_place place; /* has news when the first of some line is another */
};

/* Adds a ready event: behind all others, or before them. */
void seer_line_append(seer_line *line, seer_event *event);
void seer_line_prepend(seer_line *line, seer_event *event);

/* Its client's own limits hold the ready events: the line leaves the ring, and
   the timer is set to then at the latest; and it returns. */
void seer_line_park(seer_line *line, int64_t until);
void seer_line_unpark(seer_line *line);

/* Its turn is over: it goes to the end of the ring, if it has ready events. */
void seer_line_pass(seer_line *line);

/* Makes sure that the timer goes off in time; and whose timer that is. */
void seer_line_remind(seer_line *line);
seer_line *seer_line_of(seer_timer *timer);

/* Removes a ready event, wherever it stands. */
void seer_line_take_out(seer_line *line, seer_event *event);

/* Removes the first ready event; NULL if there is none. */
seer_event *seer_line_pop(seer_line *line);

/* The same of a line of queued events, to make room. What is the first then
   may go no sooner, so it is no news, unless it expires sooner. */
seer_event *seer_line_displace(seer_line *line);

/* Adds a delayed event by its `due`. */
void seer_line_delay(seer_line *line, seer_event *event);

/* Removes the delayed event that is due first; NULL if there is none. */
seer_event *seer_line_undelay(seer_line *line);

/* A list by `next`, back by `child`, of events that are in no line, such as
   those in flight: adds one at the front, or removes one. */
void seer_line_join(seer_event **list, seer_event *event);
void seer_line_leave(seer_event **list, seer_event *event);
