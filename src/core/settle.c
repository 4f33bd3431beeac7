#include "settle.h"

#include "base/clock.h"
#include "base/thread.h"
#include "endpoints.h"
#include "report.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define UNSENT_DELAY 1000 /* ms, when there was no memory to send */

static char *copy_bytes(const char *bytes, size_t length) {
  char *copy = malloc(length + 1);
  if (copy == NULL)
    return NULL;
  if (length > 0) /* else there may be no bytes to point to */
    memcpy(copy, bytes, length);
  copy[length] = '\0';
  return copy;
}

static seer_outcome make_outcome(const seer_transfer *transfer) {
  seer_outcome outcome = {.status = transfer->answer.status,
                          .failure = transfer->answer.failure};
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

/* What an attempt has come to, and the answer for whoever wants to see it:
   the waiter, or on_error, for which it travels in a request that nobody
   waits for. Made without the lock. */
typedef struct conclusion {
  seer_attempt attempt;
  seer_outcome outcome;
  seer_request *carrier; /* for on_error; NULL if it is not to hear of it */
} conclusion;

static seer_attempt make_attempt(const seer_transfer *transfer) {
  const seer_event *event = transfer->claim.event;
  const seer_special *special = seer_event_special(event);
  seer_asked asked = {.attempts = event->attempts,
                      .max_retries =
                          transfer->claim.queue->settings->max_retries,
                      .waited = event->request != NULL,
                      .own_path = event->kind == SEER_POST};
  seer_attempt attempt = {.answer = &transfer->answer,
                          .epoch = transfer->claim.epoch,
                          .number = asked.attempts,
                          .waited = asked.waited};
  if (asked.waited)
    asked.max_retries = event->request->max_retries;
  else if (special != NULL && special->max_retries >= 0)
    asked.max_retries = special->max_retries;
  attempt.verdict = seer_retry_judge(&transfer->answer, &asked);
  if (attempt.verdict != SEER_DELIVERED)
    attempt.jitter = seer_id_fraction();
  return attempt;
}

static bool is_over(const seer_attempt *attempt) {
  return attempt->verdict == SEER_DELIVERED ||
         attempt->verdict == SEER_REJECTED;
}

static conclusion conclude(const seer_transfer *transfer) {
  conclusion end = {.attempt = make_attempt(transfer)};
  if (!end.attempt.waited && end.attempt.verdict == SEER_REJECTED &&
      transfer->claim.queue->settings->has_on_error)
    end.carrier = seer_request_new(0, 0);
  if (end.carrier != NULL || (end.attempt.waited && is_over(&end.attempt)))
    end.outcome = make_outcome(transfer);
  return end;
}

/* With the lock held: gives the outcome to the waiter, unless the waiter has
   stopped waiting. */
static void hand_over(conclusion *end, seer_request *request) {
  if (request->settled)
    return;
  request->outcome = end->outcome;
  memset(&end->outcome, 0, sizeof end->outcome);
}

static void reject(conclusion *end, seer_transfer *transfer, seer_dead *dead) {
  if (!seer_queue_reject(transfer->claim.queue, transfer->claim.event,
                         end->carrier, dead))
    return;
  end->carrier->outcome = end->outcome;
  end->carrier = NULL;
  memset(&end->outcome, 0, sizeof end->outcome);
}

/* With the lock held: what becomes of the event. */
static void dispose(conclusion *end, seer_transfer *transfer, int64_t due,
                    int64_t now, seer_dead *dead) {
  seer_queue *queue = transfer->claim.queue;
  seer_event *event = transfer->claim.event;
  if (!is_over(&end->attempt)) {
    seer_queue_release(queue, event, due, now);
    return;
  }
  if (event->request != NULL)
    hand_over(end, event->request);
  if (end->attempt.verdict == SEER_DELIVERED)
    seer_queue_done(queue, event, SEER_SETTLED_DELIVERED, dead);
  else
    reject(end, transfer, dead);
}

/* With the lock held, which may be given up meanwhile: what the endpoint
   learns, and what is told; returns when the event is due again, if it is. */
static int64_t learn(const seer_transfer *transfer,
                     const seer_attempt *attempt, int64_t now) {
  seer_queue *queue = transfer->claim.queue;
  seer_endpoint *endpoint = queue->endpoint;
  int level = seer_pauses_level(endpoint->pauses);
  int64_t due;
  seer_endpoint_landed(&transfer->claim, transfer->sent,
                       attempt->answer->status != 0, now);
  due = seer_endpoint_learn(queue, attempt, now);
  queue->doubtful += attempt->verdict == SEER_DELIVERED && transfer->doubtful;
  if (attempt->verdict != SEER_DELIVERED)
    memcpy(queue->last_error, transfer->message, sizeof queue->last_error);
  seer_report_attempt(transfer, attempt,
                      level > 0 && seer_pauses_level(endpoint->pauses) == 0,
                      now);
  return due;
}

void seer_settle(seer_transfer *transfer, seer_dead *dead) {
  conclusion end = conclude(transfer);
  int64_t now = seer_clock_now(), due;
  seer_report_answer(transfer);
  seer_lock();
  seer_report_shortage(transfer->claim.queue, now);
  end.attempt.exiting = seer_state.stage != SEER_LIVING;
  due = learn(transfer, &end.attempt, now);
  dispose(&end, transfer, due, now, dead);
  seer_unlock();
  seer_request_free(end.carrier);
  free(end.outcome.headers);
  free(end.outcome.body);
}

/* With the lock held: whether somebody waits for the event who has waited for
   as many attempts as were wanted. */
static bool is_last_attempt(const seer_event *event) {
  return event->request != NULL &&
         event->attempts > event->request->max_retries;
}

void seer_settle_unsent(const seer_claim *claim) {
  int64_t now = seer_clock_now(), due = now + UNSENT_DELAY;
  seer_queue *queue = claim->queue;
  seer_event *event = claim->event;
  seer_request *request = event->request;
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  seer_endpoint_landed(claim, 0, false, now);
  if (is_last_attempt(event)) {
    if (!request->settled)
      request->outcome.failure = SEER_FAILURE_NOMEM;
    seer_queue_done(queue, event, SEER_SETTLED_REJECTED, &dead);
  } else {
    seer_queue_release(queue, event, due, now);
  }
  seer_unlock();
  seer_endpoints_bury(&dead);
}
