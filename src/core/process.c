#include "process.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/os.h"
#include "base/thread.h"
#include "endpoints.h"
#include "http/lookup.h"
#include "keeper.h"
#include "loop.h"
#include "state.h"
#include "tenants.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define NGINX_TERMINATE 900 /* ms: its master kills after a second */
#define STORE_MOMENT 100    /* ms for the stores, which is part of that */
#define PARK_TIMEOUT 10000  /* ms for the thread to leave libcurl */

static volatile sig_atomic_t *ngx_terminate; /* nginx's, if this is one */

bool seer_process_is_nginx(void) {
  return ngx_terminate != NULL;
}

static bool nginx_terminates(void) {
  return ngx_terminate != NULL && *ngx_terminate != 0;
}

/* Fork. The one that forks waits until the thread is outside libcurl, which
   nobody enters then until it is over; the child starts without a thread,
   without events, and with counts at zero.

   The lock is not held while the handlers of others run: they may wait for a
   lock of the host's, whose holder waits for ours. So another thread may be in
   the middle of a change when the process is copied, and the child does not
   look at what that may be then, see forget_all. */

/* With the lock held: whether another thread is where no fork may happen. */
static bool must_not_fork(void) {
  seer_assert(seer_lock_is_held());
  return (seer_state.work == SEER_WORK_STARTING ||
          seer_state.work >= SEER_WORK_INSIDE) &&
         !seer_state_is_mine();
}

/* A signal's handler may fork that has interrupted the lock's holder. */
static void before_fork(void) {
  if (!seer_lock_unless_held())
    return;
  seer_state.forking++;
  while (must_not_fork())
    seer_wait(SEER_NEVER);
  seer_keeper_before_fork();
  seer_unlock();
}

static void after_fork_in_parent(void) {
  if (!seer_lock_unless_held())
    return;
  seer_state.forking--;
  seer_wake();
  seer_unlock();
}

static void forget_queues(seer_endpoint *endpoint, bool whole,
                          seer_dead *dead) {
  seer_party *previous = NULL;
  for (seer_party *party = endpoint->parties; party != NULL;
       party = party->next) {
    party->previous = previous; /* which may not have been set yet */
    if (party->queue != NULL)
      seer_queue_forget(party->queue, whole, dead);
    previous = party;
  }
}

/* Lists of endpoints and of their clients can be followed at any moment, for
   what is added or removed is so by one store. What a queue has can not. */
static void forget_all(bool whole, seer_dead *dead) {
  for (seer_endpoint *endpoint = seer_endpoints_first(); endpoint != NULL;
       endpoint = seer_endpoints_next(endpoint))
    forget_queues(endpoint, whole, dead);
  seer_endpoints_forget();
}

static void forget_thread(void) {
  if (seer_state.alarm >= 0)
    seer_fd_close(seer_state.alarm);
  if (seer_state.http != NULL)
    seer_http_abandon(seer_state.http);
  seer_state = (struct seer_state){.alarm = -1};
}

static void after_fork_in_child(void) {
  seer_dead dead = SEER_NO_DEAD;
  bool whole = seer_lock_renew();
  seer_lock_own();
  seer_lock();
  seer_id_forget();
  forget_thread();
  seer_lookup_forget(whole);
  if (whole)
    seer_keeper_release();
  forget_all(whole, &dead);
  seer_keeper_forget();
  seer_unlock();
  seer_endpoints_bury(&dead);
}

/* Exit. */

static int64_t exit_deadline(const seer_queue *queue) {
  int64_t budget = queue->settings->exit_timeout;
  if (nginx_terminates() && budget > NGINX_TERMINATE)
    budget = NGINX_TERMINATE;
  if (queue->tenant != NULL && budget > STORE_MOMENT)
    budget -= STORE_MOMENT;
  return seer_clock_after(seer_state.exit_began, budget);
}

/* With the lock held: all that is queued may go now, each client's within
   its own time. */
