#ifndef SEER_UNIT_H
#define SEER_UNIT_H

/*
 * Tests of the core that need no Lua, no network and no waiting.
 *
 * Each file has a table of tests, ended by one without a title. Time is
 * simulated: `unit_now` stands in for the monotonic clock. Most tests make
 * random operations and compare what comes of them with a model that is too
 * slow and too simple to be wrong. A test that fails names the seed; SEED=n
 * makes the same operations again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct unit_test {
  const char *title;
  void (*run)(void);
} unit_test;

extern const unit_test unit_gate[], unit_fleet[], unit_share[], unit_adapt[],
    unit_pace[], unit_heap[], unit_turns[], unit_queue[], unit_endpoint[],
    unit_budget[], unit_retry[], unit_id[], unit_text[], unit_names[],
    unit_spare[], unit_digest[], unit_schedule[], unit_room[], unit_keep[],
    unit_tenants[], unit_copied[];

/* What seer_clock_now returns in this program, in ms. */
extern int64_t unit_now;

/* A random number from 0 to below - 1. */
int64_t unit_random(int64_t below);

/* Ends the test that is running, which has failed. */
void unit_fail(const char *file, int line, const char *condition);

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition))                                                         \
      unit_fail(__FILE__, __LINE__, #condition);                              \
  } while (0)

#endif
