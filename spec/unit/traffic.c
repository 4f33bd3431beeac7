#include "traffic.h"

#include "client.h"
#include "core/base/clock.h"
#include "core/base/thread.h"
#include "unit.h"

#include <stdio.h>

seer_endpoint *endpoint;
seer_queue *clients[CLIENTS];
int client_count;
flight flights[MOST];
int flying, sent_count;
int64_t sent_at[MOST];
const seer_queue *sent_by[MOST];
bool sent_waited[MOST];
int64_t longest;

static char key[20]; /* of the test */

void begin_test(void) {
  static int tests;
  snprintf(key, sizeof key, "key%d", tests++);
  client_count = flying = sent_count = 0;
  longest = 100;
}

seer_queue *add_client(seer_settings settings) {
  seer_queue *queue = client_open(key, &settings);
  endpoint = queue->endpoint;
  return clients[client_count++] = queue;
}

void put(seer_queue *queue, int count) {
  seer_dead dead = SEER_NO_DEAD;
  for (; count > 0; count--) {
    seer_event *event =
        seer_event_new(&(seer_draft){.body = "{}", .length = 2});
    seer_lock();
    seer_queue_put(queue, event, unit_now, &dead);
    seer_unlock();
  }
}

seer_request *put_waited(seer_queue *queue, int64_t timeout) {
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event = seer_event_new(&(seer_draft){.body = "{}", .length = 2});
  seer_request *request = seer_request_new(timeout, 0);
  request->references = 2;
  event->request = request;
  seer_lock();
  seer_queue_put(queue, event, unit_now, &dead);
  seer_unlock();
  return request;
}

int claim(void) {
  seer_dead dead = SEER_NO_DEAD;
  int before = flying;
  for (;;) {
    flight *new = &flights[flying];
    bool claimed;
    seer_lock();
    claimed = seer_endpoint_claim(endpoint, unit_now, &new->claim, &dead);
    seer_unlock();
    if (!claimed)
      break;
    new->ends = unit_now + unit_random(longest + 1);
    new->number = sent_count;
    sent_at[sent_count] = unit_now;
    sent_by[sent_count] = new->claim.queue;
    sent_waited[sent_count++] = new->claim.event->request != NULL;
    flying++;
  }
  seer_dead_free(&dead);
  return flying - before;
}

void land_with(int place, int status, int64_t retry_after) {
  flight end = flights[place];
  seer_answer answer = {
      .status = status, .should_retry = -1, .retry_after = retry_after};
  bool waited = end.claim.event->request != NULL;
  seer_asked asked = {.attempts = end.claim.event->attempts, .waited = waited};
  seer_attempt attempt = {.answer = &answer,
                          .verdict = seer_retry_judge(&answer, &asked),
                          .epoch = end.claim.epoch,
                          .number = end.claim.event->attempts,
                          .waited = waited};
  seer_dead dead = SEER_NO_DEAD;
  int64_t due;
  flights[place] = flights[--flying];
  seer_lock();
  seer_endpoint_landed(&end.claim, 1, status != 0, unit_now);
  due = seer_endpoint_learn(end.claim.queue, &attempt, unit_now);
  if (attempt.verdict == SEER_DELIVERED || attempt.verdict == SEER_REJECTED)
    seer_queue_done(end.claim.queue, end.claim.event,
                    attempt.verdict == SEER_DELIVERED ? SEER_SETTLED_DELIVERED
                                                      : SEER_SETTLED_REJECTED,
                    &dead);
  else
    seer_queue_release(end.claim.queue, end.claim.event, due, unit_now);
  seer_unlock();
  seer_dead_free(&dead);
}

void land(int place, int status) {
  land_with(place, status, SEER_NO_RETRY_AFTER);
}

void land_all(int status) {
  while (flying > 0)
    land(0, status);
}

int64_t next_time(void) {
  int64_t next;
  seer_lock();
  next = seer_endpoint_next(endpoint, unit_now);
  seer_unlock();
  return next;
}

int64_t pending(void) {
  int64_t sum = 0;
  for (int i = 0; i < client_count; i++)
    sum += clients[i]->pending;
  return sum;
}

bool rest(int64_t until) {
  int64_t next = next_time();
  for (int i = 0; i < flying; i++)
    if (flights[i].ends < next)
      next = flights[i].ends;
  if (next == SEER_NEVER)
    return false;
  if (next > until)
    next = until;
  if (next > unit_now)
    unit_now = next;
  for (int i = flying - 1; i >= 0; i--)
    if (flights[i].ends <= unit_now)
      land(i, 200);
  return true;
}

void end_test(void) {
  seer_dead dead = SEER_NO_DEAD;
  land_all(200);
  for (int i = 0; i < client_count; i++) {
    seer_lock();
    seer_queue_drop_all(clients[i], SEER_SETTLED_EXIT, &dead);
    seer_unlock();
    seer_sender_release(clients[i]);
  }
  seer_dead_free(&dead);
  unit_now += 3 * SEER_GATE_WINDOW;
  add_client(client_settings(0, 1));
  seer_sender_release(clients[client_count - 1]);
}

void check_minutes(int64_t limit, const seer_queue *by) {
  static int64_t times[MOST];
  int count = 0, share = (int)seer_gate_share(limit);
  for (int i = 0; i < sent_count; i++)
    if (by == NULL || sent_by[i] == by)
      times[count++] = sent_at[i];
  for (int i = share; i < count; i++)
    CHECK(times[i] - times[i - share] >= SEER_GATE_WINDOW);
}
