#include "core/gate.h"

#include "core/base/clock.h"
#include "unit.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 400000 /* requests of a test */
#define PROCESSES 8
#define FLYING 40 /* of a process */

static int compare(const void *one, const void *other) {
  int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
  return a < b ? -1 : a > b;
}

static int64_t model_share(int64_t limit) {
  return limit * 95 / 100 > 1 ? limit * 95 / 100 : 1;
}

static void knows_its_share(void) {
  CHECK(seer_gate_share(0) == 0);
  for (int64_t limit = 1; limit < 3000; limit++)
    CHECK(seer_gate_share(limit) == model_share(limit));
  CHECK(seer_gate_share(INT64_MAX) > INT64_MAX / 100 * 94);
}

/* A request in flight, in one of several processes that share the gate. */
typedef struct request {
  seer_slot slot;
  int64_t began, ends, timeout;
} request;

static seer_gate *gate;
static request requests[PROCESSES][FLYING];
static int flying[PROCESSES];
static int64_t counted[MOST]; /* when the server counts each */
static int sent;

static void begin_test(void) {
  gate = seer_gate_new((uint64_t)unit_random(INT64_MAX));
  CHECK(gate != NULL);
  sent = 0;
  for (int i = 0; i < PROCESSES; i++)
    flying[i] = 0;
}

static void end_test(void) {
  seer_gate_free(gate);
}

/* The server counts a request at any moment while it is in flight: one that
   is never answered, until its time is up. */
static void begin(int process, int64_t share, int64_t longest) {
  request *r = &requests[process][flying[process]];
  r->slot = seer_gate_take(gate, share, unit_now);
  CHECK((seer_gate_delay(gate, share, unit_now) > 0) == (r->slot.index < 0) ||
        r->slot.index >= 0);
  if (r->slot.index < 0)
    return;
  r->timeout = 1 + unit_random(longest);
  r->began = unit_now;
  r->ends = unit_now + unit_random(r->timeout + 1);
  seer_gate_lease(gate, &r->slot, share, r->timeout, unit_now);
  flying[process]++;
}

static void end(int process, int which, int64_t share) {
  request *r = &requests[process][which];
  bool answered = unit_random(8) > 0;
  int64_t last = answered ? unit_now : r->began + r->timeout;
  int times = unit_random(16) > 0;
  seer_gate_end(gate, r->slot, share, times, answered, unit_now);
  if (times > 0)
    counted[sent++] = r->began + unit_random(last - r->began + 1);
  *r = requests[process][--flying[process]];
}

static void die(int process) {
  for (; flying[process] > 0; flying[process]--) {
    request *r = &requests[process][flying[process] - 1];
    counted[sent++] = r->began + unit_random(r->timeout + 1);
  }
}

/* All of them go on with another gate, to which nothing was known. */
static void switch_gates(int64_t share) {
  seer_gate *other = seer_gate_new((uint64_t)unit_random(INT64_MAX));
  CHECK(other != NULL);
  seer_gate_move(other, gate, share, unit_now);
  seer_gate_free(gate);
  gate = other;
}

static void move_on(int process, int64_t share, int64_t longest) {
  if (unit_random(2000) == 0)
    die(process);
  if (unit_random(20000) == 0)
    switch_gates(share);
  for (int i = 0; i < flying[process]; i++)
    if (requests[process][i].ends <= unit_now)
      end(process, i--, share);
  for (int64_t n = unit_random(4); n > 0; n--)
    if (flying[process] < FLYING && sent < MOST - PROCESSES * FLYING)
      begin(process, share, longest);
}

static void check_windows(int64_t share) {
  qsort(counted, (size_t)sent, sizeof counted[0], compare);
  for (int64_t i = share; i < sent; i++)
    CHECK(counted[i] - counted[i - share] >= SEER_GATE_WINDOW);
}

/* Seventeen minutes of processes that always have something to send, and are
   killed now and then. */
static void outlast_deaths(void) {
  int64_t stop = unit_now + 17 * 60000, share, longest;
  begin_test();
  share = model_share(20 + unit_random(unit_random(4) > 0 ? 1000 : 40000));
  longest = 1 + unit_random(5000);
  for (; unit_now < stop; unit_now += unit_random(40))
    for (int i = 0; i < PROCESSES; i++)
      move_on(i, share, longest);
  for (int i = 0; i < PROCESSES; i++)
    die(i);
  unit_now += longest + SEER_GATE_WINDOW + 3;
  CHECK(seer_gate_is_idle(gate, unit_now));
  check_windows(share);
  CHECK(sent > 10 * share || sent > MOST / 2); /* it is not stingy either */
  end_test();
}

static void outlasts_deaths(void) {
  for (int round = 0; round < 4; round++)
    outlast_deaths();
}

static void says_when_to_ask(void) {
  int64_t share = 1 + unit_random(30);
  seer_slot held[40];
  int count = 0;
  begin_test();
  for (int i = 0; i < 3000; i++) {
    int64_t delay = seer_gate_delay(gate, share, unit_now);
    if (delay == 0) {
      held[count] = seer_gate_take(gate, share, unit_now);
      CHECK(held[count].index >= 0);
      seer_gate_lease(gate, &held[count++], share, 5000000, unit_now);
    } else {
      CHECK(seer_gate_take(gate, share, unit_now).index < 0);
    }
    while (count == 40 || (count > 0 && delay == SEER_NEVER)) {
      seer_gate_end(gate, held[--count], share, 1, true, unit_now);
      delay = 1;
    }
    for (; count > 0 && unit_random(3) == 0; count--)
      seer_gate_end(gate, held[count - 1], share, 1, true, unit_now);
    delay = seer_gate_delay(gate, share, unit_now);
    if (delay > 0 && delay != SEER_NEVER && unit_random(2)) {
      CHECK(seer_gate_delay(gate, share, unit_now + delay - 1) > 0);
      unit_now += delay;
      CHECK(seer_gate_delay(gate, share, unit_now) == 0);
    }
    unit_now += unit_random(50);
  }
  end_test();
}

