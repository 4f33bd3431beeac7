#include "line.h"

#include "base/assert.h"
#include "base/thread.h"
#include "heap.h"
#pragma GCC visibility push(hidden)

#include <stddef.h>

static void join_ready(seer_line *line) {
  seer_line **ring = &line->lines->ready[line->urgency];
  line->judged = false;
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
  if (line->next_ready == line)
    *ring = NULL;
  else if (*ring == line)
    *ring = line->next_ready;
  line->next_ready->previous_ready = line->previous_ready;
  line->previous_ready->next_ready = line->next_ready;
}

static void remind_at(seer_line *line, int64_t time) {
  seer_timer_hasten(&line->lines->timers, &line->timer, time);
}

void seer_line_remind(seer_line *line) {
  if (line->head != NULL && line->head->request == NULL)
    remind_at(line, line->head->expires);
  if (line->heap != NULL)
    remind_at(line, line->heap->due);
}

seer_line *seer_line_of(seer_timer *timer) {
  return (seer_line *)(void *)((char *)timer - offsetof(seer_line, timer));
}

void seer_line_park(seer_line *line, int64_t until) {
  seer_assert(seer_lock_is_held() && !line->parked && line->head != NULL);
  leave_ready(line);
  line->parked = true;
  remind_at(line, until);
}

void seer_line_unpark(seer_line *line) {
  if (!line->parked)
    return;
  line->parked = false;
  join_ready(line);
}

void seer_line_pass(seer_line *line) {
  if (line->head == NULL)
    return;
  leave_ready(line);
  join_ready(line);
}

/* There is no ready event any more. */
static void end(seer_line *line) {
  seer_line_unpark(line);
  leave_ready(line);
  line->head = NULL;
  line->held_since = 0;
}

/* The first is another, which the client's own limits may not hold. */
static void go_on_with(seer_line *line, seer_event *event) {
  line->head = event;
  seer_line_unpark(line);
  seer_schedule_now(&line->lines->place);
}

/* It may also expire sooner than all that were there. */
static void begin_with(seer_line *line, seer_event *event) {
  go_on_with(line, event);
  seer_line_remind(line);
}

void seer_line_append(seer_line *line, seer_event *event) {
  seer_assert(seer_lock_is_held());
  if (line->head == NULL) {
    seer_line_prepend(line, event);
    return;
  }
  event->next = NULL;
  event->child = line->tail;
  line->tail->next = event;
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

/* The keeper goes on behind it. */
static void pass(seer_line *line, const seer_event *event) {
  if (line->unseen == event)
    line->unseen = event->next;
}

seer_event *seer_line_displace(seer_line *line) {
  seer_event *event = line->head, *next;
  seer_assert(seer_lock_is_held());
  if (event == NULL)
    return NULL;
  pass(line, event);
  next = event->next;
  if (next == NULL) {
    end(line);
    return event;
  }
  next->child = event->next = NULL;
  line->head = next;
  if (next->expires < event->expires)
    begin_with(line, next);
  return event;
}

seer_event *seer_line_pop(seer_line *line) {
  seer_event *event = seer_line_displace(line);
  if (line->head != NULL)
    go_on_with(line, line->head);
  return event;
}

void seer_line_take_out(seer_line *line, seer_event *event) {
  if (event == line->head) {
    seer_line_pop(line);
    return;
  }
  seer_assert(seer_lock_is_held());
  pass(line, event);
  event->child->next = event->next;
  if (event->next != NULL)
    event->next->child = event->child;
  else
    line->tail = event->child;
  event->next = event->child = NULL;
}

void seer_line_delay(seer_line *line, seer_event *event) {
  seer_assert(seer_lock_is_held());
  seer_heap_push(&line->heap, event);
  seer_line_remind(line);
  seer_schedule_now(&line->lines->place);
}

seer_event *seer_line_undelay(seer_line *line) {
  return line->heap != NULL ? seer_heap_pop(&line->heap) : NULL;
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
