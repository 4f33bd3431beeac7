#include "endpoint.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

#define FAILURES_ENDURED 5 /* in a row, before the endpoint backs off */
#define EXIT_RETRY 50      /* ms between attempts to reach it at exit */
#define REFUSALS_ENDURED 3 /* of these in a row, before giving up */
#define WAITER_GRACE 1000  /* ms that a waiter lets an attempt overrun */

static int64_t sooner(int64_t one, int64_t other) {
  return one < other ? one : other;
}

static int64_t later(int64_t one, int64_t other) {
  return one > other ? one : other;
}

const char *seer_endpoint_url(const seer_endpoint *endpoint) {
  return endpoint->base_url;
}

/* Whether queued events may go now: not while it pauses, and while it backs
   off one at a time. What was sent before the pause does not matter: it may
   hang for long. */
static bool is_open(const seer_endpoint *endpoint, int64_t now) {
  if (endpoint->paused_until > now)
    return false;
  return endpoint->level == 0 || endpoint->probes == 0;
}

/* Milliseconds until a client's requests may be sent, as far as pacing goes;
   0 now. */
static int64_t pace_delay(seer_queue *queue, int64_t now) {
  seer_endpoint *endpoint = queue->endpoint;
  return later(seer_pace_delay(&queue->pace, queue->settings.rate_limit, now),
               seer_pace_delay(&endpoint->pace, endpoint->rate_limit, now));
}

/* The same, unless too many are in flight; SEER_NEVER when the end of some
   request decides. */
static int64_t line_delay(const seer_line *line, int64_t now) {
  seer_queue *queue = line->queue;
  if (queue->in_flight >= queue->settings.max_in_flight ||
      queue->endpoint->in_flight >= queue->endpoint->max_in_flight)
    return SEER_NEVER;
  return pace_delay(queue, now);
}

/* A waited-for request that the pacer would hold past its timeout fails at
   once. */
static void refuse_paced(seer_line *line, int64_t delay, int64_t now,
                         seer_dead *dead) {
  if (delay == SEER_NEVER)
    return;
  for (;;) {
    seer_event *event;
    seer_queue_expire(line, now, dead);
    if (line->head == NULL || line->head->request->timeout >= delay)
      return;
    event = seer_queue_claim(line, now, dead);
    event->request->outcome.failure = SEER_FAILURE_PACED;
    seer_queue_done(line->queue, event, SEER_SETTLED_REJECTED, dead);
  }
}

static seer_event *claim_from(seer_endpoint *endpoint, seer_urgency urgency,
                              int64_t now, seer_queue **queue,
                              seer_dead *dead) {
  seer_line **ring = &endpoint->lines.ready[urgency];
  for (int i = endpoint->lines.count[urgency]; i > 0 && *ring != NULL; i--) {
    seer_line *line = *ring;
    int64_t delay = line_delay(line, now);
    seer_event *event;
    *ring = line->next_ready;
    if (delay > 0) {
      if (urgency == SEER_WAITED)
        refuse_paced(line, delay, now, dead);
      else
        seer_queue_expire(line, now, dead);
      continue;
    }
    event = seer_queue_claim(line, now, dead);
    if (event == NULL)
      continue;
    *queue = line->queue;
    return event;
  }
  return NULL;
}

/* Delayed events whose time has come are ready again. */
static void wake_lines(seer_endpoint *endpoint, int64_t now) {
  seer_line *line = endpoint->lines.delayed;
  while (line != NULL) {
    seer_line *next = line->next_delayed;
    seer_queue_wake(line, now);
    line = next;
  }
}

static void expire_lines(seer_endpoint *endpoint, int64_t now,
                         seer_dead *dead) {
  seer_line **ring = &endpoint->lines.ready[SEER_QUEUED];
  for (int i = endpoint->lines.count[SEER_QUEUED]; i > 0 && *ring; i--) {
    seer_line *line = *ring;
    *ring = line->next_ready;
    seer_queue_expire(line, now, dead);
  }
}

