#ifndef SEER_STRANGERS_H
#define SEER_STRANGERS_H

/*
 * Processes that use the same key and know nothing of each other, before one
 * server that limits the rate: each has an endpoint, a client and a gate of
 * its own, but those that are forked of one share its gate.
 */

#include "core/endpoints.h"
#include "limiter.h"

#define STRANGERS 16
#define STRANGER_FLIGHTS 16

typedef struct stranger_flight {
  seer_claim claim;
  int64_t arrives, lands, retry_after;
  int status; /* 0: it has not arrived yet */
} stranger_flight;

typedef struct stranger {
  seer_endpoint *endpoint;
  seer_queue *queue;
  seer_gate *own_gate;
  stranger_flight flights[STRANGER_FLIGHTS];
  int flying;
  double demand;      /* events a minute; 0: it always has some */
  int64_t comes;      /* when the next event does */
  double asks;        /* requests a minute that it waits for */
  int64_t asked, ask; /* how many, and when it does again */
  int64_t next;       /* when there may be something to send */
  bool gone;
  int64_t delivered, refused, longest_wait; /* since they were measured... */
  int64_t answered, longest_ask; /* ...and of those that it waits for */
} stranger;

extern stranger strangers[STRANGERS];
extern int stranger_count;
extern limiter stranger_server;

/* So many, with this limit of the rate each. */
void strangers_begin(int count, int64_t rate_limit, limiter_kind kind,
                     limiter_advice advice, int64_t limit);
void strangers_end(void);

/* All others are the first one's children. */
void strangers_share_gate(void);

/* Gives one another limit of the rate. */
void strangers_limit(int which, int64_t rate_limit);

/* The time of so many ms passes. */
void strangers_run(int64_t duration);

/* Begins to measure anew. */
void strangers_measure(void);
int64_t strangers_delivered(void), strangers_refused(void);

/* 1: all get the same; 1 / count: one gets all. */
double strangers_fairness(void);

#endif
