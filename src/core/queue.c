#include "queue.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"
#include "keep.h"

#include <string.h>
#pragma GCC visibility push(hidden)

static seer_line *line_of(seer_queue *queue, const seer_event *event) {
  return &queue->line[event->request != NULL ? SEER_WAITED : SEER_QUEUED];
}

/* Events that displacing cannot remove: in flight, or waited for. */

static void hold(seer_queue *queue, const seer_event *event, int sign) {
  queue->held_events += sign;
  queue->held_bytes += sign * (int64_t)seer_event_size(event);
}

/* What is true of a queue whenever one of the functions below is called. */
static void assert_sound(const seer_queue *queue) {
  int64_t settled = 0;
  for (int i = 0; i < SEER_SETTLEMENTS; i++)
    settled += queue->settled[i];
  seer_assert(seer_lock_is_held());
  seer_assert(queue->held_events >= 0 && queue->held_bytes >= 0);
  seer_assert(queue->held_events <= queue->events &&
              queue->held_bytes <= queue->bytes);
  seer_assert(queue->pending <= queue->events);
  seer_assert(queue->before_flush >= 0 &&
              queue->before_flush <= queue->pending);
  seer_assert(queue->accepted == settled + queue->pending);
  seer_assert(queue->entering >= 0 && queue->saved >= 0 &&
              queue->entering + queue->saved <= queue->pending);
}

void seer_queue_init(seer_queue *queue, seer_party *party, seer_lines *lines) {
  memset(queue, 0, sizeof *queue);
  queue->party = party;
  queue->settings = party->settings;
  queue->endpoint = party->endpoint;
  queue->site = party->site;
  for (int i = 0; i < SEER_URGENCIES; i++) {
    queue->line[i].queue = queue;
    queue->line[i].lines = lines;
    queue->line[i].urgency = i;
  }
}

/* A flush waits for the events of earlier generations. */
static void count(seer_queue *queue, const seer_event *event,
                  seer_settlement settlement) {
  queue->settled[settlement]++;
  queue->pending--;
  if (queue->pending == 0)
    seer_wake();
  if (event->generation != queue->generation && --queue->before_flush == 0)
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
  if (!request->settled && settlement >= SEER_DROPS)
    request->outcome.failure = SEER_FAILURE_CLOSED;
  request->settled = true;
  if (--request->references > 0)
    event->request = NULL;
  seer_wake();
  return cancelled;
}

/* Whether a callback is to hear of an event that is settled: on_delivered
   only of those that nobody waited for. */
static bool is_given_up(const seer_queue *queue, seer_settlement settlement,
                        bool waited) {
  if (settlement == SEER_SETTLED_DELIVERED)
    return queue->settings->has_on_delivered && !waited && !queue->orphan;
  return queue->settings->has_on_error && !queue->orphan &&
         (settlement == SEER_SETTLED_REJECTED ||
          settlement == SEER_SETTLED_EXPIRED ||
          settlement == SEER_SETTLED_DISPLACED);
}

/* Keeps the event for its callback. */
static void give_up(seer_queue *queue, seer_event *event,
                    seer_settlement settlement, seer_dead *dead) {
  event->lost = (uint8_t)settlement;
  seer_notices_give(&queue->notices, event,
                    (size_t)queue->settings->max_event_bytes, &dead->events);
}

/* Whether a line on the standard error is to tell of a drop. */
static bool is_told(const seer_queue *queue) {
  return queue->settings->log_level >= SEER_ERROR &&
         !queue->settings->has_logger;
}

/* The row of an event that is settled is to be forgotten; unless the process
   ends, for then another one may send it. */
static seer_settlement settle_row(seer_queue *queue, seer_event *event,
                                  seer_settlement settlement) {
  bool saved = seer_keep_has(queue->tenant->keep, event);
  queue->saved -= saved;
  if (settlement == SEER_SETTLED_EXIT && saved)
    settlement = SEER_SETTLED_LEFT;
  seer_keep_settle(queue->tenant->keep, event,
                   settlement != SEER_SETTLED_LEFT &&
                       settlement != SEER_SETTLED_EXIT);
  return settlement;
}

/* Nobody needs it any more. */
static void die(seer_queue *queue, seer_dead *dead) {
  queue->next_dead = dead->queues;
  dead->queues = queue;
}

