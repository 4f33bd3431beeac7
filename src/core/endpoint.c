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

seer_endpoint *seer_endpoints;

static char *copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *copied = malloc(size);
  return copied != NULL ? memcpy(copied, text, size) : NULL;
}

static void free_endpoint(seer_endpoint *endpoint) {
  if (endpoint == NULL)
    return;
  seer_site_free(endpoint->sites);
  free(endpoint->base_url);
  free(endpoint->api_key);
  free(endpoint);
}

static seer_endpoint *new_endpoint(const seer_site_options *options) {
  seer_endpoint *endpoint = calloc(1, sizeof *endpoint);
  if (endpoint == NULL)
    return NULL;
  endpoint->references = 1;
  endpoint->base_url = copy(options->base_url);
  endpoint->api_key = copy(options->api_key);
  endpoint->sites = seer_site_new(options);
  if (endpoint->base_url != NULL && endpoint->api_key != NULL &&
      endpoint->sites != NULL)
    return endpoint;
  free_endpoint(endpoint);
  return NULL;
}

static seer_endpoint *find(const seer_endpoint *like) {
  seer_endpoint *endpoint = seer_endpoints;
  while (endpoint != NULL && (strcmp(endpoint->base_url, like->base_url) ||
                              strcmp(endpoint->api_key, like->api_key)))
    endpoint = endpoint->next;
  return endpoint;
}

/* Takes the endpoints that nobody needs out of the process's list. */
static seer_endpoint *unlist_idle(int64_t now) {
  seer_endpoint *idle = NULL, **link = &seer_endpoints;
  while (*link != NULL) {
    seer_endpoint *endpoint = *link;
    seer_pace_delay(&endpoint->pace, 0, now); /* frees slots */
    if (endpoint->references > 0 || endpoint->pace.ended > 0) {
      link = &endpoint->next;
    } else {
      *link = endpoint->next;
      endpoint->next = idle;
      idle = endpoint;
    }
  }
  return idle;
}

static void free_all(seer_endpoint *endpoint) {
  while (endpoint != NULL) {
    seer_endpoint *next = endpoint->next;
    free_endpoint(endpoint);
    endpoint = next;
  }
}

/* Gives the endpoint the site of another, unless it has one like it; the
   result is its own, with one more reference. */
static seer_site *adopt_site(seer_endpoint *endpoint, seer_endpoint *other) {
  seer_site *site = endpoint->sites;
  while (site != NULL && !seer_site_equals(site, other->sites))
    site = seer_site_next(site);
  if (site != NULL) {
    seer_site_refer(site);
    return site;
  }
  site = other->sites;
  other->sites = NULL;
  seer_site_link(&endpoint->sites, site);
  return site;
}

/* A new one is made first, and thrown away if there is one like it. */
seer_endpoint *seer_endpoint_get(const seer_site_options *options,
                                 seer_site **site) {
  seer_endpoint *fresh = new_endpoint(options), *found;
  if (fresh == NULL)
    return NULL;
  *site = fresh->sites;
  seer_lock();
  found = find(fresh);
  if (found != NULL) {
    found->references++;
    *site = adopt_site(found, fresh);
  } else {
    fresh->next = seer_endpoints;
    seer_endpoints = fresh;
  }
  seer_unlock();
  if (found == NULL)
    return fresh;
  free_endpoint(fresh);
  return found;
}

void seer_endpoint_refer(seer_endpoint *endpoint, seer_site *site) {
  seer_lock();
  endpoint->references++;
  seer_site_refer(site);
  seer_unlock();
}

