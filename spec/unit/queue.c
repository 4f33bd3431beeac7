#include "core/queue.h"

#include "core/base/clock.h"
#include "core/base/thread.h"
#include "queue_model.h"
#include "unit.h"

#include <string.h>

#define USERS 6

static seer_queue queue;
static seer_lines lines;

/*
** Comparing.
*/

static void check_line(int urgency) {
  const seer_line *real = &queue.line[urgency];
  const seer_event *event = real->head;
  int64_t due = SEER_NEVER;
  for (int i = 0; i < model.lengths[urgency]; i++, event = event->next)
    CHECK(event != NULL && event == model.items[model.line[urgency][i]].event);
  CHECK(event == NULL);
  CHECK(lines.ready[urgency] == (model.lengths[urgency] > 0 ? real : NULL));
  for (item *it = model.items; it < model.items + ITEMS; it++)
    if (it->place == DELAYED && model_urgency(it) == urgency && it->due < due)
      due = it->due;
  CHECK(due == SEER_NEVER ? real->heap == NULL : real->heap->due == due);
  if (real->head != NULL && real->head->request == NULL)
    due = seer_clock_sooner(due, real->head->expires);
  CHECK(seer_timer_at(&real->timer) <= due);
}

static void check_counts(void) {
  int64_t events, bytes, pending = 0, before = 0;
  model_add_up(false, &events, &bytes);
  CHECK(queue.events == events && queue.bytes == bytes);
  for (item *it = model.items; it < model.items + ITEMS; it++) {
    pending += it->place != GONE && !it->cancelled;
    before += it->place != GONE && !it->cancelled && it->order < model.flushed;
  }
  CHECK(queue.pending == pending && queue.before_flush == before);
  model_add_up(true, &events, &bytes);
  CHECK(queue.held_events == events && queue.held_bytes == bytes);
  CHECK(queue.accepted == model.accepted && queue.refused == model.refused);
  for (int i = 0; i < SEER_SETTLEMENTS; i++)
    CHECK(queue.settled[i] == model.settled[i]);
}

/* Those that are done with are among the dead, and whoever waits knows. */
static void check_dead(seer_dead *dead) {
  int count = 0;
  for (seer_event *event = dead->events; event != NULL; event = event->next)
    count++;
  CHECK(count == model.gone);
  for (item *it = model.items; it < model.items + ITEMS; it++) {
    if (it->place == GONE && it->request != NULL) {
      CHECK(it->request->settled && it->request->references == 1);
      seer_request_free(it->request);
      it->request = NULL;
    }
  }
  seer_dead_free(dead);
  model.gone = 0;
}

static void check_news(void) {
  bool changed = false;
  for (int i = 0; i < SEER_URGENCIES; i++) {
    int first = model.lengths[i] > 0 ? model.line[i][0] : -1;
    changed = changed || (first != model.known[i] && first >= 0);
    model.known[i] = first;
  }
  CHECK(seer_queue_has_news(&queue) || !changed);
  seer_lock();
  seer_schedule_at(&lines.place, SEER_NEVER);
  seer_unlock();
}

static void check(seer_dead *dead) {
  check_news();
  check_line(SEER_WAITED);
  check_line(SEER_QUEUED);
  check_counts();
  check_dead(dead);
}

/*
** Operations.
*/

static item *any(place where) {
  int at = (int)unit_random(ITEMS);
  for (int i = 0; i < ITEMS; i++, at = (at + 1) % ITEMS)
    if (model.items[at].place == where)
      return &model.items[at];
  return NULL;
}

static void make_event(item *it) {
  static const char body[300];
  char user = (char)('a' + unit_random(USERS));
  bool identify = unit_random(2) == 0;
  it->user = identify ? user - 'a' : -1;
  it->event = seer_event_new(
      &(seer_draft){.kind = identify ? SEER_IDENTIFY : SEER_CAPTURE,
                    .body = body,
                    .length = (size_t)unit_random(300),
                    .user = identify ? &user : NULL,
                    .user_length = 1});
  it->size = (int64_t)seer_event_size(it->event);
  it->request = NULL;
  it->cancelled = false;
  if (unit_random(4) == 0) {
    it->request = seer_request_new(100, 0);
    it->request->references = 2;
    it->event->request = it->request;
  }
}

static void put(seer_dead *dead) {
  item *it = any(GONE);
  seer_submitted result;
  make_event(it);
  unit_now += 2;
  seer_lock();
  result = seer_queue_put(&queue, it->event, unit_now, dead);
  seer_unlock();
  if (model_room(it->size)) {
    model_put(it);
    CHECK(result == SEER_ACCEPTED);
    return;
  }
  model.refused++;
  seer_event_free(it->event);
  seer_request_free(it->request);
  it->request = NULL;
  CHECK(result == SEER_QUEUE_FULL);
}

static void claim(seer_dead *dead) {
  int urgency = (int)unit_random(SEER_URGENCIES);
  seer_event *event;
  item *it;
  seer_lock();
  event = seer_queue_claim(&queue.line[urgency], unit_now, dead);
  seer_unlock();
  model_expire(urgency);
  it = model_head(urgency);
  CHECK(event == (it != NULL ? it->event : NULL));
  if (it == NULL)
    return;
  model_take_out(it);
  it->place = FLYING;
}