/* Settles an event that is in no place any more, not even among its
   user's. */
static void bury(seer_queue *queue, seer_event *event,
                 seer_settlement settlement, seer_dead *dead) {
  seer_request *request = event->request;
  bool waited = request != NULL, cancelled;
  if (waited)
    request->event = NULL;
  if (event->parts & SEER_PART_STORED)
    settlement = settle_row(queue, event, settlement);
  queue->events--;
  queue->bytes -= (int64_t)seer_event_size(event);
  if (waited)
    hold(queue, event, -1);
  cancelled = settle_request(event, settlement);
  if (!cancelled)
    count(queue, event, settlement);
  bool left = !waited || event->request != NULL; /* nobody waits any more */
  bool heard =
      waited && cancelled && left && (!request->future || request->asked);
  if (!is_given_up(queue, settlement, waited) || heard) {
    seer_dead_add(dead, event);
  } else if (left) {
    give_up(queue, event, settlement, dead);
  } else if (request->future) {
    request->event = event; /* it may yet be abandoned */
  } else {
    seer_dead_add(dead, event);
  }
  if (settlement >= SEER_DROPS && is_told(queue))
    dead->dropped[settlement] = true;
  if (queue->orphan && queue->events == 0)
    die(queue, dead);
}

static void settle(seer_queue *queue, seer_event *event,
                   seer_settlement settlement, seer_dead *dead) {
  if (event->parts & SEER_PART_TURN) {
    seer_event *next = seer_turns_leave(&queue->turns, event);
    if (next != NULL && !(next->parts & SEER_EVENT_ENTERING))
      seer_line_prepend(line_of(queue, next), next);
  }
  bury(queue, event, settlement, dead);
}

/* The keeper has an event no more. */
static void end_entering(seer_queue *queue, seer_event *event) {
  queue->entering--;
  queue->entering_bytes -= (int64_t)seer_event_size(event);
  if (event->parts & SEER_EVENT_STORING)
    hold(queue, event, -1);
  event->parts &= 0xff & ~(SEER_EVENT_ENTERING | SEER_EVENT_STORING);
}

/* Makes room by settling the event that would be sent next, or else the one
   due next, the oldest that follows another, or is about to enter the
   store. */
static void displace(seer_queue *queue, seer_dead *dead) {
  seer_line *line = &queue->line[SEER_QUEUED];
  seer_event *event = seer_line_displace(line);
  if (event == NULL)
    event = seer_line_undelay(line);
  if (event == NULL)
    event = seer_turns_oldest(&queue->turns, false);
  if (event == NULL) {
    event = seer_keep_take_out(queue->tenant->keep, queue);
    end_entering(queue, event);
  }
  settle(queue, event, SEER_SETTLED_DISPLACED, dead);
}

static bool is_expired(const seer_event *event, int64_t now) {
  return event->request == NULL && event->expires <= now;
}

static bool fits(const seer_queue *queue, int64_t events, int64_t bytes,
                 int64_t size) {
  return events < queue->settings->max_queue_events &&
         bytes + size <= queue->settings->max_queue_bytes;
}

/* Settles what has expired. An event that was tried before and now stands
   behind younger ones is noticed when its turn comes. */
static void expire_all(seer_queue *queue, int64_t now, seer_dead *dead) {
  seer_event *event;
  seer_queue_wake(&queue->line[SEER_QUEUED], now);
  seer_queue_expire(&queue->line[SEER_QUEUED], now, dead);
  while ((event = seer_turns_oldest(&queue->turns, false)) != NULL &&
         is_expired(event, now))
    settle(queue, event, SEER_SETTLED_EXPIRED, dead);
}

static bool make_room(seer_queue *queue, int64_t size, int64_t now,
                      seer_dead *dead) {
  if (fits(queue, queue->events, queue->bytes, size))
    return true;
  expire_all(queue, now, dead);
  if (queue->settings->drop_oldest &&
      fits(queue, queue->held_events, queue->held_bytes, size))
    while (!fits(queue, queue->events, queue->bytes, size))
      displace(queue, dead);
  return fits(queue, queue->events, queue->bytes, size);
}

/* Counts an event that the queue owns from now on. */
static void add(seer_queue *queue, seer_event *event, int64_t size) {
  event->generation = queue->generation;
  queue->events++;
  queue->bytes += size;
  queue->accepted++;
  queue->pending++;
}

