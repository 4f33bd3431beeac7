#include "queue.h"

#include "clock.h"
#include "heap.h"
#include "thread.h"

#include <stdlib.h>
#include <string.h>

static int urgency_of(const seer_line *line) {
  return (int)(line - line->queue->line);
}

/* Lines that have ready events form a ring, lines that have delayed ones an
   open list. */

static void join_ready(seer_line *line) {
  int urgency = urgency_of(line);
  seer_line **ring = &line->queue->lines->ready[urgency];
  line->queue->lines->count[urgency]++;
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
  int urgency = urgency_of(line);
  seer_line **ring = &line->queue->lines->ready[urgency];
  line->queue->lines->count[urgency]--;
  if (line->next_ready == line)
    *ring = NULL;
  else if (*ring == line)
    *ring = line->next_ready;
  line->next_ready->previous_ready = line->previous_ready;
  line->previous_ready->next_ready = line->next_ready;
  line->next_ready = line->previous_ready = NULL;
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

static seer_line *line_of(seer_queue *queue, const seer_event *event) {
  return &queue->line[event->request != NULL ? SEER_WAITED : SEER_QUEUED];
}

static void append(seer_line *line, seer_event *event) {
  event->next = NULL;
  if (line->head == NULL) {
    line->head = event;
    join_ready(line);
  } else {
    line->tail->next = event;
  }
  line->tail = event;
}

static void prepend(seer_line *line, seer_event *event) {
  event->next = line->head;
  if (line->head == NULL) {
    line->tail = event;
    join_ready(line);
  }
  line->head = event;
}

static seer_event *pop(seer_line *line) {
  seer_event *event = line->head;
  if (event == NULL)
    return NULL;
  line->head = event->next;
  event->next = NULL;
  if (line->head == NULL)
    leave_ready(line);
  return event;
}

static void delay(seer_line *line, seer_event *event) {
  if (line->heap == NULL)
    join_delayed(line, &line->queue->lines->delayed);
  seer_heap_push(&line->heap, event);
}

static seer_event *undelay(seer_line *line) {
  seer_event *event;
  if (line->heap == NULL)
    return NULL;
  event = seer_heap_pop(&line->heap);
  if (line->heap == NULL)
    leave_delayed(line, &line->queue->lines->delayed);
  return event;
}

/* Events in flight: a list with `child` as the link back. */

static void take_off(seer_queue *queue, seer_event *event) {
  event->child = NULL;
  event->next = queue->flying;
  if (queue->flying != NULL)
    queue->flying->child = event;
  queue->flying = event;
}

static void land(seer_queue *queue, seer_event *event) {
  if (event->child != NULL)
    event->child->next = event->next;
  else
    queue->flying = event->next;
  if (event->next != NULL)
    event->next->child = event->child;
  event->next = event->child = NULL;
}

/* Events that displacing cannot remove: in flight, or waited for. */

static void hold(seer_queue *queue, const seer_event *event, int sign) {
  queue->held_events += sign;
  queue->held_bytes += sign * (int64_t)seer_event_size(event);
}

void seer_queue_init(seer_queue *queue, const seer_settings *settings,
                     seer_endpoint *endpoint, seer_site *site,
                     seer_lines *lines) {
  memset(queue, 0, sizeof *queue);
  queue->settings = *settings;
  queue->endpoint = endpoint;
  queue->site = site;
  queue->lines = lines;
  for (int i = 0; i < SEER_URGENCIES; i++)
    queue->line[i].queue = queue;
}

int64_t seer_queue_dropped(const seer_queue *queue) {
  int64_t dropped = 0;
  for (int i = 0; i < SEER_DROPS; i++)
    dropped += queue->dropped_by[i];
  return dropped;
}

static void count_settled(seer_queue *queue, seer_settlement settlement) {
  if (settlement == SEER_SETTLED_DELIVERED)
    queue->delivered++;
  else if (settlement == SEER_SETTLED_REJECTED)
    queue->rejected++;
  else
    queue->dropped_by[settlement - SEER_SETTLED_EXPIRED]++;
}

static void count(seer_queue *queue, seer_settlement settlement) {
  count_settled(queue, settlement);
  queue->pending--;
  if (queue->pending == 0)
    seer_wake();
}

void seer_queue_account(seer_queue *queue, seer_settlement settlement) {
  queue->accepted++;
  count_settled(queue, settlement);
}

/* A flush waits for the events of earlier generations. */
static void count_generation(seer_queue *queue, uint32_t generation) {
  if (generation != queue->generation && --queue->before_flush == 0)
    seer_wake();
}

/* Settles the request, if any; the event keeps it only to be freed with
   it. True if it was cancelled, and so counted, before. */
static bool settle_request(seer_event *event, seer_settlement settlement) {
  seer_request *request = event->request;
  bool cancelled;
  if (request == NULL)
    return false;
  cancelled = request->cancelled;
  if (!request->settled && settlement >= SEER_SETTLED_EXPIRED)
    request->outcome.failure = SEER_FAILURE_CLOSED;
  request->settled = true;
  if (--request->references > 0)
    event->request = NULL;
  seer_wake();
  return cancelled;
}

static void add_dead(seer_event *event, seer_dead *dead) {
  event->next = dead->events;
  dead->events = event;
}

/* Whether on_error is to hear of an event that is settled. */
static bool is_given_up(const seer_queue *queue, seer_settlement settlement) {
  return queue->settings.has_on_error && !queue->orphan &&
         (settlement == SEER_SETTLED_REJECTED ||
          settlement == SEER_SETTLED_EXPIRED ||
          settlement == SEER_SETTLED_DISPLACED);
}

/* Keeps the event for on_error; what is missed for that is freed. */
static void give_up(seer_queue *queue, seer_event *event,
                    seer_settlement settlement, seer_dead *dead) {
  seer_event *missed;
  event->lost = (uint8_t)settlement;
  missed = seer_notices_add_lost(&queue->notices, event,
                                 (size_t)queue->settings.max_event_bytes);
  while (missed != NULL) {
    seer_event *next = missed->next;
    add_dead(missed, dead);
    missed = next;
  }
}

/* Whether a line on the standard error is to tell of a drop. */
static bool is_told(const seer_queue *queue) {
  return queue->settings.log_level >= SEER_ERROR &&
         !queue->settings.has_logger;
}

/* Settles an event that is in no place any more, not even among its
   user's. */
static void bury(seer_queue *queue, seer_event *event,
                 seer_settlement settlement, seer_dead *dead) {
  seer_request *request = event->request;
  bool waited = request != NULL, cancelled;
  queue->events--;
  queue->bytes -= (int64_t)seer_event_size(event);
  if (waited)
    hold(queue, event, -1);
  cancelled = settle_request(event, settlement);
  if (!cancelled) {
    count(queue, settlement);
    count_generation(queue, event->generation);
  }
  bool left = !waited || event->request != NULL; /* nobody waits any more */
  bool heard = cancelled && left && (!request->future || request->asked);
  if (!is_given_up(queue, settlement) || heard) {
    add_dead(event, dead);
  } else if (left) {
    give_up(queue, event, settlement, dead);
  } else if (request->future) {
    request->event = event; /* it may yet be abandoned */
    request->forks = queue->forks;
  } else {
    add_dead(event, dead);
  }
  if (settlement >= SEER_SETTLED_EXPIRED && is_told(queue))
    dead->dropped_by[settlement - SEER_SETTLED_EXPIRED]++;
  if (queue->orphan && queue->events == 0) {
    queue->next_dead = dead->queues;
    dead->queues = queue;
  }
}

static void settle(seer_queue *queue, seer_event *event,
                   seer_settlement settlement, seer_dead *dead) {
  if (event->parts & SEER_PART_TURN) {
    seer_event *next = seer_turns_leave(&queue->turns, event);
    if (next != NULL)
      prepend(line_of(queue, next), next);
  }
  bury(queue, event, settlement, dead);
}

/* Makes room by settling the event that would be sent next, or else the one
   due next, or else the oldest that follows another. */
static void displace(seer_queue *queue, seer_dead *dead) {
  seer_line *line = &queue->line[SEER_QUEUED];
  seer_event *event = pop(line);
  if (event == NULL)
    event = undelay(line);
  if (event == NULL)
    event = seer_turns_oldest(&queue->turns, false);
  settle(queue, event, SEER_SETTLED_DISPLACED, dead);
}

static bool fits(const seer_queue *queue, int64_t events, int64_t bytes,
                 int64_t size) {
  return events < queue->settings.max_queue_events &&
         bytes + size <= queue->settings.max_queue_bytes;
}

static bool make_room(seer_queue *queue, int64_t size, int64_t now,
                      seer_dead *dead) {
  if (fits(queue, queue->events, queue->bytes, size))
    return true;
  seer_queue_expire(&queue->line[SEER_QUEUED], now, dead);
  if (queue->settings.drop_oldest &&
      fits(queue, queue->held_events, queue->held_bytes, size))
    while (!fits(queue, queue->events, queue->bytes, size))
      displace(queue, dead);
  return fits(queue, queue->events, queue->bytes, size);
}

seer_submitted seer_queue_put(seer_queue *queue, seer_event *event,
                              int64_t now, seer_dead *dead) {
  int64_t size = (int64_t)seer_event_size(event);
  if (queue->closed)
    return SEER_QUEUE_CLOSED;
  if (!make_room(queue, size, now, dead)) {
    queue->refused++;
    return SEER_QUEUE_FULL;
  }
  event->expires =
      seer_clock_after(now + SEER_CLOCK_COARSENESS, queue->settings.max_age);
  event->generation = queue->generation;
  queue->events++;
  queue->bytes += size;
  queue->accepted++;
  queue->pending++;
  if (event->request != NULL) {
    event->request->generation = event->generation;
    hold(queue, event, 1);
  }
  if (!(event->parts & SEER_PART_TURN) ||
      seer_turns_enter(&queue->turns, event))
    append(line_of(queue, event), event);
  return SEER_ACCEPTED;
}

bool seer_queue_was_idle(const seer_queue *queue, const seer_event *event) {
  return queue->line[event->request != NULL ? SEER_WAITED : SEER_QUEUED]
             .head == event;
}

static bool is_expired(const seer_event *event, int64_t now) {
  return event->request == NULL && event->expires <= now;
}

static bool is_cancelled(const seer_event *event) {
  return event->request != NULL && event->request->cancelled;
}

seer_event *seer_queue_claim(seer_line *line, int64_t now, seer_dead *dead) {
  seer_event *event;
  seer_queue_expire(line, now, dead);
  event = pop(line);
  if (event == NULL)
    return NULL;
  if (event->request == NULL)
    hold(line->queue, event, 1);
  if (event->attempts < UINT16_MAX)
    event->attempts++;
  take_off(line->queue, event);
  return event;
}

void seer_queue_release(seer_queue *queue, seer_event *event, int64_t due,
                        int64_t now) {
  seer_line *line = line_of(queue, event);
  land(queue, event);
  if (event->request == NULL) {
    hold(queue, event, -1);
    if (due > event->expires)
      due = event->expires;
  }
  event->due = due;
  if (due <= now)
    append(line, event);
  else
    delay(line, event);
}

void seer_queue_done(seer_queue *queue, seer_event *event,
                     seer_settlement settlement, seer_dead *dead) {
  land(queue, event);
  if (event->request == NULL)
    hold(queue, event, -1);
  settle(queue, event, settlement, dead);
}

bool seer_queue_reject(seer_queue *queue, seer_event *event, seer_request *why,
                       seer_dead *dead) {
  bool taken = why != NULL && event->request == NULL &&
               is_given_up(queue, SEER_SETTLED_REJECTED);
  seer_queue_done(queue, event, SEER_SETTLED_REJECTED, dead);
  if (taken)
    queue->notices.last_lost->request = why;
  return taken;
}

bool seer_queue_give_up(seer_queue *queue, seer_event *event,
                        seer_dead *dead) {
  bool heard = is_given_up(queue, SEER_SETTLED_REJECTED);
  if (heard)
    give_up(queue, event, SEER_SETTLED_REJECTED, dead);
  return heard;
}

void seer_queue_cancel(seer_queue *queue, seer_request *request) {
  request->settled = request->cancelled = true;
  count(queue, SEER_SETTLED_REJECTED);
  count_generation(queue, request->generation);
}

void seer_queue_wake(seer_line *line, int64_t now) {
  seer_event *event;
  while (line->heap != NULL && line->heap->due <= now &&
         (event = undelay(line)) != NULL)
    append(line, event);
}

void seer_queue_hurry(seer_line *line) {
  seer_queue_wake(line, SEER_NEVER);
}

int64_t seer_queue_next_due(const seer_line *line) {
  return line->heap != NULL ? line->heap->due : SEER_NEVER;
}

int64_t seer_queue_next_expiry(const seer_line *line) {
  if (line->head == NULL || line->head->request != NULL)
    return SEER_NEVER;
  return line->head->expires;
}

void seer_queue_expire(seer_line *line, int64_t now, seer_dead *dead) {
  while (line->head != NULL) {
    if (is_expired(line->head, now))
      settle(line->queue, pop(line), SEER_SETTLED_EXPIRED, dead);
    else if (is_cancelled(line->head))
      settle(line->queue, pop(line), SEER_SETTLED_REJECTED, dead);
    else
      return;
  }
}

void seer_queue_drop_all(seer_queue *queue, seer_settlement settlement,
                         seer_dead *dead) {
  seer_event *event;
  for (int i = 0; i < SEER_URGENCIES; i++) {
    while ((event = seer_turns_oldest(&queue->turns, i)) != NULL)
      settle(queue, event, settlement, dead);
    seer_queue_hurry(&queue->line[i]);
    while ((event = pop(&queue->line[i])) != NULL)
      settle(queue, event, settlement, dead);
  }
}

void seer_queue_forget_notices(seer_queue *queue, seer_dead *dead) {
  seer_event *event;
  seer_message *message;
  while ((event = seer_notices_take_lost(&queue->notices)) != NULL)
    add_dead(event, dead);
  while ((message = seer_notices_take(&queue->notices)) != NULL) {
    message->next = dead->messages;
    dead->messages = message;
  }
  queue->notices.missed = 0;
}

void seer_queue_forget(seer_queue *queue, seer_dead *dead) {
  seer_queue_drop_all(queue, SEER_SETTLED_EXIT, dead);
  while (queue->flying != NULL)
    seer_queue_done(queue, queue->flying, SEER_SETTLED_EXIT, dead);
  seer_queue_forget_notices(queue, dead);
  queue->forks++;
  queue->accepted = queue->delivered = queue->rejected = queue->refused = 0;
  memset(queue->dropped_by, 0, sizeof queue->dropped_by);
  memset(queue->drops_told, 0, sizeof queue->drops_told);
  queue->last_error[0] = '\0';
}

void seer_dead_free(seer_dead *dead) {
  while (dead->events != NULL) {
    seer_event *event = dead->events;
    dead->events = event->next;
    seer_request_free(event->request);
    seer_event_free(event);
  }
  while (dead->messages != NULL) {
    seer_message *message = dead->messages;
    dead->messages = message->next;
    free(message);
  }
}
