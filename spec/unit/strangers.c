#include "strangers.h"

#include "client.h"
#include "core/base/clock.h"
#include "core/base/thread.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define READY 20 /* events that one who always has some has */

stranger strangers[STRANGERS];
int stranger_count;
limiter stranger_server;

/* An exponentially distributed number of ms. */
static int64_t about(double mean) {
  return (int64_t)(-mean * log(1 - (double)unit_random(1000000) / 1e6));
}

static void open_stranger(stranger *s, const char *key, int64_t rate_limit) {
  seer_settings settings = client_settings(rate_limit, STRANGER_FLIGHTS);
  memset(s, 0, sizeof *s);
  s->queue = client_open(key, &settings);
  s->endpoint = s->queue->endpoint;
  s->own_gate = s->endpoint->gate;
}

void strangers_begin(int count, int64_t rate_limit, limiter_kind kind,
                     limiter_advice advice, int64_t limit) {
  static int tests;
  stranger_count = count;
  tests++;
  for (int i = 0; i < count; i++) {
    char key[40];
    snprintf(key, sizeof key, "stranger%d.%d", tests, i);
    open_stranger(&strangers[i], key, rate_limit);
  }
  limiter_init(&stranger_server, kind, advice, limit);
}

void strangers_share_gate(void) {
  for (int i = 1; i < stranger_count; i++) {
    strangers[i].endpoint->gate = strangers[0].own_gate;
    strangers[i].endpoint->pauses = &strangers[0].own_gate->pauses;
  }
}

void strangers_limit(int which, int64_t rate_limit) {
  seer_queue *queue = strangers[which].queue;
  seer_settings settings = *queue->settings;
  settings.rate_limit = rate_limit;
  seer_settings_release(queue->settings);
  queue->settings = queue->party->settings = seer_settings_share(&settings);
  strangers[which].endpoint->rate_limit = rate_limit;
}

static void put(stranger *s, bool waited) {
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event = seer_event_new(&(seer_draft){.body = "{}", .length = 2});
  if (waited) {
    event->request = seer_request_new(10000, 2);
    event->request->references = 1;
  }
  seer_lock();
  CHECK(seer_queue_put(s->queue, event, unit_now, &dead) == SEER_ACCEPTED);
  seer_unlock();
}

static void come(stranger *s) {
  for (; s->asks > 0 && s->ask <= unit_now; s->asked++) {
    put(s, true);
    s->ask = unit_now + 1 + about(60000 / s->asks);
  }
  if (s->demand == 0) {
    while (s->queue->pending < READY + s->flying)
      put(s, false);
    s->comes = SEER_NEVER;
    return;
  }
  while (s->comes <= unit_now) {
    put(s, false);
    s->comes += 1 + about(60000 / s->demand);
  }
}

static void deliver(stranger *s, const stranger_flight *f, seer_dead *dead) {
  int64_t born =
      f->claim.event->expires - CLIENT_MAX_AGE - SEER_CLOCK_COARSENESS;
  bool waited = f->claim.event->request != NULL;
  int64_t *longest = waited ? &s->longest_ask : &s->longest_wait;
  *longest = seer_clock_later(*longest, unit_now - born);
  s->delivered++;
  s->answered += waited;
  seer_queue_done(s->queue, f->claim.event, SEER_SETTLED_DELIVERED, dead);
}

static void land(stranger *s, const stranger_flight *f) {
  seer_answer answer = {.status = f->status,
                        .failure = f->status == 200 ? SEER_FAILURE_NONE
                                                    : SEER_FAILURE_STATUS,
                        .should_retry = -1,
                        .retry_after = f->retry_after};
  bool waited = f->claim.event->request != NULL;
  seer_asked asked = {.attempts = f->claim.event->attempts,
                      .waited = waited,
                      .max_retries = 2};
  seer_attempt attempt = {.answer = &answer,
                          .verdict = seer_retry_judge(&answer, &asked),
                          .epoch = f->claim.epoch,
                          .number = f->claim.event->attempts,
                          .waited = waited,
                          .jitter = (double)unit_random(1000) / 1000};
  seer_dead dead = SEER_NO_DEAD;
  int64_t due;
  seer_lock();
  seer_endpoint_landed(&f->claim, 1, true, unit_now);
  due = seer_endpoint_learn(s->queue, &attempt, unit_now);
  s->refused += f->status == 429;
  if (f->status == 200) {
    deliver(s, f, &dead);
  } else if (attempt.verdict == SEER_REJECTED) {
    seer_queue_done(s->queue, f->claim.event, SEER_SETTLED_REJECTED, &dead);
  } else {
    seer_queue_release(s->queue, f->claim.event, due, unit_now);
  }
  seer_unlock();
  seer_dead_free(&dead);
}