seer_event *seer_endpoint_claim(seer_endpoint *endpoint, int64_t now,
                                seer_queue **queue, seer_dead *dead) {
  seer_event *event;
  seer_assert(seer_lock_is_held());
  wake_lines(endpoint, now);
  event = claim_from(endpoint, SEER_WAITED, now, queue, dead);
  if (event == NULL && is_open(endpoint, now))
    event = claim_from(endpoint, SEER_QUEUED, now, queue, dead);
  else if (event == NULL)
    expire_lines(endpoint, now, dead);
  if (event == NULL)
    return NULL;
  endpoint->in_flight++;
  if (event->request == NULL)
    endpoint->probes++;
  else
    event->request->waits_until = seer_clock_after(
        now, seer_clock_after(WAITER_GRACE, event->request->timeout));
  seer_pace_begin(&endpoint->pace);
  (*queue)->in_flight++;
  seer_pace_begin(&(*queue)->pace);
  return event;
}

/* When a ready line may be claimed from, by its own limits. */
static int64_t next_ready(seer_endpoint *endpoint, seer_urgency urgency,
                          int64_t now) {
  seer_line *first = endpoint->lines.ready[urgency], *line = first;
  int64_t next = SEER_NEVER;
  if (first == NULL)
    return SEER_NEVER;
  do {
    int64_t delay = line_delay(line, now);
    next = sooner(next, seer_clock_after(now, delay));
    line = line->next_ready;
  } while (line != first);
  return next;
}

static int64_t next_expiry(const seer_endpoint *endpoint) {
  const seer_line *first = endpoint->lines.ready[SEER_QUEUED], *line = first;
  int64_t next = SEER_NEVER;
  if (first == NULL)
    return SEER_NEVER;
  do {
    next = sooner(next, seer_queue_next_expiry(line));
    line = line->next_ready;
  } while (line != first);
  return next;
}

static int64_t next_due(const seer_endpoint *endpoint) {
  int64_t next = SEER_NEVER;
  for (const seer_line *line = endpoint->lines.delayed; line != NULL;
       line = line->next_delayed)
    next = sooner(next, seer_queue_next_due(line));
  return next;
}

int64_t seer_endpoint_next(seer_endpoint *endpoint, int64_t now) {
  int64_t queued = next_ready(endpoint, SEER_QUEUED, now);
  int64_t next = next_ready(endpoint, SEER_WAITED, now);
  seer_assert(seer_lock_is_held());
  endpoint->lines.changed = false;
  if (endpoint->level > 0 && endpoint->probes > 0)
    queued = SEER_NEVER; /* the end of the probe decides */
  next = sooner(next, later(queued, endpoint->paused_until));
  next = sooner(next, next_due(endpoint));
  return sooner(next, next_expiry(endpoint));
}

/* From now on, what is in flight tells nothing of whether the service works
   again. */
static void begin_epoch(seer_endpoint *endpoint) {
  endpoint->epoch++;
  endpoint->probes = 0;
}

/* A request over the wire has ended. */
static void free_slots(seer_queue *queue, int sent, int64_t now) {
  seer_pace_end(&queue->pace, sent, now);
  seer_pace_end(&queue->endpoint->pace, sent, now);
}

void seer_endpoint_landed(seer_queue *queue, bool waited, uint32_t epoch,
                          int sent, int64_t now) {
  seer_endpoint *endpoint = queue->endpoint;
  seer_assert(seer_lock_is_held());
  seer_assert(queue->in_flight > 0 && endpoint->in_flight > 0);
  queue->in_flight--;
  endpoint->in_flight--;
  if (!waited && epoch == endpoint->epoch)
    endpoint->probes--;
  free_slots(queue, sent, now);
}

bool seer_endpoint_hop(seer_queue *queue, int sent, int64_t now) {
  seer_assert(seer_lock_is_held());
  if (pace_delay(queue, now) > 0)
    return false;
  free_slots(queue, sent, now);
  seer_pace_begin(&queue->pace);
  seer_pace_begin(&queue->endpoint->pace);
  return true;
}

/* An answer, or the lack of one, that a few seconds more will not change:
   at exit it is not worth to wait for another. */
static bool is_refusal(const seer_attempt *attempt) {
  return attempt->answer->unreachable ||
         (attempt->verdict == SEER_PAUSE && attempt->answer->status != 429);
}

/* The next step of backing off, unless the attempt was sent before the last
   one: what failed together counts once. */
