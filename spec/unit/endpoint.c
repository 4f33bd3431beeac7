#include "client.h"

#include "core/base/clock.h"
#include "core/base/thread.h"
#include "core/sender.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 4
#define MOST 100000 /* requests of a test */

/* A request in flight. */
typedef struct flight {
  seer_claim claim;
  int64_t ends;
  int number; /* in the order in which they were sent */
} flight;

static seer_endpoint *endpoint;
static seer_queue *clients[CLIENTS];
static int client_count;
static flight flights[MOST];
static int flying, sent_count;
static int64_t sent_at[MOST]; /* and whose, and whether it was waited for */
static const seer_queue *sent_by[MOST];
static bool sent_waited[MOST];
static int64_t longest; /* ms that a request takes */

/* Each has an endpoint of its own, whatever has become of the one before. */
static char key[20];

static void begin_test(void) {
  static int tests;
  snprintf(key, sizeof key, "key%d", tests++);
  client_count = flying = sent_count = 0;
  longest = 100;
}

static seer_queue *add_client(seer_settings settings) {
  seer_site_options options = client_options(key);
  seer_site *site;
  endpoint = seer_endpoints_get(&options, &site);
  return clients[client_count++] =
             seer_sender_open(&settings, endpoint, site, NULL);
}

static void put(seer_queue *queue, int count) {
  seer_dead dead = SEER_NO_DEAD;
  for (; count > 0; count--) {
    seer_event *event =
        seer_event_new(SEER_CAPTURE, "{}", 2, NULL, 0, NULL, false);
    seer_lock();
    seer_queue_put(queue, event, unit_now, &dead);
    seer_unlock();
  }
}

static seer_request *put_waited(seer_queue *queue, int64_t timeout) {
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event =
      seer_event_new(SEER_CAPTURE, "{}", 2, NULL, 0, NULL, false);
  seer_request *request = seer_request_new(timeout, 0);
  request->references = 2;
  event->request = request;
  seer_lock();
  seer_queue_put(queue, event, unit_now, &dead);
  seer_unlock();
  return request;
}

/* Claims what may be sent now. Returns how many. */
static int claim(void) {
  seer_dead dead = SEER_NO_DEAD;
  int before = flying;
  for (;;) {
    flight *new = &flights[flying];
    bool claimed;
    seer_lock();
    claimed = seer_endpoint_claim(endpoint, unit_now, &new->claim, &dead);
    seer_unlock();
    if (!claimed)
      break;
    new->ends = unit_now + unit_random(longest + 1);
    new->number = sent_count;
    sent_at[sent_count] = unit_now;
    sent_by[sent_count] = new->claim.queue;
    sent_waited[sent_count++] = new->claim.event->request != NULL;
    flying++;
  }
  seer_dead_free(&dead);
  return flying - before;
}

/* The request of this place among the flights ends with a status. */
static void land_with(int place, int status, int64_t retry_after) {
  flight end = flights[place];
  seer_answer answer = {
      .status = status, .should_retry = -1, .retry_after = retry_after};
  bool waited = end.claim.event->request != NULL;
  seer_asked asked = {.attempts = end.claim.event->attempts, .waited = waited};
  seer_attempt attempt = {.answer = &answer,
                          .verdict = seer_retry_judge(&answer, &asked),
                          .epoch = end.claim.epoch,
                          .number = end.claim.event->attempts,
                          .waited = waited};
  seer_dead dead = SEER_NO_DEAD;
  int64_t due;
  flights[place] = flights[--flying];
  seer_lock();
  seer_endpoint_landed(&end.claim, 1, status != 0, unit_now);
  due = seer_endpoint_learn(endpoint, &end.claim.queue->settings, &attempt,
                            unit_now);
  if (attempt.verdict == SEER_DELIVERED || attempt.verdict == SEER_REJECTED)
    seer_queue_done(end.claim.queue, end.claim.event,
                    attempt.verdict == SEER_DELIVERED ? SEER_SETTLED_DELIVERED
                                                      : SEER_SETTLED_REJECTED,
                    &dead);
  else
    seer_queue_release(end.claim.queue, end.claim.event, due, unit_now);
  seer_unlock();
  seer_dead_free(&dead);
}