static void begin_exit(int64_t now) {
  seer_state.stage = SEER_EXITING;
  seer_state.start_again = now; /* a thread that was refused before */
  seer_state.exit_began = seer_state.exit_deadline = now;
  for (seer_endpoint *endpoint = seer_endpoints_first(); endpoint != NULL;
       endpoint = seer_endpoints_next(endpoint))
    seer_endpoint_hurry(endpoint);
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue)) {
    for (int i = 0; i < SEER_URGENCIES; i++)
      seer_queue_hurry(&queue->line[i]);
    if (queue->pending > 0)
      seer_state.exit_deadline =
          seer_clock_later(seer_state.exit_deadline, exit_deadline(queue));
    if (queue->endpoint->in_flight > 0)
      queue->site->doubted_until = now;
  }
}

/* With the lock held: whether nothing more will be delivered. What is queued
   may be so because nothing is in flight, and nothing may go in time. */
static bool is_hopeless(const seer_endpoint *endpoint) {
  return endpoint->hopeless ||
         (endpoint->in_flight == 0 && !seer_tenants_are_entering() &&
          seer_schedule_of(&endpoint->lines.place) > seer_state.exit_deadline);
}

/* Whether it is being sent, or has been since the exit began. */
static bool had_its_turn(const seer_queue *queue) {
  return queue->endpoint->in_flight > 0 ||
         queue->site->doubted_until >= seer_state.exit_began;
}

/* With the lock held: until when it is worth to wait for this queue. */
static int64_t worth_until(const seer_queue *queue) {
  int64_t began = seer_state.exit_began, connected_by;
  if (queue->pending == 0 || is_hopeless(queue->endpoint))
    return began;
  connected_by = queue->site->doubted_until;
  connected_by = seer_clock_after(connected_by > began ? connected_by : began,
                                  queue->settings->exit_connecting);
  if (seer_site_connected(queue->site, began) || !had_its_turn(queue))
    return exit_deadline(queue);
  return seer_clock_sooner(exit_deadline(queue), connected_by);
}

/* With the lock held: until when it is worth to wait for some queue, the first
   that is found; 0 for none. */
static int64_t some_worth_until(int64_t now) {
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue)) {
    int64_t until = worth_until(queue);
    if (until > now)
      return until;
  }
  return 0;
}

/* With the lock held, which is given up meanwhile. Where there is no thread,
   this one does its work; if it was in the middle of that, nobody does. */
static void wait_for_delivery(void) {
  int64_t until;
  while (!seer_state_is_mine() &&
         (until = some_worth_until(seer_clock_now())) != 0)
    /* The step may have found that the rest is hopeless. */
    if (!seer_loop_step(until) && some_worth_until(seer_clock_now()) == until)
      seer_wait(until);
}

/* With the lock held: whether nobody is inside libcurl any more, or only this
   thread, which never goes on there. */
static bool is_still(void) {
  return seer_state.work <= SEER_WORK_STARTING || seer_state_is_mine();
}

/* With the lock held: the thread, or who does its work, leaves libcurl for
   good. What it is in the middle of is over in a moment; many TLS connections
   that begin on a busy machine may take a second. It must not be left there:
   what OpenSSL works with is gone after the exit handlers. */
static void stop_thread(void) {
  int64_t deadline = seer_clock_after(seer_clock_now(), PARK_TIMEOUT);
  int alarm;
  seer_state.stage = SEER_STOPPED; /* also for one that is being started */
  if (is_still())
    return;
  alarm = seer_state_kick();
  seer_unlock();
  seer_alarm_ring(alarm);
  seer_lock();
  while (!is_still() && seer_clock_now() < deadline)
    seer_wait(deadline);
}

/* Whether all that is left of a queue has failed and waits to be tried
   again. */
static bool waits_to_retry(const seer_queue *queue) {
  return queue->line[SEER_QUEUED].head == NULL && queue->flying == NULL;
}

/* Why the events of a queue were not delivered. */
static void explain(const seer_queue *queue, char *reason, size_t size) {
  const char *why = "the time to deliver was up";
  if ((seer_pauses_level(queue->endpoint->pauses) > 0 ||
       waits_to_retry(queue)) &&
      queue->last_error[0] != '\0')
    why = queue->last_error;
  else if (is_hopeless(queue->endpoint))
    why = "the rate limit allows no more in time; client:flush(seconds) "
          "before the end waits for it";
  else if (had_its_turn(queue) &&
           !seer_site_connected(queue->site, seer_state.exit_began))
    why = "no connection could be made in time";
  snprintf(reason, size, "%s", why);
}

