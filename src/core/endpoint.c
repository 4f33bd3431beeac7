#include "endpoint.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"
#include "fleet.h"
#include "room.h"

#include <string.h>
#pragma GCC visibility push(hidden)

#define FAILURES_ENDURED 5 /* in a row, before the endpoint backs off */
#define EXIT_RETRY 50      /* ms between attempts to reach it at exit */
#define REFUSALS_ENDURED 3 /* of these in a row, before giving up */
#define WAITER_GRACE 1000  /* ms that a waiter lets an attempt overrun */
#define OTHERS 1000        /* ms until other processes may have given back */
#define TRY_BRIEFLY 1000   /* ms, until it is known what is tried */
#define PASSED_MOST 9      /* waited-for requests, before a queued one goes */
#define HELD_LONG 60000    /* ms, by the budget: that is told */
#define TOLD (-1)

/* How many requests a minute all together may send from here. */
static int64_t share_of(const seer_endpoint *endpoint, int64_t now) {
  return seer_fleet_share(endpoint->gate,
                          seer_gate_share(endpoint->rate_limit), now);
}

/* Milliseconds until a client's own limit of the rate lets out another
   request; 0 now. One that may send as much as all together needs none of its
   own. */
static int64_t pace_delay(seer_queue *queue, int64_t now) {
  int64_t own = seer_gate_share(queue->settings->rate_limit);
  if (own == 0 || own == share_of(queue->endpoint, now))
    return 0;
  return seer_pace_delay(&queue->pace, queue->in_flight, own, now);
}

/* The same by its limits of any kind; SEER_NEVER when the end of some request
   decides. */
static int64_t own_delay(seer_queue *queue, int64_t now) {
  if (queue->in_flight >= queue->settings->max_in_flight)
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
    seer_queue_expire(line, now, dead);
    if (line->head == NULL || line->head->request->timeout >= delay)
      return;
    seer_event *event = seer_queue_claim(line, now, dead);
    event->request->outcome.failure = SEER_FAILURE_PACED;
    seer_queue_done(line->queue, event, SEER_SETTLED_REJECTED, dead);
  }
}

/* The budget lets none of the client's events go. */
static void note_held(seer_line *line, int64_t now) {
  line->held_last = now;
  if (line->held_since != 0)
    return;
  line->held_since = now;
  line->held_from = line->queue->accepted;
}

/* While no line may go before `delay`, by what is the same for all: refuses
   those who cannot wait so long, and notes the others. Lines that are new
   stand at the end, behind those that have been judged. */
static void judge(seer_endpoint *endpoint, seer_urgency urgency, int64_t delay,
                  int64_t now, seer_dead *dead) {
  seer_line *line = endpoint->lines.ready[urgency];
  if (line == NULL)
    return;
  for (line = line->previous_ready; !line->judged;) {
    seer_line *before = line->previous_ready;
    line->judged = true;
    if (urgency == SEER_QUEUED)
      note_held(line, now);
    else
      refuse_paced(line, delay, now, dead);
    line = before;
  }
}

/* The budget lets nothing more out. */
static void note_scarce(seer_endpoint *endpoint, int64_t now) {
  endpoint->scarce_at = now;
  judge(endpoint, SEER_QUEUED, 0, now, NULL);
}

/* The client's own limits hold its events for so long. */
static void park(seer_line *line, int64_t wait, int64_t now, seer_dead *dead) {
  if (line->urgency == SEER_WAITED)
    refuse_paced(line, wait, now, dead);
  else if (pace_delay(line->queue, now) > 0)
    note_held(line, now);
  if (line->head != NULL)
    seer_line_park(line, seer_clock_after(now, wait));
}

/* The next event of the lines whose clients' own limits let one go; NULL if
   there is none. */
static seer_event *claim_from(seer_endpoint *endpoint, seer_urgency urgency,
                              int64_t now, seer_claim *claim,
                              seer_dead *dead) {
  seer_line *line;
  claim->event = NULL;
  while (claim->event == NULL &&
         (line = endpoint->lines.ready[urgency]) != NULL) {
    int64_t wait = own_delay(line->queue, now);
    if (wait > 0) {
      park(line, wait, now, dead);
    } else {
      claim->queue = line->queue;
      claim->event = seer_queue_claim(line, now, dead);
      seer_line_pass(line);
    }
  }
  return claim->event;
}