static void land(int place, int status) {
  land_with(place, status, SEER_NO_RETRY_AFTER);
}

static void land_all(int status) {
  while (flying > 0)
    land(0, status);
}

static int64_t next_time(void) {
  int64_t next;
  seer_lock();
  next = seer_endpoint_next(endpoint, unit_now);
  seer_unlock();
  return next;
}

static int64_t pending(void) {
  int64_t sum = 0;
  for (int i = 0; i < client_count; i++)
    sum += clients[i]->pending;
  return sum;
}

/* Sleeps as the sender does: until the endpoint says, or a request ends,
   which is then delivered. False if nothing would ever happen. */
static bool rest(int64_t until) {
  int64_t next = next_time();
  for (int i = 0; i < flying; i++)
    if (flights[i].ends < next)
      next = flights[i].ends;
  if (next == SEER_NEVER)
    return false;
  if (next > until)
    next = until;
  if (next > unit_now)
    unit_now = next;
  for (int i = flying - 1; i >= 0; i--)
    if (flights[i].ends <= unit_now)
      land(i, 200);
  return true;
}

/* Lets the endpoint go, too: its log is empty by then. */
static void end_test(void) {
  seer_dead dead = SEER_NO_DEAD;
  land_all(200);
  for (int i = 0; i < client_count; i++) {
    seer_lock();
    seer_queue_drop_all(clients[i], SEER_SETTLED_EXIT, &dead);
    seer_unlock();
    seer_sender_release(clients[i]);
  }
  seer_dead_free(&dead);
  unit_now += 3 * SEER_GATE_WINDOW;
  add_client(client_settings(0, 1));
  seer_sender_release(clients[client_count - 1]);
}

/* Whether no minute has more than the share of the limit; of one client, or
   of all (NULL). */
static void check_minutes(int64_t limit, const seer_queue *by) {
  static int64_t times[MOST];
  int count = 0, share = (int)seer_gate_share(limit);
  for (int i = 0; i < sent_count; i++)
    if (by == NULL || sent_by[i] == by)
      times[count++] = sent_at[i];
  for (int i = share; i < count; i++)
    CHECK(times[i] - times[i - share] >= SEER_GATE_WINDOW);
}

static void paces_a_burst(void) {
  seer_queue *queue;
  int64_t began = unit_now, idle;
  int steps = 0;
  begin_test();
  queue = add_client(client_settings(1000, 16));
  put(queue, 1200);
  while (queue->delivered < 950) {
    claim();
    rest(SEER_NEVER);
  }
  CHECK(unit_now - began < 10000); /* at once, 16 at a time */
  CHECK(claim() == 0);
  idle = unit_now;
  seer_request *request = put_waited(queue, 90000);
  while (pending() > 0) {
    claim();
    CHECK(rest(SEER_NEVER));
    steps++;
  }
  CHECK(sent_count == 1201 && queue->delivered == 1201);
  CHECK(sent_at[950] > idle + 30000 && sent_waited[950]);
  CHECK(sent_at[1200] - began < 75000);
  CHECK(steps < 3 * 251 + 10); /* it sleeps, and wakes for good reasons */
  check_minutes(1000, NULL);
  CHECK(request->settled);
  seer_request_free(request);
  end_test();
}

static int flying_of(const seer_queue *queue) {
  int count = 0;
  for (int i = 0; i < flying; i++)
    count += flights[i].claim.queue == queue;
  return count;
}