static void claim(stranger *s) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  while (s->flying < STRANGER_FLIGHTS &&
         seer_endpoint_claim(s->endpoint, unit_now,
                             &s->flights[s->flying].claim, &dead)) {
    stranger_flight *f = &s->flights[s->flying++];
    int64_t takes = 50 + about(120);
    f->lands = unit_now + (takes < 1000 ? takes : 1000);
    f->arrives = (unit_now + f->lands) / 2;
    f->status = 0;
  }
  s->next = seer_endpoint_next(s->endpoint, unit_now);
  seer_unlock();
  seer_dead_free(&dead);
}

static int64_t next_of(const stranger *s) {
  int64_t next = s->gone || s->next < s->comes ? s->next : s->comes;
  if (s->asks > 0 && !s->gone)
    next = seer_clock_sooner(next, s->ask);
  for (int i = 0; i < s->flying; i++) {
    const stranger_flight *f = &s->flights[i];
    int64_t time = f->status == 0 ? f->arrives : f->lands;
    next = time < next ? time : next;
  }
  return next;
}

static void act(stranger *s) {
  bool changed = s->next <= unit_now;
  for (int i = s->flying - 1; i >= 0; i--) {
    stranger_flight *f = &s->flights[i];
    if (f->status == 0 && f->arrives <= unit_now)
      f->status = limiter_ask(&stranger_server, unit_now, &f->retry_after);
    if (f->lands > unit_now)
      continue;
    land(s, f);
    *f = s->flights[--s->flying];
    changed = true;
  }
  if (s->gone)
    s->next = SEER_NEVER;
  else if (changed || s->comes <= unit_now ||
           (s->asks > 0 && s->ask <= unit_now))
    come(s), claim(s);
}

void strangers_run(int64_t duration) {
  int64_t stop = unit_now + duration;
  for (int i = 0; i < stranger_count; i++)
    strangers[i].next = strangers[i].ask = unit_now;
  while (unit_now < stop) {
    int first = (int)(unit_now % stranger_count);
    int64_t next = stop;
    for (int i = 0; i < stranger_count; i++)
      act(&strangers[(i + first) % stranger_count]);
    for (int i = 0; i < stranger_count; i++)
      next = next_of(&strangers[i]) < next ? next_of(&strangers[i]) : next;
    unit_now = next > unit_now ? next : unit_now + 1;
  }
}

void strangers_measure(void) {
  for (int i = 0; i < stranger_count; i++)
    strangers[i].delivered = strangers[i].refused = strangers[i].answered =
        strangers[i].asked = strangers[i].longest_wait =
            strangers[i].longest_ask = 0;
}

int64_t strangers_delivered(void) {
  int64_t sum = 0;
  for (int i = 0; i < stranger_count; i++)
    sum += strangers[i].delivered;
  return sum;
}

int64_t strangers_refused(void) {
  int64_t sum = 0;
  for (int i = 0; i < stranger_count; i++)
    sum += strangers[i].refused;
  return sum;
}

double strangers_fairness(void) {
  double sum = 0, squares = 0;
  for (int i = 0; i < stranger_count; i++) {
    double got = (double)strangers[i].delivered;
    sum += got;
    squares += got * got;
  }
  return sum * sum / (stranger_count * squares);
}

void strangers_end(void) {
  seer_dead dead = SEER_NO_DEAD;
  for (int i = 0; i < stranger_count; i++) {
    stranger *s = &strangers[i];
    s->endpoint->gate = s->own_gate;
    seer_lock();
    seer_queue_drop_all(s->queue, SEER_SETTLED_EXIT, &dead);
    while (s->queue->flying != NULL)
      seer_queue_done(s->queue, s->queue->flying, SEER_SETTLED_EXIT, &dead);
    seer_unlock();
    seer_sender_release(s->queue);
  }
  seer_dead_free(&dead);
  unit_now += 20 * SEER_GATE_WINDOW; /* their endpoints go with the next */
}
