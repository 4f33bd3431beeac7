#include "line.h"

#include "base/assert.h"
#include "base/thread.h"
#include "heap.h"
#pragma GCC visibility push(hidden)

/* Lines that have ready events form a ring, lines that have delayed ones an
   open list. */

static void join_ready(seer_line *line) {
  seer_line **ring = &line->lines->ready[line->urgency];
  line->lines->count[line->urgency]++;
  if (*ring == NULL) {
    *ring = line->next_ready = line->previous_ready = line;
    return;
  }
  line->next_ready = *ring; /* before the one whose turn it is: the last */
  line->previous_ready = (*ring)->previous_ready;
  line->previous_ready->next_ready = line;
  line->next_ready->previous_ready = line;
}

static void leave_ready(seer_line *line) {
  seer_line **ring = &line->lines->ready[line->urgency];
  line->lines->count[line->urgency]--;
  if (line->next_ready == line)
    *ring = NULL;
  else if (*ring == line)
    *ring = line->next_ready;
  line->next_ready->previous_ready = line->previous_ready;
  line->previous_ready->next_ready = line->next_ready;
  line->next_ready = line->previous_ready = NULL;
  line->held_since = 0;
}

static void join_delayed(seer_line *line, seer_line **list) {
  line->previous_delayed = NULL;
  line->next_delayed = *list;
  if (*list != NULL)
    (*list)->previous_delayed = line;
  *list = line;
}

static void leave_delayed(seer_line *line, seer_line **list) {
  if (line->previous_delayed != NULL)
    line->previous_delayed->next_delayed = line->next_delayed;
  else
    *list = line->next_delayed;
  if (line->next_delayed != NULL)
    line->next_delayed->previous_delayed = line->previous_delayed;
}

static void begin_with(seer_line *line, seer_event *event) {
  line->head = event;
  line->lines->changed = true;
}

void seer_line_append(seer_line *line, seer_event *event) {
  seer_assert(seer_lock_is_held());
  event->next = NULL;
  if (line->head == NULL) {
    begin_with(line, event);
    join_ready(line);
  } else {
    event->child = line->tail;
    line->tail->next = event;
  }
  line->tail = event;
}

void seer_line_prepend(seer_line *line, seer_event *event) {
  seer_assert(seer_lock_is_held());
  event->next = line->head;
  if (line->head == NULL) {
    line->tail = event;
    join_ready(line);
  } else {
    line->head->child = event;
  }
  begin_with(line, event);
}

void seer_line_take_out(seer_line *line, seer_event *event) {
  seer_assert(seer_lock_is_held());
  if (event->child != NULL)
    event->child->next = event->next;
  else
    begin_with(line, event->next);
  if (event->next != NULL)
    event->next->child = event->child;
  else
    line->tail = event->child;
  event->next = event->child = NULL;
  if (line->head == NULL)
    leave_ready(line);
}

seer_event *seer_line_pop(seer_line *line) {
  seer_event *event = line->head;
  if (event != NULL)
    seer_line_take_out(line, event);
  return event;
}

void seer_line_delay(seer_line *line, seer_event *event) {
  seer_assert(seer_lock_is_held());
  if (line->heap == NULL)
    join_delayed(line, &line->lines->delayed);
  seer_heap_push(&line->heap, event);
}

seer_event *seer_line_undelay(seer_line *line) {
  seer_event *event;
  if (line->heap == NULL)
    return NULL;
  event = seer_heap_pop(&line->heap);
  if (line->heap == NULL)
    leave_delayed(line, &line->lines->delayed);
  return event;
}

void seer_line_join(seer_event **list, seer_event *event) {
  event->child = NULL;
  event->next = *list;
  if (*list != NULL)
    (*list)->child = event;
  *list = event;
}

void seer_line_leave(seer_event **list, seer_event *event) {
  if (event->child != NULL)
    event->child->next = event->next;
  else
    *list = event->next;
  if (event->next != NULL)
    event->next->child = event->child;
  event->next = event->child = NULL;
}
