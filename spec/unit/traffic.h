#ifndef SEER_UNIT_TRAFFIC_H
#define SEER_UNIT_TRAFFIC_H

/*
 * What tests of an endpoint have in common: its clients, and a sender that
 * claims their events and ends the requests, without a network.
 */

#include "core/endpoints.h"

#define CLIENTS 4
#define MOST 100000 /* requests of a test */

/* A request in flight. */
typedef struct flight {
  seer_claim claim;
  int64_t ends;
  int number; /* in the order in which they were sent */
} flight;

extern seer_endpoint *endpoint; /* of the test */
extern seer_queue *clients[CLIENTS];
extern int client_count;
extern flight flights[MOST];
extern int flying;      /* of these */
extern int64_t longest; /* ms that a request takes */

/* What was sent: when, whose it was, and whether it was waited for. */
extern int sent_count;
extern int64_t sent_at[MOST];
extern const seer_queue *sent_by[MOST];
extern bool sent_waited[MOST];

/* Each test has an endpoint of its own, whatever has become of the one
   before. It lets it go at its end: the log is empty by then. */
void begin_test(void);
void end_test(void);

seer_queue *add_client(seer_settings settings);

void put(seer_queue *queue, int count);
seer_request *put_waited(seer_queue *queue, int64_t timeout);

/* Events of all clients. */
int64_t pending(void);

/* Claims what may be sent now. Returns how many. */
int claim(void);

/* The request of this place among the flights ends with a status; or all
   do. */
void land_with(int place, int status, int64_t retry_after);
void land(int place, int status);
void land_all(int status);

/* When the endpoint wants to be asked again. */
int64_t next_time(void);

/* Sleeps as the sender does: until the endpoint says, or a request ends,
   which is then delivered. False if nothing would ever happen. */
bool rest(int64_t until);

/* No minute may have more than the share of the limit; of one client, or of
   all (NULL). */
void check_minutes(int64_t limit, const seer_queue *by);

#endif
