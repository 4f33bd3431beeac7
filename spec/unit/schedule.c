#include "core/schedule.h"

#include "client.h"
#include "core/base/clock.h"
#include "core/base/thread.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define TIMERS 300
#define KEYS 40
#define CLIENTS 120
#define MOST 10000 /* requests in flight */

static seer_timer timers[TIMERS];
static int64_t times[TIMERS]; /* the model: when each is due */

static int64_t soonest(void) {
  int64_t soonest = SEER_NEVER;
  for (int i = 0; i < TIMERS; i++)
    soonest = seer_clock_sooner(soonest, times[i]);
  return soonest;
}

static void finds_the_soonest(void) {
  seer_timer *heap = NULL;
  memset(timers, 0, sizeof timers);
  for (int i = 0; i < TIMERS; i++)
    times[i] = SEER_NEVER;
  for (int i = 0; i < 30000; i++) {
    int which = (int)unit_random(TIMERS);
    int64_t at = unit_random(i % 3 == 0 ? 5 : 1000000) - 2, due;
    bool growing = i / 3000 % 2 == 0;
    if (unit_random(10) < (growing ? 2 : 6))
      at = SEER_NEVER;
    due = seer_clock_later(at, 1);
    if (unit_random(4) == 0) {
      seer_timer_hasten(&heap, &timers[which], at);
      times[which] = seer_clock_sooner(times[which], due);
    } else {
      seer_timer_set(&heap, &timers[which], at);
      times[which] = due;
    }
    CHECK(seer_timer_at(&timers[which]) == times[which]);
    CHECK(seer_timer_at(heap) == soonest());
  }
  while (heap != NULL) {
    CHECK(heap->at == soonest());
    times[heap - timers] = SEER_NEVER;
    seer_timer_set(&heap, heap, SEER_NEVER);
  }
  CHECK(soonest() == SEER_NEVER);
}

/*
** Clients of many keys.
*/

static seer_queue *clients[CLIENTS];
static int client_count, flying, looks;
static seer_claim flights[MOST];
static int64_t ends[MOST];
static int tests;

/* A client of this key. */
static seer_queue *open_client(int number, const seer_settings *settings) {
  char key[40];
  snprintf(key, sizeof key, "scheduled%d-%d", tests, number);
  return client_open(key, settings);
}

static void begin_test(void) {
  tests++;
  client_count = flying = looks = 0;
}

static void close_client(int which) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  seer_queue_drop_all(clients[which], SEER_SETTLED_EXIT, &dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
  seer_sender_release(clients[which]);
  clients[which] = clients[--client_count];
}