/* Some line's events are due, or expire, or its client's limits may let them
   go. */
static void wake_lines(seer_endpoint *endpoint, int64_t now, seer_dead *dead) {
  seer_timer **timers = &endpoint->lines.timers;
  while (seer_timer_at(*timers) <= now) {
    seer_line *line = seer_line_of(*timers);
    seer_timer_set(timers, *timers, SEER_NEVER);
    seer_line_unpark(line);
    seer_queue_wake(line, now);
    seer_queue_expire(line, now, dead);
    seer_line_remind(line);
  }
}

/* Whether a queued event may go, as far as the pauses go: while they last, it
   is the one that tries. */
static bool may_go(seer_endpoint *endpoint, int64_t now) {
  int64_t share = share_of(endpoint, now);
  if (endpoint->lines.ready[SEER_QUEUED] == NULL)
    return false;
  if (seer_pauses_delay(endpoint->pauses, share, now) == 0)
    return seer_pauses_try(endpoint->pauses, now + TRY_BRIEFLY,
                           &endpoint->probe, now);
  if (seer_pauses_hold(endpoint->pauses, share, now))
    note_scarce(endpoint, now);
  return false;
}

/* A queued event that goes now; NULL if there is none. */
static seer_event *claim_queued(seer_endpoint *endpoint, int64_t now,
                                seer_claim *claim, seer_dead *dead) {
  seer_event *event = NULL;
  if (!may_go(endpoint, now))
    return NULL;
  event = claim_from(endpoint, SEER_QUEUED, now, claim, dead);
  if (event == NULL)
    seer_pauses_end_try(endpoint->pauses, &endpoint->probe);
  return event;
}

/* Whether it is the turn of a queued event: waited-for ones go first, but not
   for ever. A gap has a rule of its own for that (pauses.h). */
static bool is_passed(const seer_endpoint *endpoint, int64_t now) {
  return endpoint->passed >= PASSED_MOST &&
         seer_pauses_rate(endpoint->pauses, share_of(endpoint, now), now) ==
             share_of(endpoint, now);
}

/* An event that goes with this slot; NULL if there is none. */
static seer_event *claim_event(seer_endpoint *endpoint, int64_t now,
                               seer_claim *claim, seer_dead *dead) {
  seer_event *event = NULL;
  if (is_passed(endpoint, now))
    event = claim_queued(endpoint, now, claim, dead);
  if (event == NULL)
    event = claim_from(endpoint, SEER_WAITED, now, claim, dead);
  if (event == NULL)
    event = claim_queued(endpoint, now, claim, dead);
  if (event != NULL && event->request != NULL)
    endpoint->passed += endpoint->lines.ready[SEER_QUEUED] != NULL;
  else if (event != NULL)
    endpoint->passed = 0;
  return event;
}

static bool fails(const seer_endpoint *endpoint) {
  return endpoint->failures > 0 || seer_pauses_level(endpoint->pauses) > 0;
}

/* The request will be over when its time is up. */
static void begin_request(seer_endpoint *endpoint, seer_claim *claim,
                          int64_t now) {
  int64_t timeout =
      seer_event_timeout(claim->event, claim->queue->settings->timeout);
  seer_request *request = claim->event->request;
  claim->epoch = seer_pauses_epoch(endpoint->pauses);
  claim->failing = fails(endpoint);
  seer_room_enter(claim->failing);
  endpoint->in_flight++;
  claim->queue->in_flight++;
  seer_gate_lease(endpoint->gate, &claim->slot, share_of(endpoint, now),
                  timeout, now);
  seer_gate_use(endpoint->gate, seer_gate_share(endpoint->rate_limit), now);
  seer_pauses_send(endpoint->pauses, share_of(endpoint, now), request != NULL,
                   now);
  if (request != NULL)
    request->waits_until =
        seer_clock_after(now, seer_clock_after(WAITER_GRACE, timeout));
  else
    seer_pauses_go_on_trying(endpoint->pauses, &endpoint->probe, timeout, now);
}