/* With one that the store does not have. */
static void enter(seer_queue *queue, seer_event *event, int64_t size) {
  seer_event_stored(event)->queue = queue;
  queue->entering++;
  queue->entering_bytes += size;
  event->parts |= SEER_EVENT_ENTERING;
  seer_events_add(&queue->tenant->keep->entering, event);
}

void seer_queue_enter(seer_queue *queue, seer_event *event) {
  queue->saved -= seer_keep_has(queue->tenant->keep, event);
  seer_event_stored(event)->era = 0;
  enter(queue, event, (int64_t)seer_event_size(event));
}

void seer_queue_storing(seer_queue *queue, seer_event *event) {
  event->parts |= SEER_EVENT_STORING;
  hold(queue, event, 1);
}

void seer_queue_entered(seer_queue *queue, seer_event *event) {
  end_entering(queue, event);
  queue->saved += seer_keep_has(queue->tenant->keep, event);
  if (seer_turns_follows(event))
    return;
  if (event->due == 0)
    seer_line_append(line_of(queue, event), event);
  else
    seer_line_delay(line_of(queue, event), event);
}

void seer_queue_leave(seer_queue *queue, seer_event *event, seer_dead *dead) {
  end_entering(queue, event);
  settle(queue, event, SEER_SETTLED_LEFT, dead);
}

void seer_queue_adopt(seer_queue *queue, seer_event *event) {
  add(queue, event, (int64_t)seer_event_size(event));
  queue->saved++;
  if (!(event->parts & SEER_PART_TURN) ||
      seer_turns_enter(&queue->turns, event))
    seer_line_append(line_of(queue, event), event);
}

seer_submitted seer_queue_put(seer_queue *queue, seer_event *event,
                              int64_t now, seer_dead *dead) {
  int64_t size = (int64_t)seer_event_size(event);
  bool first;
  assert_sound(queue);
  if (!make_room(queue, size, now, dead)) {
    queue->refused++;
    return SEER_QUEUE_FULL;
  }
  event->expires =
      seer_clock_after(now + SEER_CLOCK_COARSENESS, queue->settings->max_age);
  add(queue, event, size);
  if (event->request != NULL) {
    event->request->forks = queue->forks;
    event->request->event = event;
    event->request->waits_until = /* or until its first attempt has begun */
        seer_clock_after(now, event->request->timeout);
    hold(queue, event, 1);
  }
  first = !(event->parts & SEER_PART_TURN) ||
          seer_turns_enter(&queue->turns, event);
  if (seer_event_is_storable(event) &&
      seer_keep_takes(queue->tenant->keep, now))
    enter(queue, event, size);
  else if (first)
    seer_line_append(line_of(queue, event), event);
  seer_spare_reach(&queue->hand, (size_t)size - SEER_SPARE_SHARE,
                   (size_t)queue->bytes);
  return SEER_ACCEPTED;
}

seer_event *seer_queue_claim(seer_line *line, int64_t now, seer_dead *dead) {
  seer_event *event;
  assert_sound(line->queue);
  seer_queue_expire(line, now, dead);
  event = seer_line_pop(line);
  if (event == NULL)
    return NULL;
  if (event->request == NULL)
    hold(line->queue, event, 1);
  else
    event->request->away = true;
  if (event->attempts < UINT16_MAX)
    event->attempts++;
  seer_line_join(&line->queue->flying, event);
  event->parts |= SEER_EVENT_FLYING;
  return event;
}

static void land(seer_queue *queue, seer_event *event) {
  seer_line_leave(&queue->flying, event);
  event->parts &= 0xff & ~SEER_EVENT_FLYING;
}

/* An event whose time has come goes behind the others, unless it has expired
   meanwhile. */
static void come_back(seer_line *line, seer_event *event, int64_t now) {
  if (event->request != NULL)
    event->request->away = false;
  if (is_expired(event, now))
    seer_line_prepend(line, event);
  else
    seer_line_append(line, event);
}

