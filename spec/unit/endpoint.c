#include "client.h"
#include "core/base/clock.h"
#include "core/base/thread.h"
#include "core/room.h"
#include "core/sender.h"
#include "core/state.h"
#include "traffic.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

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

/* A window that is shut for longer than each 429 says. */
static void asks_seldom(void) {
  const seer_pauses *pauses;
  int64_t opens = unit_now + 55000, asked = 1000;
  int probes = 0;
  begin_test();
  put(add_client(client_settings(0, 16)), 100);
  pauses = endpoint->pauses;
  CHECK(claim() == 16);
  while (flying > 0)
    land_with(0, 429, asked);
  while (seer_pauses_until(pauses) < opens) {
    unit_now = seer_pauses_until(pauses) - 1;
    CHECK(claim() == 0);
    unit_now++;
    CHECK(claim() == 1);
    land_with(0, 429, asked);
    CHECK(seer_pauses_until(pauses) >= unit_now + asked);
    probes++;
  }
  CHECK(probes <= 14);
  for (asked = 2000; asked < 3600000; asked *= 2) {
    unit_now = seer_pauses_until(pauses);
    CHECK(claim() == 1);
    land_with(0, 429, asked);
    CHECK(seer_pauses_until(pauses) >= unit_now + asked);
  }
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

/* Nobody knows how long that will take, which is not the rate limit's fault.
 */
static void waiters_wait_for_room(void) {
  seer_request *request;
  begin_test();
  put(add_client(client_settings(0, 5)), 1);
  CHECK(claim() == 1);
  land_all(401);
  seer_lock();
  seer_room_forget(); /* what other tests have left in flight */
  seer_room_limit(2);
  seer_room_enter(true);
  seer_unlock();
  request = put_waited(clients[0], 500);
  CHECK(claim() == 0 && !request->settled);
  CHECK(next_time() > unit_now && next_time() < SEER_NEVER);
  seer_lock();
  seer_room_leave(true);
  seer_unlock();
  CHECK(claim() == 1 && sent_waited[1]);
  land(0, 200);
  CHECK(request->settled && request->outcome.failure == SEER_FAILURE_NONE);
  seer_request_free(request);
  seer_lock();
  seer_room_limit(INT_MAX);
  seer_unlock();
  end_test();
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
  CHECK(clients[0]->settled[SEER_SETTLED_EXPIRED] == 10);
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

/* However many there are, and also when others with the same hash come. */
static void settings_are_shared(void) {
  static const seer_settings *all[1000];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 1000; i++) {
      seer_settings settings = client_settings(i, 16);
      const seer_settings *again;
      all[i] = seer_settings_share(&settings);
      again = seer_settings_share(&settings);
      CHECK(again == all[i] && again != &settings);
      seer_settings_release(again);
    }
    for (int i = 0; i < 1000; i++) {
      CHECK(all[i]->rate_limit == i && all[i]->max_in_flight == 16);
      seer_settings_release(all[i]);
    }
  }
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

static int count_all(void) {
  int count = 0;
  seer_lock();
  for (seer_endpoint *it = seer_endpoints_first(); it != NULL;
       it = seer_endpoints_next(it))
    count++;
  seer_unlock();
  return count;
}

/* What is freed at this time. */
static bool sweep(void) {
  seer_endpoint *idle;
  seer_lock();
  idle = seer_endpoints_sweep(unit_now);
  seer_unlock();
  seer_endpoints_free(idle);
  return idle != NULL;
}

/* Thousands whose clients have gone, when no other client comes or goes. */
static void are_freed_in_time(void) {
  int before = count_all();
  for (int i = 0; i < 1000; i++) {
    char key[20];
    seer_site_options options;
    seer_endpoint *one;
    seer_site *site;
    snprintf(key, sizeof key, "going%d", i);
    options = client_options(key);
    one = seer_endpoints_get(&options, &site);
    seer_gate_end(one->gate, seer_gate_take(one->gate, 950, unit_now), 950, 1,
                  true, unit_now);
    seer_endpoints_release(one, site);
  }
  CHECK(count_all() >= 1000 && !sweep());
  seer_lock();
  unit_now = seer_endpoints_sweep_at();
  seer_unlock();
  while (sweep())
    ;
  CHECK(count_all() <= before);
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

/* Another thread may capture something first while the process exits. */
static void is_alone_at_exit(void) {
  begin_test();
  seer_lock();
  seer_state.stage = SEER_EXITING;
  seer_unlock();
  add_client(client_settings(0, 5));
  CHECK(endpoint->pauses == &endpoint->busy->pauses);
  seer_pauses_extend(endpoint->pauses, unit_now + 1000);
  add_client(client_settings(0, 5));
  CHECK(seer_pauses_until(endpoint->pauses) == unit_now + 1000);
  seer_lock();
  seer_state.stage = SEER_LIVING;
  seer_unlock();
  end_test();
}

const unit_test unit_endpoint[] = {
    {"an endpoint pauses, twice as long each time, and sends one probe",
     pauses_and_probes                                                                         },
    {"a probe goes when the pause is over, whatever is still in flight",
     passes_stragglers                                                                         },
    {"clients with like settings share them",                             settings_are_shared  },
    {"an endpoint endures four failures in a row",                        endures_failures     },
    {"an endpoint pauses as long as the server asks for",                 does_as_asked        },
    {"a 429 that asks for too short a pause is asked for seldom",         asks_seldom          },
    {"a waited-for request passes a pause",                               lets_waiters_pass    },
    {"a waited-for request waits for room",                               waiters_wait_for_room},
    {"a pause does not keep events beyond max_age",                       drops_what_is_old    },
    {"an endpoint is known by its URL and key",                           are_shared           },
    {"an endpoint is found among hundreds, while others come and go",
     are_found                                                                                 },
    {"endpoints that nobody needs are freed in time",                     are_freed_in_time    },
    {"an endpoint whose first event comes at exit has pauses of its own",
     is_alone_at_exit                                                                          },
    {"an endpoint outlives its clients until its log is empty",
     outlives_its_clients                                                                      },
    {NULL,                                                                NULL                 }
};