/* When another request may be in flight, see seer_room_delay. */
static int64_t room_delay(const seer_endpoint *endpoint) {
  if (endpoint->in_flight >= endpoint->max_in_flight)
    return SEER_NEVER;
  return seer_room_delay(endpoint->in_flight, fails(endpoint));
}

/* A slot, if there is one. The result is the delay until then. */
static int64_t take_slot(seer_endpoint *endpoint, int64_t now,
                         seer_slot *slot) {
  int64_t share = share_of(endpoint, now);
  *slot = seer_gate_take(endpoint->gate, share, now);
  if (slot->index >= 0 || share == 0)
    return 0;
  note_scarce(endpoint, now);
  return seer_clock_later(seer_gate_delay(endpoint->gate, share, now), 1);
}

bool seer_endpoint_claim(seer_endpoint *endpoint, int64_t now,
                         seer_claim *claim, seer_dead *dead) {
  int64_t delay;
  seer_assert(seer_lock_is_held());
  wake_lines(endpoint, now, dead);
  if ((endpoint->lines.ready[SEER_WAITED] == NULL &&
       endpoint->lines.ready[SEER_QUEUED] == NULL) ||
      room_delay(endpoint) > 0)
    return false;
  delay = take_slot(endpoint, now, &claim->slot);
  if (delay > 0) {
    if (delay != SEER_NEVER)
      judge(endpoint, SEER_WAITED, delay, now, dead);
    return false;
  }
  if (claim_event(endpoint, now, claim, dead) == NULL) {
    seer_gate_end(endpoint->gate, claim->slot, share_of(endpoint, now), 0,
                  true, now);
    return false;
  }
  begin_request(endpoint, claim, now);
  return true;
}

/* Until when no slot is free. Others may give some back at any time. */
static int64_t slot_delay(const seer_endpoint *endpoint, int64_t now) {
  const seer_gate *gate = endpoint->gate;
  int64_t delay = room_delay(endpoint);
  if (delay > 0)
    return delay;
  delay = seer_gate_delay(gate, share_of(endpoint, now), now);
  return delay == SEER_NEVER || seer_gate_is_denied(gate) ? OTHERS : delay;
}

int64_t seer_endpoint_next(seer_endpoint *endpoint, int64_t now) {
  const seer_lines *lines = &endpoint->lines;
  int64_t next = seer_timer_at(lines->timers), delay;
  seer_assert(seer_lock_is_held());
  if (lines->ready[SEER_WAITED] == NULL && lines->ready[SEER_QUEUED] == NULL)
    return next;
  delay = slot_delay(endpoint, now);
  if (lines->ready[SEER_WAITED] == NULL)
    delay = seer_clock_later(
        delay,
        seer_pauses_delay(endpoint->pauses, share_of(endpoint, now), now));
  return seer_clock_sooner(next, seer_clock_after(now, delay));
}

void seer_endpoint_landed(const seer_claim *claim, int sent, bool answered,
                          int64_t now) {
  seer_queue *queue = claim->queue;
  seer_endpoint *endpoint = queue->endpoint;
  seer_assert(seer_lock_is_held());
  seer_assert(queue->in_flight > 0 && endpoint->in_flight > 0);
  queue->in_flight--;
  endpoint->in_flight--;
  seer_room_leave(claim->failing);
  for (int i = 0; i < SEER_URGENCIES; i++)
    seer_line_unpark(&queue->line[i]);
  seer_schedule_now(&endpoint->lines.place);
  if (claim->event->request == NULL &&
      claim->epoch == seer_pauses_epoch(endpoint->pauses))
    seer_pauses_end_try(endpoint->pauses, &endpoint->probe);
  seer_pace_end(&queue->pace, sent, now);
  seer_gate_end(endpoint->gate, claim->slot, share_of(endpoint, now), sent,
                answered, now);
}