/* A slot that has come free is another's, whoever ends late. */
static void forgets_the_late(void) {
  seer_slot late, next;
  begin_test();
  late = seer_gate_take(gate, 1, unit_now);
  seer_gate_lease(gate, &late, 1, 1000, unit_now);
  unit_now += 1000 + SEER_GATE_WINDOW + 2;
  next = seer_gate_take(gate, 1, unit_now);
  CHECK(next.index == 0);
  seer_gate_end(gate, late, 1, 0, true, unit_now);
  CHECK(seer_gate_take(gate, 1, unit_now).index < 0);
  end_test();
}

/* A server that stood still reads what had no answer when it goes on, which
   the next answer shows. */
static void counts_the_unanswered_anew(void) {
  int64_t share = 2 + unit_random(100), lost = 1 + unit_random(share - 1);
  seer_slot slots[101];
  begin_test();
  for (int64_t i = 0; i < lost; i++) {
    slots[i] = seer_gate_take(gate, share, unit_now);
    seer_gate_lease(gate, &slots[i], share, 1000, unit_now);
  }
  unit_now += 1000;
  for (int64_t i = 0; i < lost; i++)
    seer_gate_end(gate, slots[i], share, 1, false, unit_now);
  unit_now += SEER_GATE_WINDOW + unit_random(100000);
  slots[0] = seer_gate_take(gate, share, unit_now + 10);
  CHECK(slots[0].index >= 0);
  unit_now += unit_random(1000);
  seer_gate_end(gate, slots[0], share, 1, true, unit_now);
  for (int64_t i = lost + 1; i < share; i++)
    CHECK(seer_gate_take(gate, share, unit_now).index >= 0);
  CHECK(seer_gate_delay(gate, share, unit_now) >= SEER_GATE_WINDOW);
  unit_now += SEER_GATE_WINDOW;
  CHECK(seer_gate_take(gate, share, unit_now).index < 0);
  unit_now += 3;
  CHECK(seer_gate_is_idle(gate, unit_now));
  end_test();
}

/* What libcurl sends again takes slots of its own, and gives none back. */
static void charges(void) {
  int64_t before[8];
  begin_test();
  for (int i = 0; i < 1000; i++) {
    int64_t share = 1 + unit_random(8);
    int times = (int)unit_random(4);
    seer_slot slot = seer_gate_take(gate, share, unit_now);
    if (slot.index >= 0) {
      int used = 0, still = 0;
      for (int k = 0; k < 8; k++)
        before[k] = gate->slots[k];
      seer_gate_end(gate, slot, share, times, true, unit_now);
      for (int k = 0; k < 8; k++) {
        CHECK(k == slot.index || gate->slots[k] >= before[k]);
        used += before[k] > unit_now;
        still += gate->slots[k] > unit_now;
      }
      CHECK(still >= (used + times - 1 < share ? used + times - 1 : share));
    }
    unit_now += unit_random(20000);
  }
  end_test();
}

/* A wider range that others use counts for those with a smaller one. */
static void counts_wider_ranges(void) {
  begin_test();
  for (int i = 0; i < 30; i++)
    CHECK(seer_gate_take(gate, 100, unit_now).index == i);
  CHECK(seer_gate_take(gate, 20, unit_now).index < 0);
  CHECK(seer_gate_take(gate, 0, unit_now).index == 30);
  CHECK(seer_gate_take(gate, 31, unit_now).index < 0);
  CHECK(seer_gate_take(gate, 32, unit_now).index >= 0);
  end_test();
}

/* Children that were made before anybody needed a gate share one. */
static void is_found_in_children(void) {
  uint64_t hash = (uint64_t)unit_random(INT64_MAX);
  int children = 4, taken = 0;
  seer_gate_prepare();
  for (int i = 0; i < children; i++)
    if (fork() == 0) {
      seer_gate *mine = seer_gate_new(hash);
      int count = 0;
      while (seer_gate_take(mine, 95, unit_now).index >= 0)
        count++;
      _exit(count);
    }
  for (int i = 0; i < children; i++) {
    int status;
    CHECK(wait(&status) > 0 && WIFEXITED(status));
    taken += WEXITSTATUS(status);
  }
  CHECK(taken == 95);
  gate = seer_gate_new(hash);
  CHECK(seer_gate_take(gate, 95, unit_now).index < 0);
  CHECK(seer_gate_new(hash) == gate && seer_gate_new(hash + 2) != gate);
  end_test();
}

const unit_test unit_gate[] = {
    {"a gate uses 95 % of a limit, and at least one",                 knows_its_share },
    {"a gate never shows a server more than its share in a minute, whoever is "
     "killed",                                                   outlasts_deaths },
    {"a gate says to the millisecond when to ask again",              says_when_to_ask},
    {"a gate's slot is not given back by one whose time is up",
     forgets_the_late                                                                 },
    {"a gate counts what had no answer anew from the next answer on",
     counts_the_unanswered_anew                                                       },
    {"a gate charges what is sent again",                             charges         },
    {"a gate lets a smaller limit see what larger ones use",
     counts_wider_ranges                                                              },
    {"a gate is found by children forked before anybody needed it",
     is_found_in_children                                                             },
    {NULL,                                                            NULL            },
};
