#include "settle.h"

#include "clock.h"
#include "state.h"
#include "thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNSENT_DELAY 1000 /* ms, when there was no memory to send */

/* What to tell of an attempt, decided with the lock, told without. */
typedef struct report {
  bool tell;
  const char *what, *consequence;
  int64_t untold;
} report;

static char *copy_bytes(const char *bytes, size_t length) {
  char *copy = malloc(length + 1);
  if (copy == NULL)
    return NULL;
  if (length > 0) /* else there may be no bytes to point to */
    memcpy(copy, bytes, length);
  copy[length] = '\0';
  return copy;
}

/* The answer as its waiter, if there is one, will see it. */
static seer_outcome make_outcome(const seer_transfer *transfer) {
  seer_outcome outcome;
  memset(&outcome, 0, sizeof outcome);
  if (transfer->event->request == NULL)
    return outcome;
  outcome.status = transfer->answer.status;
  outcome.failure = transfer->answer.failure;
  snprintf(outcome.message, sizeof outcome.message, "%s", transfer->message);
  if (outcome.status == 0)
    return outcome;
  outcome.headers = copy_bytes(transfer->headers, transfer->headers_length);
  outcome.body = copy_bytes(transfer->body, transfer->body_length);
  if (outcome.headers != NULL)
    outcome.headers_length = transfer->headers_length;
  if (outcome.body != NULL)
    outcome.body_length = transfer->body_length;
  else
    outcome.failure = SEER_FAILURE_NOMEM;
  return outcome;
}

static void free_outcome(seer_outcome *outcome) {
  free(outcome->headers);
  free(outcome->body);
}

/* With the lock held: gives the outcome to the waiter; false if the waiter
   has stopped waiting. */
static bool hand_over(seer_request *request, const seer_outcome *outcome) {
  if (request->settled)
    return false;
  request->outcome = *outcome;
  return true;
}

static seer_trouble_kind trouble_of(const seer_attempt *attempt) {
  seer_verdict verdict = attempt->verdict;
  if (attempt->answer->status == 0)
    return SEER_TROUBLE_UNREACHABLE;
  if (attempt->answer->status == 429)
    return SEER_TROUBLE_LIMITED;
  if (verdict == SEER_REJECTED)
    return SEER_TROUBLE_REJECTED;
  return verdict == SEER_PAUSE ? SEER_TROUBLE_REFUSED : SEER_TROUBLE_FAILING;
}

/* A waiter hears of its trouble itself, and at exit one line tells of all
   that is left. */
static bool is_worth_a_line(const seer_attempt *attempt) {
  if (attempt->verdict == SEER_DELIVERED || attempt->waited)
    return false;
  return attempt->verdict == SEER_REJECTED || !attempt->exiting;
}

static report make_report(seer_endpoint *endpoint, const seer_attempt *attempt,
                          int64_t now) {
  static const char *const whats[SEER_TROUBLES] = {
      "no answer from", "trouble at", "refused by", "rate limited by",
      "event rejected by"};
  seer_trouble_kind kind = trouble_of(attempt);
  report news = {false, whats[kind], "events are kept and sent later", 0};
  if (attempt->verdict == SEER_REJECTED)
    news.consequence = "the event is lost";
  if (is_worth_a_line(attempt))
    news.tell =
        seer_trouble_happened(&endpoint->troubles[kind], now, &news.untold);
  return news;
}

/* The event has been settled, and so its queue may be gone: the reference is
   what keeps the endpoint. */
static void tell_report(const report *news, const seer_transfer *transfer) {
  const char *url = transfer->endpoint->base_url;
  if (news->untold == 0)
    seer_tell("%s %s: %s; %s", news->what, url, transfer->message,
              news->consequence);
  else
    seer_tell("%s %s: %s; %s (%lld more since the last report)", news->what,
              url, transfer->message, news->consequence,
              (long long)news->untold);
  seer_endpoint_release(transfer->endpoint);
}

static seer_attempt make_attempt(const seer_transfer *transfer,
                                 double jitter) {
  const seer_event *event = transfer->event;
  const seer_queue *queue = transfer->queue;
  seer_attempt attempt;
  attempt.answer = &transfer->answer;
  attempt.waited = event->request != NULL;
  attempt.number = event->attempts;
  attempt.epoch = transfer->epoch;
  attempt.exiting = seer_process.exiting;
  attempt.jitter = jitter;
  attempt.verdict =
      seer_retry_judge(&transfer->answer, attempt.number,
                       attempt.waited ? event->request->max_retries
                                      : queue->settings.max_retries,
                       attempt.waited);
  return attempt;
}

/* With the lock held: what becomes of the event. True if its waiter has the
   outcome. */
static bool dispose(seer_transfer *transfer, const seer_attempt *attempt,
                    const seer_outcome *outcome, int64_t due, int64_t now,
                    seer_dead *dead) {
  seer_queue *queue = transfer->queue;
  seer_event *event = transfer->event;
  bool handed = false;
  if (attempt->verdict == SEER_RETRY || attempt->verdict == SEER_PAUSE) {
    if (event->request != NULL)
      event->request->give_up = seer_clock_after(due, event->request->timeout);
    seer_queue_release(queue, event, due, now);
    return false;
  }
  if (event->request != NULL)
    handed = hand_over(event->request, outcome);
  seer_queue_done(queue, event,
                  attempt->verdict == SEER_DELIVERED ? SEER_SETTLED_DELIVERED
                                                     : SEER_SETTLED_REJECTED,
                  dead);
  return handed;
}

void seer_settle(seer_transfer *transfer) {
  seer_endpoint *endpoint = transfer->endpoint;
  seer_queue *queue = transfer->queue;
  double jitter = seer_id_fraction();
  int64_t now = seer_clock_now(), due;
  seer_attempt attempt;
  seer_outcome outcome = make_outcome(transfer);
  seer_dead dead = SEER_NO_DEAD;
  bool handed;
  report news;
  seer_lock();
  attempt = make_attempt(transfer, jitter);
  seer_endpoint_landed(endpoint, attempt.waited, transfer->sent, now);
  due = seer_endpoint_learn(endpoint, &queue->settings, &attempt, now);
  news = make_report(endpoint, &attempt, now);
  if (attempt.verdict != SEER_DELIVERED)
    memcpy(queue->last_error, transfer->message, sizeof queue->last_error);
  handed = dispose(transfer, &attempt, &outcome, due, now, &dead);
  if (news.tell)
    endpoint->references++;
  seer_unlock();
  if (news.tell)
    tell_report(&news, transfer);
  seer_state_bury(&dead);
  if (!handed)
    free_outcome(&outcome);
}

void seer_settle_unsent(seer_endpoint *endpoint, seer_queue *queue,
                        seer_event *event) {
  int64_t now = seer_clock_now();
  seer_lock();
  seer_endpoint_landed(endpoint, event->request != NULL, 0, now);
  seer_queue_release(queue, event, now + UNSENT_DELAY, now);
  seer_unlock();
}
