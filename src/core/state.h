#ifndef SEER_STATE_H
#define SEER_STATE_H

/*
 * The state of the process: one record, guarded by the lock. Shared by what
 * clients ask (sender.c), what the thread does (loop.c), and what happens
 * to the process (process.c).
 */

#include "http/http.h"

#pragma GCC visibility push(hidden)

typedef enum seer_phase {
  SEER_PHASE_NONE,    /* no thread: none was needed, or none was granted */
  SEER_PHASE_RUNNING, /* the thread serves the queues */
  SEER_PHASE_STOPPED  /* the process is ending; nothing is sent any more */
} seer_phase;

struct seer_state {
  seer_phase phase;
  bool starting;         /* somebody is starting the thread */
  int64_t start_again;   /* when to try, after a refusal */
  int alarm;             /* wakes the thread; -1: not opened */
  bool sleeping;         /* the thread polls and wants to be woken */
  bool kicked;           /* there may be something new to claim */
  bool working;          /* somebody may be inside libcurl */
  bool stepping;         /* a caller does what a thread would */
  bool thread_wanted;    /* a thread is to be started after the step */
  int forking;           /* threads that wait to fork: do not begin work */
  bool stopping, parked; /* the thread is to stop for good; it has */
  bool exiting;
  int64_t exit_began, exit_deadline;
  seer_http *http;    /* of whoever sends; and in a fork's child */
  int in_flight;      /* likewise: transfers... */
  int64_t idle_since; /* ...and since when there were none */
};

extern struct seer_state seer_state;

/* With the lock held: makes the thread look for work; the result says
   whether the caller must ring the alarm when it has given up the lock. */
bool seer_state_kick(void);

/* With the lock held: whether there is no thread, nobody is starting it, and
   it is time to try. */
bool seer_state_wants_thread(int64_t now);

#pragma GCC visibility pop

#endif