static void put(seer_queue *queue, bool waited) {
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event = seer_event_new(&(seer_draft){.body = "{}", .length = 2});
  if (waited) /* whoever does has gone */
    event->request = seer_request_new(1 + unit_random(90000), 0);
  seer_lock();
  seer_queue_put(queue, event, unit_now, &dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
}

/* With the lock held: as the sender does, claims what the schedule shows. */
static void claim(seer_dead *dead) {
  seer_endpoint *endpoint;
  while ((endpoint = seer_schedule_first(unit_now)) != NULL) {
    while (flying < MOST &&
           seer_endpoint_claim(endpoint, unit_now, &flights[flying], dead))
      ends[flying++] = unit_now + unit_random(3000);
    seer_schedule_at(&endpoint->lines.place,
                     seer_endpoint_next(endpoint, unit_now));
    looks++;
  }
}

/* Nothing may go that the schedule does not show, now or before it does: the
   oracle looks at each endpoint. */
static void check_schedule(seer_dead *dead) {
  static seer_claim missed;
  int64_t shown = seer_schedule_next();
  for (int i = 0; i < client_count; i++) {
    seer_endpoint *endpoint = clients[i]->endpoint;
    CHECK(!seer_endpoint_claim(endpoint, unit_now, &missed, dead));
    CHECK(shown <= seer_endpoint_next(endpoint, unit_now));
    CHECK(seer_schedule_of(&endpoint->lines.place) <=
          seer_endpoint_next(endpoint, unit_now));
  }
}

/* One request ends with a status. */
static void land(int place, int status, seer_dead *dead) {
  seer_claim end = flights[place];
  seer_answer answer = {.status = status,
                        .should_retry = -1,
                        .retry_after = SEER_NO_RETRY_AFTER};
  bool waited = end.event->request != NULL;
  seer_asked asked = {.attempts = end.event->attempts, .waited = waited};
  seer_attempt attempt = {.answer = &answer,
                          .verdict = seer_retry_judge(&answer, &asked),
                          .epoch = end.epoch,
                          .number = end.event->attempts,
                          .waited = waited};
  int64_t due;
  flights[place] = flights[--flying];
  ends[place] = ends[flying];
  seer_endpoint_landed(&end, 1, status != 0, unit_now);
  due = seer_endpoint_learn(end.queue, &attempt, unit_now);
  if (attempt.verdict == SEER_DELIVERED)
    seer_queue_done(end.queue, end.event, SEER_SETTLED_DELIVERED, dead);
  else if (attempt.verdict == SEER_REJECTED)
    seer_queue_done(end.queue, end.event, SEER_SETTLED_REJECTED, dead);
  else
    seer_queue_release(end.queue, end.event, due, unit_now);
}

/* One turn of the sender, after which the oracle looks. */
static void turn(int status) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  for (int i = flying - 1; i >= 0; i--)
    if (ends[i] <= unit_now)
      land(i, unit_random(10) == 0 ? status : 200, &dead);
  claim(&dead);
  check_schedule(&dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
}

static void sleep_until(int64_t next) {
  for (int i = 0; i < flying; i++)
    next = seer_clock_sooner(next, ends[i]);
  seer_lock();
  next = seer_clock_sooner(next, seer_schedule_next());
  seer_unlock();
  unit_now = seer_clock_later(next, unit_now + 1);
}

static void end_test(void) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  while (flying > 0)
    land(0, 200, &dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
  while (client_count > 0)
    close_client(0);
  unit_now += 20 * SEER_GATE_WINDOW;
}

static seer_settings some_settings(void) {
  static const int64_t rates[] = {0, 20, 60, 300};
  seer_settings settings =
      client_settings(rates[unit_random(4)], 1 + unit_random(5));
  settings.max_age = unit_random(3) == 0 ? 1 + unit_random(20000) : 86400000;
  settings.max_queued_delay = 8000;
  return settings;
}

static void shows_what_may_go(void) {
  static const int statuses[] = {429, 500, 0, 400, 503};
  begin_test();
  for (int i = 0; i < 4000; i++) {
    int64_t what = unit_random(100);
    if (client_count == 0 || (what < 10 && client_count < CLIENTS)) {
      seer_settings settings = some_settings();
      clients[client_count++] = open_client((int)unit_random(KEYS), &settings);
    } else if (what < 12) {
      close_client((int)unit_random(client_count));
    } else {
      seer_queue *queue = clients[unit_random(client_count)];
      for (int64_t count = unit_random(6); count > 0; count--)
        put(queue, unit_random(8) == 0);
    }
    turn(statuses[unit_random(5)]);
    if (unit_random(3) == 0)
      sleep_until(unit_now + unit_random(5000));
  }
  end_test();
}

/* How many looks a hundred events of one key take, beside so many others that
   have nothing to do or have to wait. */
static int looks_beside(int others) {
  seer_settings settings = client_settings(20, 1000);
  seer_dead dead = SEER_NO_DEAD;
  int before;
  begin_test();
  for (int i = 0; i < others; i++)
    for (int count = i % 2 == 0 ? 25 : 0; count > 0; count--) {
      if (count == 25)
        clients[client_count++] = open_client(i, &settings);
      put(clients[client_count - 1], false);
    }
  seer_lock();
  claim(&dead);
  seer_unlock();
  settings.rate_limit = 0;
  clients[client_count++] = open_client(KEYS, &settings);
  before = looks;
  for (int i = 0; i < 100; i++) {
    put(clients[client_count - 1], false);
    seer_lock();
    claim(&dead);
    land(flying - 1, 200, &dead);
    seer_unlock();
  }
  before = looks - before;
  seer_endpoints_bury(&dead);
  end_test();
  return before;
}

static void looks_at_no_others(void) {
  int alone = looks_beside(0);
  CHECK(alone <= 201);
  CHECK(looks_beside(2 * (CLIENTS - 1)) == alone);
}

const unit_test unit_schedule[] = {
    {"timers give the soonest, whatever is set, moved and cleared",
     finds_the_soonest                                                         },
    {"the schedule shows whatever may go, among clients that come and go",
     shows_what_may_go                                                         },
    {"the sender does not look at endpoints that have nothing to do",
     looks_at_no_others                                                        },
    {NULL,                                                                 NULL}
};