/* With the lock held: what was not delivered is dropped and counted. The
   result is how many events are to be told of. */
static int64_t drop_rest(seer_dead *dead, char *reason, size_t size) {
  int64_t told = 0;
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue)) {
    int64_t before = queue->settled[SEER_SETTLED_EXIT], lost;
    char why[200];
    if (queue->pending == 0)
      continue;
    explain(queue, why, sizeof why);
    seer_queue_drop_all(queue, SEER_SETTLED_EXIT, dead);
    while (is_still() && queue->flying != NULL)
      seer_queue_done(queue, queue->flying, SEER_SETTLED_EXIT, dead);
    lost = queue->settled[SEER_SETTLED_EXIT] - before;
    if (lost == 0 || queue->settings->log_level < SEER_ERROR)
      continue;
    told += lost;
    snprintf(reason, size, "%s", why);
  }
  return told;
}

/* Also finds out whether some client with undelivered events wants a
   thread. */
static int64_t count_pending(bool *wants_thread) {
  int64_t pending = 0;
  *wants_thread = false;
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue)) {
    pending += queue->pending;
    *wants_thread |= queue->pending > 0 && queue->settings->thread;
  }
  return pending;
}

/* With the lock held, when nobody will hear of what is in flight: where that
   is not in a store, it is to be. */
static void give_up_flying(void) {
  int64_t now = seer_clock_now();
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue))
    for (seer_event *event = queue->flying, *next; event != NULL;
         event = next) {
      next = event->next;
      if (queue->tenant != NULL && event->request == NULL)
        seer_queue_release(queue, event, now, now);
    }
}

/* With the lock held, when nothing is sent any more. What is to be stored has
   the time that there was for delivery, but no less than a moment. */
static void close_stores(int64_t began) {
  int64_t most = nginx_terminates() ? NGINX_TERMINATE : SEER_STORE_PATIENCE;
  if (is_still())
    give_up_flying();
  seer_keeper_stop(
      seer_clock_later(began + most, seer_clock_now() + STORE_MOMENT));
}

/* With the lock held, which is given up meanwhile: what is pending is sent. */
static void hurry(bool wants_thread) {
  int alarm;
  begin_exit(seer_clock_now());
  alarm = seer_state_kick();
  if (wants_thread)
    seer_loop_start();
  seer_unlock();
  seer_alarm_ring(alarm);
  seer_lock();
}

/* With the lock held, which is given up in the end. */
static void deliver_or_drop(int64_t began) {
  seer_dead dead = SEER_NO_DEAD;
  char reason[200] = "";
  int64_t lost;
  wait_for_delivery();
  stop_thread();
  close_stores(began);
  lost = drop_rest(&dead, reason, sizeof reason);
  seer_unlock();
  seer_endpoints_bury(&dead);
  if (lost > 0)
    seer_tell(SEER_ERROR, "%lld event%s not delivered before exit: %s",
              (long long)lost, lost == 1 ? " was" : "s were", reason);
}

static void at_exit(void) {
  int64_t pending, began = seer_clock_now();
  bool wants_thread;
  /* A child that was made without handlers of fork has no thread. */
  if (seer_lock_is_copy() || !seer_lock_soon())
    return;
  pending = count_pending(&wants_thread);
  if (!seer_os_is_torn_down()) {
    if (pending > 0)
      hurry(wants_thread);
    deliver_or_drop(began);
    return;
  }
  seer_unlock();
  if (pending > 0)
    seer_tell(SEER_ERROR,
              "%lld events may be lost: this program ends without calling "
              "handlers of exit; client:flush(seconds) before the end waits",
              (long long)pending);
}

static bool initialized;

/* The exit handler is registered after libcurl is up, so that it runs
   before what libcurl's libraries do at exit. */
static void initialize(void) {
  /* lua_close unmaps C modules, and the thread, the fork and exit handlers are
     code of this one. */
  seer_os_pin(&initialized);
  seer_lock_own();
  seer_gate_prepare();
  ngx_terminate = seer_os_symbol("ngx_terminate");
  initialized = seer_http_init() &&
                seer_os_at_fork(before_fork, after_fork_in_parent,
                                after_fork_in_child) &&
                seer_os_at_exit(at_exit);
}

bool seer_process_init(void) {
  seer_once(initialize);
  return initialized;
}