/* Seventeen minutes of clients that have something now and then. */
static void paces_for_long(void) {
  int64_t stop = unit_now + 17 * 60000, next_put = unit_now;
  int64_t limit = 0, most = 0;
  begin_test();
  longest = 1 + unit_random(3000);
  for (int i = 0; i < 3; i++) {
    seer_settings settings =
        client_settings(20 + unit_random(500), 1 + unit_random(20));
    limit = settings.rate_limit > limit ? settings.rate_limit : limit;
    most = settings.max_in_flight > most ? settings.max_in_flight : most;
    add_client(settings);
  }
  while (unit_now < stop) {
    if (unit_now >= next_put) {
      put(clients[unit_random(3)], (int)unit_random(limit));
      next_put = unit_now + unit_random(20000);
    }
    claim();
    CHECK(flying <= most);
    for (int i = 0; i < 3; i++)
      CHECK(flying_of(clients[i]) <= clients[i]->settings.max_in_flight);
    if (!rest(next_put))
      unit_now = next_put;
  }
  check_minutes(limit, NULL);
  for (int i = 0; i < 3; i++)
    check_minutes(clients[i]->settings.rate_limit, clients[i]);
  CHECK(sent_count > 0);
  end_test();
}

/* A client that has little to send, and may send little, beside one that has
   more to send than it may. */
static void starves_nobody(void) {
  seer_queue *busy, *small;
  int64_t stop = unit_now + 5 * 60000;
  int rounds = 0;
  begin_test();
  busy = add_client(client_settings(1000, 16));
  small = add_client(unit_random(2) ? client_settings(100, 16)
                                    : client_settings(1000, 1));
  longest = 500;
  put(busy, 10000);
  while (unit_now < stop) {
    int before, ours = 0;
    put(small, 1);
    before = sent_count;
    while (ours == 0) {
      claim();
      for (int i = before; i < sent_count; i++)
        ours += sent_by[i] == small;
      CHECK(ours > 0 || sent_count - before <= 1);
      if (ours == 0)
        CHECK(rest(SEER_NEVER));
    }
    rounds++;
    for (int64_t until = unit_now + 1000; unit_now < until; claim())
      CHECK(rest(until));
  }
  CHECK(rounds > 5 && small->pending <= 1);
  check_minutes(1000, NULL);
  end_test();
}

static bool is_short(seer_queue *queue, seer_shortage *shortage) {
  bool is;
  seer_lock();
  is = seer_endpoint_is_short(queue, unit_now, shortage);
  seer_unlock();
  return is;
}

/* Events come evenly for so long. Returns how often the client is short of
   budget, and how at last. */
static int run_short(seer_queue *queue, int64_t a_minute, int64_t lasts,
                     seer_shortage *shortage) {
  int64_t stop = unit_now + lasts, due = unit_now;
  int times = 0;
  while (unit_now < stop) {
    for (; due <= unit_now; due += 60000 / a_minute)
      put(queue, 1);
    claim();
    times += is_short(queue, shortage);
    if (!rest(due))
      unit_now = due;
  }
  return times;
}

/* Told once, until all that waits has gone. */
static void says_when_it_is_short(void) {
  seer_shortage shortage;
  seer_queue *queue;
  begin_test();
  queue = add_client(client_settings(1000, 16));
  CHECK(run_short(queue, 900, 300000, &shortage) == 0);
  unit_now += 2 * SEER_GATE_WINDOW;
  put(queue, 990); /* some wait, but not for a minute */
  CHECK(run_short(queue, 1, 70000, &shortage) == 0);
  CHECK(run_short(queue, 1600, 90000, &shortage) == 0);
  CHECK(run_short(queue, 1600, 300000, &shortage) == 1);
  CHECK(shortage.may_go == 950 && shortage.waiting > 200);
  CHECK(shortage.come > 1500 && shortage.come < 1700);
  run_short(queue, 1, 600000, &shortage);
  CHECK(queue->pending <= 1);
  CHECK(run_short(queue, 1600, 300000, &shortage) == 1);
  end_test();
}

/* Its own limit, beside a client that may send more; and the pace after a
   429. */
