#include "sender.h"

#include "clock.h"
#include "process.h"
#include "state.h"
#include "thread.h"

#include <stdlib.h>
#include <string.h>

const char *const seer_drop_names[SEER_DROPS] = {"expired", "displaced",
                                                 "exit"};

bool seer_sender_init(void) {
  return seer_process_init();
}

bool seer_sender_in_nginx(void) {
  return seer_process_is_nginx();
}

seer_queue *seer_sender_open(const seer_settings *settings,
                             seer_endpoint *endpoint) {
  seer_queue *queue = malloc(sizeof *queue);
  if (queue == NULL)
    return NULL;
  seer_queue_init(queue, settings, endpoint, &endpoint->lines);
  seer_lock();
  queue->next = endpoint->queues;
  if (queue->next != NULL)
    queue->next->previous = queue;
  endpoint->queues = queue;
  seer_unlock();
  return queue;
}

void seer_sender_release(seer_queue *queue) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  queue->closed = queue->orphan = true;
  if (queue->events == 0)
    dead.queues = queue;
  seer_unlock();
  seer_state_bury(&dead);
}

/* A waiter gives up when its first attempt has not begun in time. */
static void begin_waiting(seer_request *request, int64_t now) {
  request->give_up = seer_clock_after(now, request->timeout);
}

seer_submitted seer_sender_submit(seer_queue *queue, seer_event *event) {
  int64_t now = seer_clock_now();
  seer_dead dead = SEER_NO_DEAD;
  seer_submitted result;
  bool ring = false, start;
  int alarm;
  if (event->request != NULL && !seer_state_start())
    return SEER_NO_THREAD;
  seer_lock();
  if (event->request != NULL)
    begin_waiting(event->request, now);
  result = seer_process.phase == SEER_PHASE_STOPPED
               ? SEER_QUEUE_CLOSED
               : seer_queue_put(queue, event, now, &dead);
  /* What was settled to make room may have let another go. */
  if (dead.events != NULL ||
      (result == SEER_ACCEPTED && seer_queue_was_idle(queue, event)))
    ring = seer_state_kick();
  start = result == SEER_ACCEPTED && seer_state_wants_thread(now);
  alarm = seer_process.alarm;
  seer_unlock();
  if (ring)
    seer_alarm_ring(alarm);
  if (start)
    seer_state_start();
  seer_state_bury(&dead);
  return result;
}

void seer_sender_wait(seer_queue *queue, seer_request *request) {
  seer_lock();
  while (!request->settled) {
    if (seer_clock_now() < request->give_up) {
      seer_wait(request->give_up);
    } else {
      request->outcome.failure = SEER_FAILURE_TIMEOUT;
      seer_queue_cancel(queue, request);
    }
  }
  seer_unlock();
}

void seer_request_release(seer_request *request) {
  bool last;
  seer_lock();
  last = --request->references == 0;
  seer_unlock();
  if (last)
    seer_request_free(request);
}

/* With the lock held, which is given up meanwhile: waits for some change,
   until `deadline`. A thread that was refused before is asked for again. */
static void wait_for_change(int64_t deadline) {
  bool without =
      seer_process.phase == SEER_PHASE_NONE && !seer_process.starting;
  if (seer_state_wants_thread(seer_clock_now())) {
    seer_unlock();
    seer_state_start();
    seer_lock();
  } else if (without && seer_process.start_again < deadline) {
    seer_wait(seer_process.start_again);
  } else {
    seer_wait(deadline);
  }
}

bool seer_sender_flush(seer_queue *queue, int64_t timeout) {
  int64_t deadline = seer_clock_after(seer_clock_now(), timeout);
  bool settled;
  seer_lock();
  queue->generation++;
  queue->before_flush = queue->pending;
  while (queue->before_flush > 0 && seer_clock_now() < deadline)
    wait_for_change(deadline);
  settled = queue->before_flush == 0;
  seer_unlock();
  return settled;
}

void seer_sender_close(seer_queue *queue) {
  seer_lock();
  queue->closed = true;
  seer_unlock();
}

static const char *phase_name(void) {
  switch (seer_process.phase) {
  case SEER_PHASE_RUNNING:
    return "running";
  case SEER_PHASE_STOPPED:
    return "stopped";
  default:
    return "none";
  }
}

void seer_sender_stats(seer_queue *queue, seer_stats *stats) {
  int64_t now = seer_clock_now();
  seer_lock();
  stats->accepted = queue->accepted;
  stats->delivered = queue->delivered;
  stats->rejected = queue->rejected;
  stats->dropped = seer_queue_dropped(queue);
  stats->pending = queue->pending;
  memcpy(stats->dropped_by, queue->dropped_by, sizeof stats->dropped_by);
  stats->retry_in = queue->endpoint->paused_until > now
                        ? queue->endpoint->paused_until - now
                        : -1;
  memcpy(stats->last_error, queue->last_error, sizeof stats->last_error);
  stats->sender = phase_name();
  seer_unlock();
}
