#include "sender.h"

#include "base/clock.h"
#include "base/os.h"
#include "base/spare.h"
#include "base/thread.h"
#include "keeper.h"
#include "loop.h"
#include "state.h"
#include "tenants.h"

#include <string.h>
#pragma GCC visibility push(hidden)

#define LATE 50       /* ms beyond the end of a wait */
#define FORGIVEN 1000 /* ms for the owner to read what has come meanwhile */

seer_queue *seer_sender_open(seer_party *party,
                             const seer_store_object *store) {
  seer_keep *keep = store != NULL ? seer_keep_get(store) : NULL;
  seer_tenant *tenant = keep != NULL ? seer_tenants_get(keep, party) : NULL;
  seer_queue *queue = NULL;
  if (store == NULL || tenant != NULL)
    queue = seer_endpoints_open(party, tenant);
  seer_lock();
  if (seer_state.stage == SEER_EXITING) /* another thread waits for its end */
    seer_endpoint_hurry(party->endpoint);
  seer_unlock();
  return queue;
}

void seer_sender_release(seer_queue *queue) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  queue->orphan = true;
  seer_dead_take_notices(&dead, &queue->notices); /* nobody will ask */
  if (queue->events == 0)
    dead.queues = queue;
  seer_unlock();
  seer_endpoints_bury(&dead);
}

/* With the lock held: whether a thread is to be started for this client. */
static bool wants_thread(const seer_queue *queue, int64_t now) {
  if (!queue->settings->thread || seer_state.threaded)
    return false;
  if (seer_state.work >= SEER_WORK_OUTSIDE)
    seer_state.thread_wanted = true; /* when the step is over */
  return seer_state_wants_thread(now);
}

/* Gives up the lock after something was done to a queue. The sender is woken
   if it sleeps and may have something new to send, and the keeper likewise. */
static inline void unlock_and_ring(const seer_queue *queue) {
  int alarm = -1, keeper = -1;
  if (seer_queue_has_news(queue) || seer_spare_is_wanted())
    alarm = seer_state_kick();
  if (queue->tenant != NULL && queue->entering > 0)
    keeper = seer_keep_kick(queue->tenant->keep);
  seer_unlock();
  if (alarm >= 0)
    seer_alarm_ring(alarm);
  if (keeper >= 0)
    seer_alarm_ring(keeper);
}

seer_submitted seer_sender_submit(seer_queue *queue, seer_event *event) {
  /* Reading the exact time would be a good part of what this costs. */
  int64_t now =
      event->request != NULL ? seer_clock_now() : seer_clock_coarse();
  seer_dead dead = SEER_NO_DEAD;
  seer_submitted result;
  seer_lock();
  result = seer_state.stage == SEER_STOPPED
               ? SEER_QUEUE_CLOSED
               : seer_queue_put(queue, event, now, &dead);
  if (result == SEER_ACCEPTED && wants_thread(queue, now))
    seer_loop_start();
  if (queue->tenant != NULL && queue->tenant->keep->work == SEER_KEEP_NONE)
    seer_keeper_start(queue->tenant->keep);
  unlock_and_ring(queue);
  if (!seer_dead_is_empty(&dead))
    seer_endpoints_bury(&dead);
  return result;
}

/* With the lock held, which is given up meanwhile: waits for some change,
   until `deadline`. A thread that was refused before is asked for again;
   without one, the caller does its work. */
static void wait_for_change(const seer_queue *queue, int64_t deadline) {
  if (wants_thread(queue, seer_clock_now()))
    seer_loop_start();
  else if (!seer_loop_step(deadline))
    seer_wait_cancellable(deadline);
}

void seer_sender_count(int64_t *count) {
  seer_lock();
  ++*count;
  seer_unlock();
}

void seer_sender_account(seer_queue *queue, seer_settlement settlement) {
  seer_lock();
  queue->accepted++;
  queue->settled[settlement]++;
  seer_unlock();
}

/* With the lock held: whoever comes late to the end of a wait did not run
   meanwhile, for the process was stopped or frozen. What has come in that time
   is to be read first. */
static void forgive(seer_request *request) {
  int64_t now = seer_clock_now();
  if (now - request->waits_until > LATE)
    request->waits_until = now + FORGIVEN;
}

/* With the lock held, which is given up. */
static void cancel(seer_queue *queue, seer_request *request, int64_t now) {
  seer_dead dead = SEER_NO_DEAD;
  request->outcome.failure = SEER_FAILURE_TIMEOUT;
  seer_queue_cancel(queue, request, now, &dead);
  unlock_and_ring(queue);
  seer_endpoints_bury(&dead);
}

/* With the lock held, in the child of a fork: a request of the parent's ends,
   also one that its queue could not look at. */
static void end_parents(const seer_queue *queue, seer_request *request) {
  if (request->settled || queue == NULL || request->forks == queue->forks)
    return;
  request->outcome.failure = SEER_FAILURE_CLOSED;
  request->settled = true;
}