static void says_what_may_go(void) {
  seer_shortage shortage;
  seer_queue *small;
  begin_test();
  add_client(client_settings(1000, 16));
  small = add_client(client_settings(100, 16));
  CHECK(run_short(small, 200, 300000, &shortage) == 1);
  CHECK(shortage.may_go == 95);
  CHECK(shortage.come >= 198 && shortage.come <= 200);
  CHECK(!is_short(clients[0], &shortage));
  end_test();
  begin_test();
  small = add_client(client_settings(0, 16));
  put(small, 1000);
  claim();
  land_with(0, 503, 50000); /* not the budget's doing */
  CHECK(run_short(small, 200, 45000, &shortage) == 0);
  unit_now += 70000;
  CHECK(!is_short(small, &shortage));
  end_test();
}

/* The largest limits are those of the clients that are there. */
static void narrows(void) {
  begin_test();
  longest = 0;
  put(add_client(client_settings(20, 2)), 100);
  put(add_client(client_settings(40, 3)), 100);
  put(add_client(client_settings(40, 2)), 100);
  CHECK(endpoint->rate_limit == 40 && endpoint->max_in_flight == 3);
  add_client(client_settings(0, 1));
  CHECK(endpoint->rate_limit == 0 && endpoint->max_in_flight == 3);
  while (claim() > 0)
    rest(unit_now + 1);
  CHECK(sent_count == 19 + 38 + 38);
  seer_sender_release(clients[3]);
  client_count = 3;
  CHECK(endpoint->queues->next->next == clients[0]);
  CHECK(endpoint->rate_limit == 40);
  end_test();
}

static void takes_turns(void) {
  begin_test();
  for (int i = 0; i < 3; i++)
    put(add_client(client_settings(0, 1000)), 100);
  CHECK(claim() == 300);
  for (int i = 3; i < 300; i++)
    CHECK(sent_by[i] == sent_by[i - 3] && sent_by[i] != sent_by[i - 1]);
  end_test();
}

static void pauses_and_probes(void) {
  static const int answers[] = {429, 401, 500, 0};
  for (int i = 0; i < 4; i++) {
    int64_t pause = 500, longest_pause = i == 0 ? 8000 : 60000, began;
    begin_test();
    put(add_client(client_settings(0, 5)), 100);
    CHECK(claim() == 5);
    land_all(answers[i]);
    CHECK(seer_pauses_until(endpoint->pauses) == unit_now + pause);
    for (int step = 0; step < 10; step++) {
      began = unit_now;
      CHECK(claim() == 0);
      while (unit_now < began + pause - 1) {
        CHECK(next_time() > unit_now);
        unit_now =
            next_time() < began + pause - 1 ? next_time() : began + pause - 1;
        CHECK(claim() == 0);
      }
      unit_now = began + pause;
      CHECK(claim() == 1); /* one probe */
      CHECK(claim() == 0);
      land(0, answers[i]);
      pause = pause * 2 < longest_pause ? pause * 2 : longest_pause;
      CHECK(seer_pauses_until(endpoint->pauses) == unit_now + pause);
    }
    unit_now += pause;
    CHECK(claim() == 1);
    land(0, 200);
    CHECK(claim() == 5);
    end_test();
  }
}

/* What hangs since before the pause holds nothing up, and when it ends at
   last, nothing goes astray. */
static void passes_stragglers(void) {
  begin_test();
  put(add_client(client_settings(0, 4)), 100);
  CHECK(claim() == 4);
  land_with(3, 429, 1000);
  for (int step = 0; step < 3; step++) {
    CHECK(flying == 3 && claim() == 0);
    CHECK(next_time() <= seer_pauses_until(endpoint->pauses));
    unit_now = seer_pauses_until(endpoint->pauses);
    CHECK(claim() == 1); /* the probe, beside the three */
    CHECK(claim() == 0);
    land(3, step < 2 ? 503 : 200);
  }
  CHECK(seer_pauses_level(endpoint->pauses) == 0 && claim() == 1);
  land(0, 0); /* a straggler had no answer */
  CHECK(claim() == 1);
  land_all(200);
  CHECK(endpoint->probe == 0 && endpoint->in_flight == 0);
  end_test();
}