static void back_off(seer_endpoint *endpoint, const seer_settings *settings,
                     const seer_attempt *attempt, int64_t now) {
  int64_t delay;
  if (attempt->epoch == endpoint->epoch) {
    begin_epoch(endpoint);
    endpoint->level++;
    if (attempt->exiting && is_refusal(attempt) &&
        ++endpoint->refusals >= REFUSALS_ENDURED)
      endpoint->hopeless = true;
  }
  delay = attempt->exiting && attempt->answer->unreachable
              ? EXIT_RETRY
              : seer_retry_delay(attempt->answer, endpoint->level,
                                 settings->initial_delay,
                                 settings->max_queued_delay, attempt->jitter);
  delay = later(delay, seer_retry_long_pause(attempt->answer));
  if (attempt->epoch + 1 == endpoint->epoch) /* of this step */
    endpoint->paused_until =
        later(endpoint->paused_until, seer_clock_after(now, delay));
}

/* The service works. What was sent before the endpoint began to back off
   does not tell, though, whether it works again. */
static void succeed(seer_endpoint *endpoint, const seer_attempt *attempt) {
  endpoint->refusals = 0;
  if (endpoint->level > 0 && attempt->epoch != endpoint->epoch)
    return;
  endpoint->failures = endpoint->level = 0;
  endpoint->paused_until = 0;
}

/* A service that answers a good event badly, or not at all. What fails a
   second time may itself be the reason, and so counts only when there was no
   answer. */
static void fail(seer_endpoint *endpoint, const seer_settings *settings,
                 const seer_attempt *attempt, int64_t now) {
  const seer_answer *answer = attempt->answer;
  if (answer->status != 0)
    endpoint->refusals = 0;
  if (endpoint->level == 0) {
    if (answer->status == 0 || attempt->number == 1)
      endpoint->failures++;
    if (endpoint->failures < FAILURES_ENDURED &&
        seer_retry_long_pause(answer) == 0 &&
        !(attempt->exiting && answer->unreachable))
      return;
  }
  back_off(endpoint, settings, attempt, now);
}

/* Whether the service takes events: it took this one, or refused it for what
   it is. */
static bool shows_that_it_works(const seer_attempt *attempt) {
  if (attempt->verdict == SEER_DELIVERED)
    return true;
  return attempt->verdict == SEER_REJECTED && !attempt->waited &&
         !seer_retry_concerns_endpoint(attempt->answer->status);
}

int64_t seer_endpoint_learn(seer_endpoint *endpoint,
                            const seer_settings *settings,
                            const seer_attempt *attempt, int64_t now) {
  const seer_answer *answer = attempt->answer;
  bool wait_less = attempt->exiting && answer->unreachable;
  int64_t max = attempt->waited ? settings->max_waited_delay
                                : settings->max_queued_delay;
  seer_assert(seer_lock_is_held());
  if (shows_that_it_works(attempt))
    succeed(endpoint, attempt);
  else if (attempt->verdict == SEER_PAUSE)
    back_off(endpoint, settings, attempt, now);
  else if (attempt->verdict == SEER_RETRY && !attempt->waited)
    fail(endpoint, settings, attempt, now);
  return seer_clock_after(now, wait_less
                                   ? EXIT_RETRY
                                   : seer_retry_delay(answer, attempt->number,
                                                      settings->initial_delay,
                                                      max, attempt->jitter));
}

void seer_endpoint_hurry(seer_endpoint *endpoint) {
  seer_assert(seer_lock_is_held());
  endpoint->failures = endpoint->level = endpoint->refusals = 0;
  endpoint->paused_until = 0;
  begin_epoch(endpoint);
  while (endpoint->lines.delayed != NULL)
    seer_queue_hurry(endpoint->lines.delayed);
}

void seer_endpoint_forget(seer_endpoint *endpoint) {
  memset(&endpoint->lines, 0, sizeof endpoint->lines);
  memset(&endpoint->pace, 0, sizeof endpoint->pace);
  memset(endpoint->troubles, 0, sizeof endpoint->troubles);
  endpoint->in_flight = 0;
  endpoint->hopeless = false;
  for (seer_site *site = endpoint->sites; site != NULL;
       site = seer_site_next(site))
    seer_site_forget(site);
  seer_endpoint_hurry(endpoint);
}