bool seer_sender_wait(seer_queue *queue, seer_request *request,
                      int64_t deadline) {
  bool settled;
  seer_lock();
  end_parents(queue, request);
  if (!request->settled && queue != NULL && deadline == 0)
    seer_loop_step(0);
  while (!request->settled && queue != NULL) {
    int64_t now = seer_clock_now();
    if (now >= request->waits_until) {
      cancel(queue, request, now);
      return true;
    }
    if (now >= deadline)
      break;
    wait_for_change(queue, request->waits_until < deadline
                               ? request->waits_until
                               : deadline);
    forgive(request);
  }
  settled = request->settled;
  seer_unlock();
  return settled;
}

void seer_sender_refer(seer_request *request) {
  seer_lock();
  request->references++;
  seer_unlock();
}

/* With the lock held, and the last reference: whether on_error takes the
   request over. */
static bool hand_to_on_error(seer_queue *queue, seer_request *request,
                             seer_dead *dead) {
  seer_event *event = request->event;
  if (queue == NULL || event == NULL || request->asked ||
      request->forks != queue->forks)
    return false;
  request->event = NULL;
  event->request = request;
  if (seer_queue_give_up(queue, event, dead))
    return true;
  event->request = NULL;
  request->event = event;
  return false;
}

void seer_sender_leave(seer_queue *queue, seer_request *request) {
  seer_dead dead = SEER_NO_DEAD;
  bool last, taken = false;
  seer_lock();
  last = --request->references == 0;
  if (last)
    taken = hand_to_on_error(queue, request, &dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
  if (last && !taken)
    seer_request_free(request);
}

/* With the lock held, which is given up meanwhile: what has been settled is
   forgotten, or it would be sent once more if the process was killed now. That
   a store hangs changes nothing that would be told, so this looks. */
static void wait_for_store(const seer_queue *queue, int64_t deadline) {
  const seer_keep *keep = queue->tenant->keep;
  uint64_t owed = keep->owed_ever;
  int64_t now;
  while (keep->forgotten < owed && (now = seer_clock_now()) < deadline &&
         seer_keep_takes(keep, now))
    wait_for_change(queue,
                    seer_clock_sooner(deadline, now + SEER_STORE_PATIENCE));
}

bool seer_sender_flush(seer_queue *queue, int64_t timeout) {
  int64_t deadline = seer_clock_after(seer_clock_now(), timeout);
  bool settled;
  seer_lock();
  queue->generation++;
  queue->before_flush = queue->pending;
  if (queue->tenant != NULL)
    seer_keeper_start(queue->tenant->keep);
  while (queue->before_flush > 0 && seer_clock_now() < deadline)
    wait_for_change(queue, deadline);
  settled = queue->before_flush == 0;
  if (queue->tenant != NULL)
    wait_for_store(queue, deadline);
  seer_unlock();
  return settled;
}

bool seer_sender_persist(seer_queue *queue, int64_t timeout) {
  int64_t deadline = seer_clock_after(seer_clock_now(), timeout);
  bool safe;
  seer_lock();
  seer_keeper_start(queue->tenant->keep);
  while (queue->pending > queue->saved && seer_clock_now() < deadline)
    wait_for_change(queue, deadline);
  safe = queue->pending <= queue->saved;
  seer_unlock();
  return safe;
}

int64_t seer_sender_pump(const seer_party *party, int64_t timeout) {
  int64_t deadline = seer_clock_after(seer_clock_now(), timeout), pending;
  seer_lock();
  while (seer_loop_step(deadline) && seer_clock_now() < deadline)
    ;
  pending = party->queue != NULL ? party->queue->pending : 0;
  seer_unlock();
  return pending;
}

static const char *stage_name(void) {
  if (seer_state.stage == SEER_STOPPED)
    return "stopped";
  return seer_state.threaded ? "running" : "none";
}

static const char *state_of(const seer_keep *keep) {
  if (keep->barred)
    return "barred";
  if (keep->delay > 0 || seer_keep_hangs(keep, seer_clock_now()))
    return "failing";
  if (keep->full)
    return "full";
  return keep->look_at > 0 ? "open" : "closed";
}

void seer_sender_store_stats(seer_queue *queue, seer_store_stats *stats) {
  const seer_keep *keep = queue->tenant->keep;
  seer_lock();
  stats->name = keep->driver != NULL ? keep->driver->name : "unknown";
  stats->state = state_of(keep);
  memcpy(stats->error, keep->error, sizeof stats->error);
  stats->totals = keep->totals;
  stats->displaced = keep->displaced;
  stats->unsaved = queue->pending - queue->saved;
  stats->adopted = *queue->tenant->adopted;
  seer_unlock();
}

static void copy_queue(seer_queue *copy, const seer_queue *queue) {
  *copy = *queue;
  if (queue->tenant != NULL && copy->last_error[0] == '\0')
    memcpy(copy->last_error, queue->tenant->adopted->last_error,
           sizeof copy->last_error);
}

void seer_sender_stats(const seer_party *party, seer_stats *stats) {
  const seer_endpoint *endpoint = party->endpoint;
  int64_t now = seer_clock_now(), paused_until;
  memset(stats, 0, sizeof *stats);
  seer_lock();
  if (party->queue != NULL)
    copy_queue(&stats->queue, party->queue);
  stats->rate = seer_endpoint_rate(endpoint, now);
  paused_until = seer_pauses_until(endpoint->pauses);
  stats->retry_in = paused_until > now ? paused_until - now : -1;
  stats->sender = stage_name();
  seer_unlock();
}