bool seer_endpoint_hop(seer_claim *claim, int sent, int64_t now) {
  seer_endpoint *endpoint = claim->queue->endpoint;
  int64_t share = share_of(endpoint, now);
  seer_slot another;
  seer_assert(seer_lock_is_held());
  if (pace_delay(claim->queue, now) > 0)
    return false;
  another = seer_gate_take(endpoint->gate, share, now);
  if (another.index < 0 && share != 0)
    return false;
  seer_pace_end(&claim->queue->pace, sent, now);
  seer_gate_end(endpoint->gate, claim->slot, share, sent, true, now);
  claim->slot = another;
  seer_gate_lease(
      endpoint->gate, &claim->slot, share,
      seer_event_timeout(claim->event, claim->queue->settings->timeout), now);
  seer_pauses_send(endpoint->pauses, share, claim->event->request != NULL,
                   now);
  return true;
}

/* An answer, or the lack of one, that a few seconds more will not change:
   at exit it is not worth to wait for another. */
static bool is_refusal(const seer_attempt *attempt) {
  return attempt->answer->unreachable ||
         (attempt->verdict == SEER_PAUSE && attempt->answer->status != 429);
}

/* A new step begins: what failed together counts once. The first 429 of a
   pause says that too much was sent. */
static void deepen(seer_endpoint *endpoint, const seer_attempt *attempt,
                   int64_t now) {
  seer_pauses *pauses = endpoint->pauses;
  if (attempt->exiting && is_refusal(attempt) &&
      ++endpoint->refusals >= REFUSALS_ENDURED)
    endpoint->hopeless = true;
  if (attempt->answer->status == 429 && seer_pauses_level(pauses) == 1) {
    int64_t from =
        seer_clock_later(seer_pauses_since(pauses), now - SEER_GATE_WINDOW);
    int64_t oldest, got;
    got = seer_gate_count(endpoint->gate, share_of(endpoint, now), from, now,
                          &oldest);
    seer_pauses_measure(pauses, got, oldest, now);
  }
}

/* How long to pause. What a 429 asks for was too little once it came to the
   next one. */
static int64_t pause_of(const seer_queue *queue, const seer_attempt *attempt) {
  const seer_settings *settings = queue->settings;
  seer_answer answer = *attempt->answer;
  int level = seer_pauses_level(queue->endpoint->pauses);
  int64_t most = settings->max_queued_delay, delay;
  if (attempt->exiting && answer.unreachable)
    return EXIT_RETRY;
  if (answer.status == 429)
    most = seer_clock_sooner(most, SEER_PAUSES_DELAY_MOST);
  delay = seer_retry_delay(&answer, level, settings->initial_delay, most,
                           attempt->jitter);
  delay = seer_clock_later(delay, seer_retry_long_pause(&answer));
  if (answer.status != 429 || level < 2)
    return delay;
  answer.retry_after = SEER_NO_RETRY_AFTER;
  return seer_clock_later(delay, seer_retry_delay(&answer, level,
                                                  settings->initial_delay,
                                                  most, attempt->jitter));
}

static void back_off(const seer_queue *queue, const seer_attempt *attempt,
                     int64_t now) {
  seer_pauses *pauses = queue->endpoint->pauses;
  if (seer_pauses_deepen(pauses, attempt->epoch))
    deepen(queue->endpoint, attempt, now);
  if (attempt->epoch + 1 == seer_pauses_epoch(pauses)) /* of this step */
    seer_pauses_extend(pauses,
                       seer_clock_after(now, pause_of(queue, attempt)));
}

/* The service works. What was sent before the endpoint began to back off
   does not tell, though, whether it works again. */
static void succeed(seer_endpoint *endpoint, const seer_attempt *attempt,
                    int64_t now) {
  endpoint->refusals = 0;
  seer_pauses_succeed(endpoint->pauses, attempt->epoch,
                      share_of(endpoint, now), now);
  if (seer_pauses_level(endpoint->pauses) == 0)
    endpoint->failures = 0;
}

/* A service that answers a good event badly, or not at all. What fails a
   second time may itself be the reason, and so counts only when there was no
   answer. */