void seer_endpoint_release(seer_endpoint *endpoint, seer_site *site) {
  int64_t now = seer_clock_now();
  seer_endpoint *idle;
  seer_lock();
  if (site != NULL && !seer_site_unrefer(&endpoint->sites, site))
    site = NULL; /* somebody else needs it */
  endpoint->references--;
  idle = unlist_idle(now);
  seer_unlock();
  seer_site_free(site);
  free_all(idle);
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

/* Milliseconds until this line may send; SEER_NEVER when the end of some
   request decides. */
static int64_t line_delay(seer_endpoint *endpoint, const seer_line *line,
                          int64_t now) {
  const seer_settings *settings = &line->queue->settings;
  if (endpoint->in_flight >= settings->max_in_flight)
    return SEER_NEVER;
  return seer_pace_delay(&endpoint->pace, settings->rate_limit, now);
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
    int64_t delay = line_delay(endpoint, line, now);
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
  return event;
}

static int64_t sooner(int64_t one, int64_t other) {
  return one < other ? one : other;
}

static int64_t later(int64_t one, int64_t other) {
  return one > other ? one : other;
}

/* When a ready line may be claimed from, by its own limits. */
static int64_t next_ready(seer_endpoint *endpoint, seer_urgency urgency,
                          int64_t now) {
  seer_line *first = endpoint->lines.ready[urgency], *line = first;
  int64_t next = SEER_NEVER;
  if (first == NULL)
    return SEER_NEVER;
  do {
    int64_t delay = line_delay(endpoint, line, now);
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

void seer_endpoint_landed(seer_endpoint *endpoint, bool waited, uint32_t epoch,
                          int sent, int64_t now) {
  seer_assert(seer_lock_is_held());
  seer_assert(endpoint->in_flight > 0);
  endpoint->in_flight--;
  if (!waited && epoch == endpoint->epoch)
    endpoint->probes--;
  seer_pace_end(&endpoint->pace, sent, now);
}

bool seer_endpoint_hop(seer_endpoint *endpoint, const seer_settings *settings,
                       int sent, int64_t now) {
  seer_assert(seer_lock_is_held());
  if (seer_pace_delay(&endpoint->pace, settings->rate_limit, now) > 0)
    return false;
  seer_pace_end(&endpoint->pace, sent, now);
  seer_pace_begin(&endpoint->pace);
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
                                 settings->initial_retry_delay,
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
  return seer_clock_after(
      now, wait_less ? EXIT_RETRY
                     : seer_retry_delay(answer, attempt->number,
                                        settings->initial_retry_delay, max,
                                        attempt->jitter));
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
  memset(&endpoint->pace, 0, sizeof endpoint->pace);
  memset(endpoint->troubles, 0, sizeof endpoint->troubles);
  endpoint->in_flight = 0;
  endpoint->hopeless = false;
  for (seer_site *site = endpoint->sites; site != NULL;
       site = seer_site_next(site))
    seer_site_forget(site);
  seer_endpoint_hurry(endpoint);
}

/* Events are lost that had been accepted: their owner should know. */
static void tell_dropped(const seer_dead *dead, seer_drop drop,
                         const char *reason) {
  static seer_trouble troubles[SEER_DROPS];
  int64_t untold = 0;
  bool tell;
  if (dead->dropped_by[drop] == 0)
    return;
  seer_lock();
  tell = seer_trouble_happened(&troubles[drop], dead->dropped_by[drop],
                               seer_clock_now(), &untold);
  seer_unlock();
  if (tell)
    seer_tell(SEER_ERROR, "events are dropped: %s (see stats)", reason);
}

static void unlink_queue(seer_queue *queue) {
  if (queue->previous != NULL)
    queue->previous->next = queue->next;
  else
    queue->endpoint->queues = queue->next;
  if (queue->next != NULL)
    queue->next->previous = queue->previous;
}

void seer_endpoint_bury(seer_dead *dead) {
  tell_dropped(dead, SEER_DROP_EXPIRED, "older than max_age");
  tell_dropped(dead, SEER_DROP_DISPLACED, "the queue is full");
  seer_dead_free(dead);
  while (dead->queues != NULL) {
    seer_queue *queue = dead->queues;
    dead->queues = queue->next_dead;
    seer_lock();
    unlink_queue(queue);
    seer_unlock();
    seer_endpoint_release(queue->endpoint, queue->site);
    free(queue);
  }
}