static bool is_taken(int64_t due) {
  for (item *it = model.items; it < model.items + ITEMS; it++)
    if (it->place == DELAYED && it->due == due)
      return true;
  return false;
}

/* Times at which events expire are even, those when they are due odd. */
static void release(item *it) {
  do /* no two are due together */
    it->due = unit_now + 1 + 2 * (unit_random(1500) - 200);
  while (is_taken(it->due));
  seer_lock();
  seer_queue_release(&queue, it->event, it->due, unit_now);
  seer_unlock();
  if (it->request == NULL && it->due > it->expires)
    it->due = it->expires;
  if (it->due <= unit_now)
    model_come_back(it);
  else
    it->place = DELAYED;
}

static void land(seer_dead *dead) {
  item *it = any(FLYING);
  seer_settlement settlement =
      unit_random(3) ? SEER_SETTLED_DELIVERED : SEER_SETTLED_REJECTED;
  if (it == NULL)
    return;
  if (unit_random(3) == 0) {
    release(it);
    return;
  }
  seer_lock();
  seer_queue_done(&queue, it->event, settlement, dead);
  seer_unlock();
  model_settle(it, settlement);
}

/* A waiter gives up: what was ready, or followed, leaves at once. */
static void cancel(seer_dead *dead) {
  item *it = &model.items[unit_random(ITEMS)];
  for (int i = 0; i < ITEMS &&
                  (it->place == GONE || it->request == NULL || it->cancelled);
       i++)
    it = &model.items[(it - model.items + 1) % ITEMS];
  if (it->place == GONE || it->request == NULL || it->cancelled)
    return;
  seer_lock();
  seer_queue_cancel(&queue, it->request, unit_now, dead);
  seer_unlock();
  model_wake(SEER_WAITED);
  if (it->place == READY || it->place == FOLLOWING) {
    model_settle(it, SEER_SETTLED_REJECTED);
  } else {
    it->cancelled = true;
    model.settled[SEER_SETTLED_REJECTED]++;
  }
}

static void wake(void) {
  seer_lock();
  seer_queue_wake(&queue.line[SEER_WAITED], unit_now);
  seer_queue_wake(&queue.line[SEER_QUEUED], unit_now);
  seer_unlock();
  model_wake(SEER_URGENCIES);
}

static void expire(seer_dead *dead) {
  seer_lock();
  seer_queue_expire(&queue.line[SEER_QUEUED], unit_now, dead);
  seer_unlock();
  model_expire(SEER_QUEUED);
}

static void flush(void) {
  queue.generation++;
  queue.before_flush = queue.pending;
  model.flushed = model.orders;
}

static void operate(seer_dead *dead) {
  int64_t what = unit_random(100);
  if (what < 45)
    put(dead);
  else if (what < 60)
    claim(dead);
  else if (what < 80)
    land(dead);
  else if (what < 90)
    wake();
  else if (what < 95)
    expire(dead);
  else if (what < 96)
    flush();
  else if (what < 98)
    cancel(dead);
  else
    unit_now += 2 * unit_random(150);
}

static void begin_test(bool drop_oldest) {
  static seer_settings settings;
  static seer_party party = {.settings = &settings};
  settings = (seer_settings){
      .max_queue_events = 1 + unit_random(60),
      .max_queue_bytes = 2000 + unit_random(20000),
      .max_event_bytes = 1000,
      .max_age = 2 * (250 + unit_random(2500)),
      .drop_oldest = drop_oldest,
  };
  memset(&lines, 0, sizeof lines);
  model_begin(&settings);
  unit_now += unit_now % 2;
  seer_queue_init(&queue, &party, &lines);
}

/* Drops all that is not in flight, and settles that. */
static void end_test(void) {
  seer_dead dead = SEER_NO_DEAD;
  item *it;
  seer_lock();
  seer_queue_drop_all(&queue, SEER_SETTLED_EXIT, &dead);
  seer_unlock();
  for (place where = FOLLOWING; where > GONE; where--)
    while ((it = any(where)) != NULL)
      model_settle(it, SEER_SETTLED_EXIT);
  check(&dead);
  dead = SEER_NO_DEAD;
  while ((it = any(FLYING)) != NULL) {
    seer_lock();
    seer_queue_done(&queue, it->event, SEER_SETTLED_DELIVERED, &dead);
    seer_unlock();
    model_settle(it, SEER_SETTLED_DELIVERED);
  }
  check(&dead);
  CHECK(queue.pending == 0 && queue.events == 0 && queue.bytes == 0);
}

static void run(bool drop_oldest) {
  for (int round = 0; round < 20; round++) {
    begin_test(drop_oldest);
    for (int i = 0; i < 1000; i++) {
      seer_dead dead = SEER_NO_DEAD;
      operate(&dead);
      check(&dead);
    }
    end_test();
  }
}

static void rejects(void) {
  run(false);
}

static void drops_the_oldest(void) {
  run(true);
}

const unit_test unit_queue[] = {
    {"a queue that refuses has every event where a list would",   rejects},
    {"a queue that displaces has every event where a list would",
     drops_the_oldest                                                    },
    {NULL,                                                        NULL   }
};
