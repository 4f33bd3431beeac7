#include "state.h"

#include "clock.h"
#include "loop.h"
#include "thread.h"

#include <stdlib.h>

#define START_AGAIN 1000 /* ms after the system refused a thread */

seer_state seer_process = {.alarm = -1};

bool seer_state_kick(void) {
  seer_process.kicked = true;
  if (!seer_process.sleeping)
    return false;
  seer_process.sleeping = false;
  return true;
}

bool seer_state_wants_thread(int64_t now) {
  return seer_process.phase == SEER_PHASE_NONE && !seer_process.starting &&
         !seer_process.stepping && now >= seer_process.start_again;
}

void seer_state_open_alarm(void) {
  int alarm;
  seer_lock();
  alarm = seer_process.alarm;
  seer_unlock();
  if (alarm >= 0)
    return;
  alarm = seer_alarm_open();
  seer_lock();
  seer_process.alarm = alarm;
  seer_unlock();
}

/* Without the lock: opening and starting may take their time. */
static bool start(void) {
  seer_state_open_alarm();
  return seer_process.alarm >= 0 && seer_thread_start(seer_loop_run);
}

bool seer_state_start(void) {
  int64_t now = seer_clock_now();
  bool running;
  seer_lock();
  if (seer_state_wants_thread(now)) {
    bool started;
    seer_process.starting = true;
    seer_unlock();
    started = start();
    seer_lock();
    seer_process.starting = false;
    if (started && seer_process.phase == SEER_PHASE_NONE)
      seer_process.phase = SEER_PHASE_RUNNING; /* else it is to stop */
    seer_process.start_again = seer_clock_after(now, START_AGAIN);
    seer_wake(); /* the thread waits for the alarm to be known */
  }
  running = seer_process.phase == SEER_PHASE_RUNNING || seer_process.starting;
  seer_unlock();
  return running;
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

void seer_state_bury(seer_dead *dead) {
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
