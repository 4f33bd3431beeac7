#include "core/fleet.h"

#include "core/base/clock.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define GATES 5
#define FLYING 12 /* requests of a gate */
#define MOST 400000
#define TIMEOUT 3000 /* ms */
#define CALM 4500

/* What a store does, but slowly and simply: each gate has what it says, and
   may have what nobody has. */
typedef struct knowledge {
  uint64_t gate, turn;
  int64_t held, until;
  bool wants, lost;
} knowledge;

static knowledge known[4096], saved[4096];
static int known_count, saved_count;
static bool away;
static int64_t calm; /* nothing is granted until then */

static int64_t others(uint64_t gate, int64_t *wanting, int64_t *living) {
  int64_t total = 0;
  for (int i = 0; i < known_count; i++)
    if (known[i].gate != gate && known[i].until > unit_now) {
      total += known[i].held;
      *wanting += known[i].wants;
      *living += known[i].until > unit_now + 63000;
    }
  return total;
}

static bool answer(seer_budget *b) {
  int64_t wanting = 0, total, fair, free_slots;
  int i = 0;
  if (away) {
    calm = unit_now + CALM;
    return false;
  }
  b->peers = 1;
  total = others(b->gate, &wanting, &b->peers);
  while (i < known_count && known[i].gate != b->gate)
    i++;
  CHECK(i < 4096 && (i == known_count || known[i].turn < b->turn));
  known_count += i == known_count;
  free_slots = b->share - total - b->held;
  fair = seer_clock_later(b->share / (wanting + 1), 1);
  b->granted = seer_clock_sooner(b->want, free_slots);
  if (wanting > 0)
    b->granted = seer_clock_sooner(b->granted, fair - b->held);
  b->granted = unit_now < calm ? 0 : seer_clock_later(b->granted, 0);
  b->owed =
      wanting > 0 && free_slots <= 0 ? seer_clock_later(b->held - fair, 0) : 0;
  b->hold = 0;
  known[i].gate = b->gate;
  known[i].turn = b->turn;
  known[i].held = b->held + b->granted;
  known[i].wants = b->want > b->granted;
  known[i].until = unit_now + b->lease + b->tail;
  known[i].lost = !known[i].lost && unit_random(50) == 0;
  return !known[i].lost; /* never twice, which is to be away */
}

/* It writes to its disk once in a second, and begins anew with what is
   there. */
static void save(void) {
  memcpy(saved, known, sizeof known);
  saved_count = known_count;
}

static void begin_anew(void) {
  memcpy(known, saved, sizeof known);
  known_count = saved_count;
  calm = unit_now + CALM;
}

/* A machine. */
typedef struct request {
  seer_slot slot;
  int64_t ends;
} request;

static struct {
  seer_gate *gate;
  seer_budget question;
  int64_t asked,
      answered; /* the latter: when it will hear; 0: nothing asked */
  bool busy;
  request flying[FLYING];
  int count;
} gates[GATES];

static int64_t counted[MOST];
static int sent;

static void replace(int i) {
  static seer_gate memory[GATES];
  gates[i].gate = &memory[i];
  memset(gates[i].gate, 0, sizeof memory[i]);
  gates[i].answered = 0;
  gates[i].count = 0;
  gates[i].busy = unit_random(4) > 0;
}

static void ask(int i, int64_t share) {
  if (gates[i].answered != 0 ||
      seer_fleet_due(gates[i].gate, unit_now) > unit_now)
    return;
  CHECK(seer_fleet_ask(gates[i].gate, share, TIMEOUT, false, unit_now,
                       &gates[i].question));
  CHECK(!seer_fleet_ask(gates[i].gate, share, TIMEOUT, false, unit_now,
                        &gates[i].question));
  gates[i].asked = unit_now;
  gates[i].answered = unit_now + 1 + unit_random(40);
}

static void hear(int i) {
  if (gates[i].answered == 0 || gates[i].answered > unit_now)
    return;
  seer_fleet_learn(gates[i].gate, &gates[i].question,
                   answer(&gates[i].question), gates[i].asked, unit_now);
  gates[i].answered = 0;
}

static void send(int i, int64_t share) {
  int64_t mine = seer_fleet_share(gates[i].gate, share, unit_now);
  request *r = &gates[i].flying[gates[i].count];
  if (gates[i].count == FLYING || sent == MOST)
    return;
  r->slot = seer_gate_take(gates[i].gate, mine, unit_now);
  CHECK((seer_gate_delay(gates[i].gate, mine, unit_now) > 0) ==
            (r->slot.index < 0) ||
        r->slot.index >= 0);
  if (r->slot.index < 0)
    return;
  seer_gate_lease(gates[i].gate, &r->slot, mine, TIMEOUT, unit_now);
  r->ends = unit_now + unit_random(TIMEOUT);
  gates[i].count++;
  counted[sent++] = unit_now;
}

static void end_requests(int i, int64_t share) {
  for (int n = 0; n < gates[i].count; n++) {
    request *r = &gates[i].flying[n];
    if (r->ends > unit_now)
      continue;
    seer_gate_end(gates[i].gate, r->slot, share, 1, true, unit_now);
    gates[i].flying[n--] = gates[i].flying[--gates[i].count];
  }
}

static void move_on(int i, int64_t share) {
  end_requests(i, share);
  hear(i);
  ask(i, share);
  if (unit_random(3000) == 0)
    gates[i].busy = !gates[i].busy;
  if (gates[i].busy && seer_fleet_due(gates[i].gate, unit_now) != 0)
    for (int64_t n = unit_random(4); n > 0 && gates[i].gate->member.name; n--)
      send(i, share);
}