static void fail(const seer_queue *queue, const seer_attempt *attempt,
                 int64_t now) {
  seer_endpoint *endpoint = queue->endpoint;
  const seer_answer *answer = attempt->answer;
  if (answer->status != 0)
    endpoint->refusals = 0;
  if (seer_pauses_level(endpoint->pauses) == 0) {
    if (answer->status == 0 || attempt->number == 1)
      endpoint->failures++;
    if (endpoint->failures < FAILURES_ENDURED &&
        seer_retry_long_pause(answer) == 0 &&
        !(attempt->exiting && answer->unreachable))
      return;
  }
  back_off(queue, attempt, now);
}

/* Whether the service takes events: it took this one, or refused it for what
   it is. */
static bool shows_that_it_works(const seer_attempt *attempt) {
  return attempt->verdict == SEER_DELIVERED ||
         (attempt->verdict == SEER_REJECTED && !attempt->waited &&
          !seer_retry_concerns_endpoint(attempt->answer->status));
}

int64_t seer_endpoint_learn(const seer_queue *queue,
                            const seer_attempt *attempt, int64_t now) {
  const seer_settings *settings = queue->settings;
  const seer_answer *answer = attempt->answer;
  bool wait_less = attempt->exiting && answer->unreachable;
  int64_t max = attempt->waited ? settings->max_waited_delay
                                : settings->max_queued_delay;
  seer_assert(seer_lock_is_held());
  if (shows_that_it_works(attempt))
    succeed(queue->endpoint, attempt, now);
  else if (attempt->verdict == SEER_PAUSE)
    back_off(queue, attempt, now);
  else if (attempt->verdict == SEER_RETRY && !attempt->waited)
    fail(queue, attempt, now);
  return seer_clock_after(now, wait_less
                                   ? EXIT_RETRY
                                   : seer_retry_delay(answer, attempt->number,
                                                      settings->initial_delay,
                                                      max, attempt->jitter));
}

int64_t seer_endpoint_rate(const seer_endpoint *endpoint, int64_t now) {
  int64_t own = seer_gate_share(endpoint->rate_limit);
  int64_t rate =
      seer_pauses_rate(endpoint->pauses, share_of(endpoint, now), now);
  return rate == 0 || (own != 0 && own < rate) ? own : rate;
}

bool seer_endpoint_is_short(seer_queue *queue, int64_t now,
                            seer_shortage *shortage) {
  seer_line *line = &queue->line[SEER_QUEUED];
  int64_t held = now - line->held_since;
  int64_t last = seer_clock_later(line->held_last, queue->endpoint->scarce_at);
  seer_assert(seer_lock_is_held());
  if (line->held_since == 0 || line->held_from == TOLD ||
      last - line->held_since < HELD_LONG)
    return false;
  shortage->waiting = queue->pending;
  shortage->come = (queue->accepted - line->held_from) * HELD_LONG / held;
  shortage->may_go = seer_gate_share(queue->settings->rate_limit);
  if (seer_endpoint_rate(queue->endpoint, now) < shortage->may_go)
    shortage->may_go = seer_endpoint_rate(queue->endpoint, now);
  line->held_from = TOLD;
  return true;
}

/* What other processes have paused for stays as it is. */
void seer_endpoint_hurry(seer_endpoint *endpoint) {
  seer_assert(seer_lock_is_held());
  if (endpoint->busy == NULL || endpoint->pauses == &endpoint->busy->pauses)
    return;
  endpoint->failures = endpoint->refusals = 0;
  seer_pauses_end_try(endpoint->pauses, &endpoint->probe);
  seer_pauses_leave(endpoint->pauses, &endpoint->busy->pauses);
  endpoint->pauses = &endpoint->busy->pauses;
  seer_schedule_now(&endpoint->lines.place);
}

seer_gate *seer_endpoint_use(seer_endpoint *endpoint, seer_gate *gate,
                             int segment, int64_t now) {
  seer_gate *before = endpoint->gate;
  seer_assert(seer_lock_is_held());
  if (endpoint->segment == segment + 1)
    return gate;
  seer_gate_move(gate, before, share_of(endpoint, now), now);
  if (endpoint->pauses == &before->pauses)
    endpoint->pauses = &gate->pauses;
  endpoint->gate = gate;
  endpoint->segment = segment + 1;
  seer_schedule_now(&endpoint->lines.place);
  return before;
}
