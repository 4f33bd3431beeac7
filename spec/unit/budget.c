#include "client.h"
#include "core/base/clock.h"
#include "core/base/thread.h"
#include "core/sender.h"
#include "traffic.h"
#include "unit.h"

static void paces_a_burst(void) {
  seer_queue *queue;
  int64_t began = unit_now, idle;
  int steps = 0;
  begin_test();
  queue = add_client(client_settings(1000, 16));
  put(queue, 1200);
  while (queue->settled[SEER_SETTLED_DELIVERED] < 950) {
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
  CHECK(sent_count == 1201);
  CHECK(queue->settled[SEER_SETTLED_DELIVERED] == 1201);
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
      CHECK(flying_of(clients[i]) <= clients[i]->settings->max_in_flight);
    if (!rest(next_put))
      unit_now = next_put;
  }
  check_minutes(limit, NULL);
  for (int i = 0; i < 3; i++)
    check_minutes(clients[i]->settings->rate_limit, clients[i]);
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
  CHECK(endpoint->parties->next->next->queue == clients[0]);
  CHECK(endpoint->rate_limit == 40);
  end_test();
}

static seer_queue *add_silent(bool tested) {
  seer_settings settings = client_settings(0, 100);
  settings.enabled = tested;
  settings.test_mode = tested;
  return add_client(settings);
}

static bool has_limits(int64_t rate_limit, int64_t max_in_flight) {
  return endpoint->rate_limit == rate_limit &&
         endpoint->max_in_flight == max_in_flight;
}

static void release_last(void) {
  seer_sender_release(clients[--client_count]);
}

static void counts_who_sends(void) {
  begin_test();
  add_silent(false);
  add_client(client_settings(20, 2));
  CHECK(has_limits(20, 2));
  add_silent(true);
  CHECK(has_limits(20, 2));
  add_client(client_settings(40, 3));
  CHECK(has_limits(40, 3));
  release_last();
  CHECK(has_limits(20, 2));
  release_last();
  CHECK(has_limits(20, 2));
  release_last();
  add_client(client_settings(10, 1));
  CHECK(has_limits(10, 1));
  end_test();
}

/* A client that has had nothing to send counts like the others. */
static void counts_who_is_idle(void) {
  seer_settings settings = client_settings(40, 3);
  seer_site_options options;
  seer_party *idle;
  begin_test();
  put(add_client(client_settings(20, 2)), 100);
  put(add_client(client_settings(20, 2)), 100);
  options = client_options(endpoint->api_key);
  idle = seer_endpoints_join(&options, &settings);
  CHECK(has_limits(40, 3));
  while (claim() > 0)
    land_all(200);
  CHECK(sent_count == 38);
  seer_endpoints_leave(idle);
  CHECK(has_limits(20, 2));
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

const unit_test unit_budget[] = {
    {"1,200 events at 1,000 a minute: 950 go at once, the rest when it may",
     paces_a_burst                                                                           },
    {"clients of an endpoint keep within the limit for 17 minutes",
     paces_for_long                                                                          },
    {"a client that may send little gets that beside a busy one",
     starves_nobody                                                                          },
    {"a client hears once that more events come than may go",
     says_when_it_is_short                                                                   },
    {"a client hears what its own limit lets go",                            says_what_may_go},
    {"an endpoint has the largest limits of its clients",                    narrows         },
    {"a client that sends nothing does not count for its endpoint's limits",
     counts_who_sends                                                                        },
    {"a client that has had nothing to send yet counts for them",
     counts_who_is_idle                                                                      },
    {"clients of an endpoint take turns",                                    takes_turns     },
    {"a waiter whom the pacer would hold too long is refused at once",
     refuses_waiters                                                                         },
    {"waited-for requests leave a tenth of the budget to queued events",
     shares_with_queued                                                                      },
    {NULL,                                                                   NULL            }
};