static void begin(void) {
  known_count = sent = 0;
  away = false;
  calm = 0;
  for (int i = 0; i < GATES; i++)
    replace(i);
}

/* All join before any sends, for who has heard nothing yet believes that it is
   alone. */
static void join_all(int64_t share) {
  for (int i = 0; i < GATES; i++)
    ask(i, share);
  unit_now += 50;
  for (int i = 0; i < GATES; i++) {
    while (gates[i].gate->member.good <= unit_now) {
      hear(i);
      ask(i, share);
      unit_now++;
    }
  }
}

static int64_t worst_window(int64_t from) {
  int64_t worst = 0, first = 0;
  for (int64_t last = 0; last < sent; last++) {
    while (counted[last] - counted[first] >= SEER_GATE_WINDOW)
      first++;
    if (counted[last] >= from && last - first + 1 > worst)
      worst = last - first + 1;
  }
  return worst;
}

/* Half an hour of machines that want more than there is, of which now and then
   one is gone for good, and another comes; answers get lost. */
static void keeps_one_budget(void) {
  int64_t share = 20 + unit_random(930), stop;
  begin();
  join_all(share);
  for (stop = unit_now + 1800000; unit_now < stop;
       unit_now += 1 + unit_random(60))
    for (int i = 0; i < GATES; i++) {
      move_on(i, share);
      if (unit_random(20000) != 0)
        continue;
      replace(i);
      while (gates[i].gate->member.good <= unit_now) {
        ask(i, share);
        unit_now += 41;
        hear(i);
      }
    }
  CHECK(worst_window(0) <= share);
  CHECK(sent > 12 * share); /* it is not stingy either */
}

/* A store that is killed again and again has forgotten what it granted in the
   last second. Machines stop to want much, and begin to, all the time. */
static void keeps_it_though_some_is_forgotten(void) {
  int64_t share = 20 + unit_random(930), stop, saves = 0, killed = 0;
  begin();
  join_all(share);
  for (stop = unit_now + 1800000; unit_now < stop;
       unit_now += 1 + unit_random(60)) {
    if (unit_now >= saves) {
      save();
      saves = unit_now + 1000;
    }
    if (unit_now >= killed) {
      begin_anew();
      killed = unit_now + 10000 + unit_random(20000);
    }
    for (int i = 0; i < GATES; i++)
      move_on(i, share);
  }
  CHECK(worst_window(0) <= share);
  CHECK(sent > 6 * share);
}

/* Who is far above its part comes down to it, when another wants some. */
static void shares_evenly(void) {
  int64_t share = 100 + unit_random(800), stop;
  int64_t held[2];
  begin();
  join_all(share);
  for (int i = 0; i < GATES; i++)
    gates[i].busy = i == 0;
  for (stop = unit_now + 300000; unit_now < stop; unit_now += 20) {
    gates[0].busy = true;
    gates[1].busy = unit_now > stop - 150000;
    gates[2].busy = gates[3].busy = gates[4].busy = false;
    for (int i = 0; i < GATES; i++)
      move_on(i, share);
  }
  for (int i = 0; i < 2; i++)
    seer_gate_lend(gates[i].gate, share, share, &held[i], unit_now);
  CHECK(held[0] + held[1] > share * 9 / 10);
  CHECK(llabs(held[0] - held[1]) < share / 10 + 20);
}

/* A limit with more requests than a gate has words: all take what they get. */
static void shares_a_large_one(void) {
  int64_t share = SEER_GATE_SLOTS + 1 + unit_random(12000), count = 0, stop;
  begin();
  join_all(share);
  for (stop = unit_now + 59000; unit_now < stop; unit_now += 200)
    for (int i = 0; i < GATES; i++) {
      seer_slot slot;
      hear(i);
      ask(i, share);
      while ((slot = seer_gate_take(gates[i].gate, share, unit_now)).index >=
             0) {
        seer_gate_end(gates[i].gate, slot, share, 1, true, unit_now);
        count++;
      }
    }
  CHECK(count <= share);
  CHECK(count > share / 2);
}

/* While the store is away each has its part, and within a window all together
   have no more than the share; then they go on as before. */
static void goes_on_without_a_store(void) {
  int64_t share = GATES * (10 + unit_random(150)), stop, began, back;
  begin();
  join_all(share);
  began = unit_now + 120000;
  back = began + 300000;
  for (stop = back + 300000; unit_now < stop; unit_now += 20) {
    away = unit_now >= began && unit_now < back;
    for (int i = 0; i < GATES; i++) {
      gates[i].busy = true;
      move_on(i, share);
    }
    if (unit_now == back - 20 || unit_now == back - 1)
      for (int i = 0; i < GATES; i++)
        CHECK(seer_fleet_share(gates[i].gate, share, unit_now) ==
              share / GATES);
  }
  CHECK(worst_window(0) <= 2 * share);
  CHECK(worst_window(began + 70000) <= share);
  CHECK(sent > 9 * share);
}

const unit_test unit_fleet[] = {
    {"a fleet keeps one budget, whoever dies",             keeps_one_budget  },
    {"a fleet keeps one budget, though some is forgotten",
     keeps_it_though_some_is_forgotten                                       },
    {"a fleet shares its budget evenly",                   shares_evenly     },
    {"a fleet shares a limit with more than its words",    shares_a_large_one},
    {"a fleet goes on in parts while its store is away",
     goes_on_without_a_store                                                 },
    {NULL,                                                 NULL              }
};
