#include "unit.h"

#include "core/base/clock.h"
#include "core/http/http.h"

#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one that forks often does so while the process is small. */
static const unit_test *const tables[] = {
    unit_copied, unit_gate,     unit_fleet, unit_share, unit_adapt,
    unit_pace,   unit_heap,     unit_turns, unit_queue, unit_endpoint,
    unit_budget, unit_retry,    unit_id,    unit_text,  unit_names,
    unit_digest, unit_schedule, unit_room,  unit_spare, unit_keep,
    unit_tenants};

#define TABLES (sizeof tables / sizeof tables[0])

int64_t unit_now;
static uint64_t seed, state;
static jmp_buf failure;

/* The linker puts it in the place of seer_clock_now. */
int64_t __wrap_seer_clock_now(void);
int64_t __wrap_seer_clock_now(void) {
  return unit_now;
}

/* splitmix64 */
int64_t unit_random(int64_t below) {
  uint64_t value = state += UINT64_C(0x9e3779b97f4a7c15);
  value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
  return (int64_t)((value ^ value >> 31) % (uint64_t)below);
}

void unit_fail(const char *file, int line, const char *condition) {
  printf("%s:%d: %s (SEED=%llu)\n", file, line, condition,
         (unsigned long long)seed);
  longjmp(failure, 1);
}

static bool passes(const unit_test *test) {
  state = seed;
  unit_now = 1000000 + unit_random(1000000);
  if (setjmp(failure) != 0) {
    printf("FAILED %s\n", test->title);
    return false;
  }
  test->run();
  return true;
}

/* Runs the tests, or that of the title; or lists the titles. */
int main(int count, char **arguments) {
  const char *wanted = count > 1 ? arguments[1] : NULL;
  const char *given = getenv("SEED");
  bool list = wanted != NULL && strcmp(wanted, "--list") == 0;
  int passed = 0, failed = 0;
  seed =
      given != NULL ? strtoull(given, NULL, 10) : (uint64_t)seer_clock_wall();
  if (!seer_http_init())
    return 2;
  /* By the clock that is simulated here, segments of shared memory that others
     need look idle. */
  if (unshare(CLONE_NEWIPC) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWIPC) != 0)
    perror("no IPC namespace of its own");
  for (size_t i = 0; i < TABLES; i++) {
    for (const unit_test *test = tables[i]; test->title != NULL; test++) {
      if (list)
        puts(test->title);
      else if (wanted != NULL && strcmp(wanted, test->title) != 0)
        continue;
      else if (passes(test))
        passed++;
      else
        failed++;
    }
  }
  if (!list)
    printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || (!list && passed == 0);
}