static void endures_failures(void) {
  begin_test();
  put(add_client(client_settings(0, 1)), 100);
  for (int i = 0; i < 50; i++) {
    CHECK(claim() == 1);
    land(0, i % 5 == 4 ? 200 : 500);
    CHECK(seer_pauses_level(endpoint->pauses) == 0);
  }
  for (int i = 0; i < 5; i++) {
    CHECK(seer_pauses_level(endpoint->pauses) == 0 && claim() == 1);
    land(0, 500);
  }
  CHECK(seer_pauses_level(endpoint->pauses) == 1 && claim() == 0);
  end_test();
}

static void does_as_asked(void) {
  begin_test();
  put(add_client(client_settings(0, 1)), 3);
  CHECK(claim() == 1);
  land_with(0, 429, 7000);
  unit_now += 6999;
  CHECK(claim() == 0);
  unit_now++;
  CHECK(claim() == 1);
  land_with(0, 503, 600000); /* ten minutes */
  unit_now += 599999;
  CHECK(claim() == 0);
  unit_now++;
  CHECK(claim() == 1);
  end_test();
}

static void lets_waiters_pass(void) {
  seer_request *request;
  begin_test();
  put(add_client(client_settings(0, 5)), 10);
  CHECK(claim() == 5);
  land_all(401);
  request = put_waited(clients[0], 1000);
  CHECK(claim() == 1 && sent_waited[5]);
  land(0, 200);
  CHECK(request->settled && request->outcome.failure == SEER_FAILURE_NONE);
  seer_request_free(request);
  end_test();
}

/* More is waited for than may go, all the time: queued events get a tenth of
   what goes, and all of it when nobody waits. */
static void shares_with_queued(void) {
  static seer_request *requests[3000];
  int64_t stop = unit_now + 10 * 60000;
  int queued = 0, waited = 0;
  begin_test();
  put(add_client(client_settings(100, 4)), 500);
  put(add_client(client_settings(60, 4)), 500);
  while (unit_now < stop) {
    while (waited - (sent_count - queued) < 100)
      requests[waited++] = put_waited(clients[0], 600000);
    for (int i = sent_count, more = claim(); more > 0; more--)
      queued += !sent_waited[i++];
    CHECK(rest(unit_now + 1000));
  }
  CHECK(sent_count > 800 && queued >= sent_count / 10 - 2);
  CHECK(queued <= sent_count / 10 + 2);
  check_minutes(100, NULL);
  end_test();
  for (int i = 0; i < waited; i++)
    seer_request_free(requests[i]);
}

static void refuses_waiters(void) {
  seer_request *early, *late;
  begin_test();
  longest = 0;
  put(add_client(client_settings(20, 100)), 19);
  CHECK(claim() == 19);
  land_all(200);
  early = put_waited(clients[0], 59000);
  late = put_waited(clients[0], 61000);
  CHECK(claim() == 0);
  CHECK(early->settled && early->outcome.failure == SEER_FAILURE_PACED);
  CHECK(!late->settled);
  unit_now = next_time();
  CHECK(claim() == 1);
  end_test();
  CHECK(late->settled);
  seer_request_free(early);
  seer_request_free(late);
}

static void drops_what_is_old(void) {
  seer_settings settings = client_settings(0, 1);
  int64_t began = unit_now;
  begin_test();
  settings.max_age = 5000;
  put(add_client(settings), 10);
  CHECK(claim() == 1);
  land_with(0, 429, 30000);
  while (clients[0]->pending > 0) {
    int64_t next = next_time();
    CHECK(next > unit_now && next <= began + 5000 + SEER_CLOCK_COARSENESS);
    unit_now = next;
    CHECK(claim() == 0);
  }
  CHECK(clients[0]->dropped_by[SEER_DROP_EXPIRED] == 10);
  end_test();
}

