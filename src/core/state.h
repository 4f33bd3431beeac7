#pragma once

/*
 * The state of the process: one record, guarded by the lock. Shared by what
 * clients ask (sender.c), what the thread does (loop.c), and what happens
 * to the process (process.c).
 *
 * The work (transfers and connections) has one owner at a time, who alone is
 * ever inside libcurl: the thread, once there is one; before, a caller for as
 * long as a step takes. The owner is known by its thread, so that it never
 * waits for itself, not even where a handler of a crash forks or exits.
 */

#include "base/thread.h"
#include "http/http.h"

/* Who may be inside libcurl. */
typedef enum seer_work {
  SEER_WORK_FREE,     /* nobody; whoever wants to may take the work */
  SEER_WORK_STARTING, /* nobody; the owner is starting the thread */
  SEER_WORK_OUTSIDE,  /* nobody; the owner is between two turns */
  SEER_WORK_ASLEEP,   /* the owner, but it only polls: forks may happen */
  SEER_WORK_INSIDE,   /* the owner: no fork may happen */
  SEER_WORK_KICKED    /* the same, and there may be more for it to claim */
} seer_work;

/* How far the process has come. */
typedef enum seer_stage {
  SEER_LIVING,
  SEER_EXITING, /* it waits for what can still be delivered */
  SEER_STOPPED  /* nobody enters libcurl again; nothing more is sent */
} seer_stage;

struct seer_state {
  seer_stage stage;
  seer_work work;
  seer_thread_id owner; /* 0: none, or a thread that is about to come */
  bool threaded;        /* there is a thread; else the owner is a caller */
  bool thread_wanted;   /* one is to be started after the caller's step */
  int64_t start_again;  /* when to try, after a refusal */
  int alarm;            /* wakes the owner; -1: not opened */
  int64_t wakes_at;     /* by itself, when it last fell asleep */
  int forking;          /* threads that wait to fork: do not go inside */
  int64_t exit_began, exit_deadline;
  seer_http *http;    /* the owner's; and in a fork's child */
  int in_flight;      /* likewise: transfers... */
  int64_t idle_since; /* ...and since when there were none */
};

/* Said to be hidden here, too, for it to be read without a detour. */
__attribute__((visibility("hidden"))) extern struct seer_state seer_state;

/* The rest is called with the lock held. */

/* The alarm that the caller has to ring without the lock, so that the owner
   looks for work; -1: none. */
int seer_state_kick(void);

/* Whether the work may be taken. */
bool seer_state_is_free(void);

/* Whether it may be, by a thread, and it is time to try to start one. */
bool seer_state_wants_thread(int64_t now);

/* Whether the work is the caller's, who must not wait for its end. */
bool seer_state_is_mine(void);