void seer_queue_release(seer_queue *queue, seer_event *event, int64_t due,
                        int64_t now) {
  seer_line *line = line_of(queue, event);
  assert_sound(queue);
  land(queue, event);
  if (event->request == NULL) {
    hold(queue, event, -1);
    if (due > event->expires)
      due = event->expires;
  } else {
    event->request->waits_until =
        seer_clock_after(due, event->request->timeout);
  }
  event->due = due;
  if (seer_event_is_storable(event))
    seer_keep_miss(queue->tenant->keep, event, now);
  if (due <= now)
    come_back(line, event, now);
  else
    seer_line_delay(line, event);
}

void seer_queue_done(seer_queue *queue, seer_event *event,
                     seer_settlement settlement, seer_dead *dead) {
  assert_sound(queue);
  land(queue, event);
  if (event->request == NULL)
    hold(queue, event, -1);
  settle(queue, event, settlement, dead);
}

bool seer_queue_reject(seer_queue *queue, seer_event *event, seer_request *why,
                       seer_dead *dead) {
  bool taken = why != NULL && event->request == NULL &&
               is_given_up(queue, SEER_SETTLED_REJECTED, false);
  seer_queue_done(queue, event, SEER_SETTLED_REJECTED, dead);
  if (taken)
    queue->notices.lost.events.last->request = why;
  return taken;
}

bool seer_queue_give_up(seer_queue *queue, seer_event *event,
                        seer_dead *dead) {
  bool heard = is_given_up(queue, SEER_SETTLED_REJECTED, true);
  assert_sound(queue);
  if (heard)
    give_up(queue, event, SEER_SETTLED_REJECTED, dead);
  return heard;
}

void seer_queue_cancel(seer_queue *queue, seer_request *request, int64_t now,
                       seer_dead *dead) {
  seer_event *event = request->event;
  seer_line *line = &queue->line[SEER_WAITED];
  assert_sound(queue);
  seer_queue_wake(line, now);
  if (request->away) {
    request->settled = request->cancelled = true;
    count(queue, event, SEER_SETTLED_REJECTED);
    return;
  }
  if (!seer_turns_follows(event))
    seer_line_take_out(line, event);
  settle(queue, event, SEER_SETTLED_REJECTED, dead);
}

void seer_queue_wake(seer_line *line, int64_t now) {
  seer_event *event;
  assert_sound(line->queue);
  while (line->heap != NULL && line->heap->due <= now &&
         (event = seer_line_undelay(line)) != NULL)
    come_back(line, event, now);
}

void seer_queue_hurry(seer_line *line) {
  seer_event *event;
  while ((event = seer_line_undelay(line)) != NULL)
    come_back(line, event, 0); /* whatever its age */
}

void seer_queue_expire(seer_line *line, int64_t now, seer_dead *dead) {
  assert_sound(line->queue);
  while (line->head != NULL) {
    if (is_expired(line->head, now))
      settle(line->queue, seer_line_pop(line), SEER_SETTLED_EXPIRED, dead);
    else if (line->head->request != NULL && line->head->request->cancelled)
      settle(line->queue, seer_line_pop(line), SEER_SETTLED_REJECTED, dead);
    else
      return;
  }
}

void seer_queue_drop_all(seer_queue *queue, seer_settlement settlement,
                         seer_dead *dead) {
  seer_event *event;
  assert_sound(queue);
  for (int i = 0; i < SEER_URGENCIES; i++) {
    while ((event = seer_turns_oldest(&queue->turns, i)) != NULL)
      settle(queue, event, settlement, dead);
    seer_queue_hurry(&queue->line[i]);
    while ((event = seer_line_pop(&queue->line[i])) != NULL)
      settle(queue, event, settlement, dead);
  }
}

void seer_queue_forget(seer_queue *queue, bool whole, seer_dead *dead) {
  seer_queue before = *queue;
  queue->orphan = false; /* or it would be freed with its last event */
  if (whole) {
    seer_queue_drop_all(queue, SEER_SETTLED_EXIT, dead);
    while (queue->flying != NULL)
      seer_queue_done(queue, queue->flying, SEER_SETTLED_EXIT, dead);
    seer_dead_take_notices(dead, &queue->notices);
  }
  seer_queue_init(queue, before.party, before.line[SEER_QUEUED].lines);
  queue->tenant = before.tenant;
  queue->generation = before.generation;
  queue->forks = before.forks + 1;
  queue->hand = before.hand;
  if (before.orphan) /* whoever was about to free it is not here */
    die(queue, dead);
}