static void are_shared(void) {
  seer_endpoint *one, *other;
  seer_site_options first = client_options("key"),
                    second = client_options("other");
  seer_site *site, *other_site, *same_site;
  one = seer_endpoints_get(&first, &site);
  other = seer_endpoints_get(&second, &other_site);
  CHECK(one != other);
  CHECK(seer_endpoints_get(&first, &same_site) == one && same_site == site);
  seer_endpoints_release(one, site);
  seer_endpoints_release(one, site);
  seer_endpoints_release(other, other_site);
}

/* Hundreds, of which some go and others come. */
static void are_found(void) {
  static seer_endpoint *all[400];
  static seer_site *sites[400];
  static char keys[400][12];
  for (int i = 0; i < 2000; i++) {
    int which = i < 400 ? i : (int)unit_random(400);
    seer_site_options options;
    seer_endpoint *again;
    seer_site *site;
    snprintf(keys[which], sizeof keys[which], "many%d", which);
    options = client_options(keys[which]);
    again = seer_endpoints_get(&options, &site);
    CHECK(strcmp(again->api_key, keys[which]) == 0);
    CHECK(all[which] == NULL || (again == all[which] && site == sites[which]));
    if (all[which] != NULL)
      seer_endpoints_release(again, site);
    all[which] = again;
    sites[which] = site;
    if (unit_random(100) == 0) {
      seer_endpoints_release(all[which], sites[which]);
      all[which] = NULL;
    }
  }
  for (int i = 0; i < 400; i++) {
    if (all[i] != NULL)
      seer_endpoints_release(all[i], sites[i]);
    all[i] = NULL;
  }
}

/* Its log is not forgotten while the server remembers. */
static void outlives_its_clients(void) {
  begin_test();
  longest = 0;
  put(add_client(client_settings(20, 100)), 25);
  CHECK(claim() == 19);
  land_all(200);
  for (int i = 1; i < 60; i++) {
    seer_dead dead = SEER_NO_DEAD;
    seer_lock();
    seer_queue_drop_all(clients[0], SEER_SETTLED_EXIT, &dead);
    seer_unlock();
    seer_dead_free(&dead);
    seer_sender_release(clients[0]);
    unit_now += 1000;
    client_count = 0;
    put(add_client(client_settings(20, 100)), 5);
    CHECK(claim() == 0);
  }
  unit_now += 1000 + 2;
  CHECK(claim() == 5);
  end_test();
}

const unit_test unit_endpoint[] = {
    {"1,200 events at 1,000 a minute: 950 go at once, the rest when it may",
     paces_a_burst                                                                            },
    {"clients of an endpoint keep within the limit for 17 minutes",
     paces_for_long                                                                           },
    {"a client that may send little gets that beside a busy one",
     starves_nobody                                                                           },
    {"a client hears once that more events come than may go",
     says_when_it_is_short                                                                    },
    {"a client hears what its own limit lets go",                            says_what_may_go },
    {"an endpoint has the largest limits of its clients",                    narrows          },
    {"clients of an endpoint take turns",                                    takes_turns      },
    {"an endpoint pauses, twice as long each time, and sends one probe",
     pauses_and_probes                                                                        },
    {"a probe goes when the pause is over, whatever is still in flight",
     passes_stragglers                                                                        },
    {"an endpoint endures four failures in a row",                           endures_failures },
    {"an endpoint pauses as long as the server asks for",                    does_as_asked    },
    {"a waited-for request passes a pause",                                  lets_waiters_pass},
    {"a waiter whom the pacer would hold too long is refused at once",
     refuses_waiters                                                                          },
    {"waited-for requests leave a tenth of the budget to queued events",
     shares_with_queued                                                                       },
    {"a pause does not keep events beyond max_age",                          drops_what_is_old},
    {"an endpoint is known by its URL and key",                              are_shared       },
    {"an endpoint is found among hundreds, while others come and go",
     are_found                                                                                },
    {"an endpoint outlives its clients until its log is empty",
     outlives_its_clients                                                                     },
    {NULL,                                                                   NULL             }
};
