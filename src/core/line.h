#ifndef SEER_LINE_H
#define SEER_LINE_H

/*
 * Events of one client and one urgency that wait to be sent: the ready ones
 * in a line, first in first out, the delayed ones in a heap by the time they
 * are due.
 *
 * The lines of all clients of an endpoint that have ready events form a ring,
 * by which they take turns; those that have delayed ones an open list.
 * Nothing here allocates; with the lock held.
 */

#include "base/event.h"

#pragma GCC visibility push(hidden)

typedef enum seer_urgency {
  SEER_WAITED, /* somebody waits */
  SEER_QUEUED,
  SEER_URGENCIES
} seer_urgency;

typedef struct seer_lines seer_lines;

typedef struct seer_line {
  struct seer_queue *queue;
  seer_lines *lines; /* the endpoint's */
  seer_urgency urgency;
  seer_event *head, *tail; /* ready */
  seer_event *heap;        /* delayed: a pairing heap by `due` */
  struct seer_line *next_ready, *previous_ready; /* ring; NULL: not in it */
  struct seer_line *next_delayed, *previous_delayed;
} seer_line;

/* The lines of all clients of an endpoint that have something. */
struct seer_lines {
  seer_line *ready[SEER_URGENCIES]; /* rings; whose turn it is */
  int count[SEER_URGENCIES];        /* lines in each ring */
  seer_line *delayed;               /* a list */
};

/* Adds a ready event at the end, or at the front. */
void seer_line_append(seer_line *line, seer_event *event);
void seer_line_prepend(seer_line *line, seer_event *event);

/* Takes the first ready event; NULL if there is none. */
seer_event *seer_line_pop(seer_line *line);

/* Adds an event that is not ready before its `due`. */
void seer_line_delay(seer_line *line, seer_event *event);

/* Takes the delayed event that is due first; NULL if there is none. */
seer_event *seer_line_undelay(seer_line *line);

#pragma GCC visibility pop

#endif
