#include "core/base/clock.h"
#include "strangers.h"

#include <string.h>

#define MINUTES 10
#define PROCESSES 12

/* A mean of the four kinds of Retry-After. */
typedef struct means {
  double delivered, refused, fairness; /* a minute */
} means;

static means measure(int count, int64_t rate_limit, limiter_kind kind,
                     int64_t limit, int minutes) {
  means sum = {0, 0, 0};
  for (limiter_advice advice = 0; advice < ADVICES; advice++) {
    strangers_begin(count, rate_limit, kind, advice, limit);
    strangers_run(60000);
    strangers_measure();
    strangers_run(minutes * 60000);
    sum.delivered += (double)strangers_delivered() / minutes / ADVICES;
    sum.refused += (double)strangers_refused() / minutes / ADVICES;
    sum.fairness += strangers_fairness() / ADVICES;
    strangers_end();
  }
  return sum;
}

/* Now and then answers of 429 come in step with its pauses, and it stays below
   what it may for long. So each of many processes counts for a little. */
static void finds_a_wrong_limit(void) {
  for (limiter_kind kind = 0; kind < LIMITERS; kind++) {
    double delivered = 0, refused = 0;
    for (int i = 0; i < PROCESSES; i++) {
      means m = measure(1, 1000, kind, 300, MINUTES);
      delivered += m.delivered / PROCESSES;
      refused += m.refused / PROCESSES;
    }
    CHECK(delivered >= 280 && refused <= 4);
  }
}

static void shares_with_strangers(void) {
  static const int counts[] = {2, 4, 16};
  static const double most[] = {8, 12, 50};
  for (int i = 0; i < 3; i++)
    for (limiter_kind kind = 0; kind < LIMITERS; kind++) {
      means m = measure(counts[i], 1000, kind, 1000, MINUTES);
      CHECK(m.delivered >= 880 && m.refused <= most[i]);
      CHECK(m.fairness >= 0.85);
    }
}

/* Eight, of which the first wants eight times as much as the last, and all
   together a fifth more than there is. Returns the longest wait of the last
   one, in ms. */
static int64_t wait_of_last(limiter_kind kind, limiter_advice advice) {
  int64_t longest;
  strangers_begin(8, 1000, kind, advice, 1000);
  for (int i = 0; i < 8; i++) {
    strangers[i].demand = 1200 / 2.718 / (i + 1);
    strangers[i].comes = unit_now;
  }
  strangers_run(60000);
  strangers_measure();
  strangers_run(MINUTES * 60000);
  longest = strangers[7].longest_wait;
  strangers_end();
  return longest;
}

/* In the mean: one time in a few hundred, it waits for longer. */
static void starves_no_stranger(void) {
  const int times = 3;
  for (limiter_kind kind = 0; kind < LIMITERS; kind++) {
    int64_t sum = 0;
    for (limiter_advice advice = 0; advice < ADVICES; advice++)
      for (int i = 0; i < times; i++)
        sum += wait_of_last(kind, advice);
    CHECK(sum / (times * ADVICES) <= 75000);
  }
}

static void uses_what_is_left(void) {
  for (limiter_kind kind = 0; kind < GCRA; kind++) {
    strangers_begin(2, 1000, kind, (limiter_advice)unit_random(ADVICES), 1000);
    strangers_run(7 * 60000);
    strangers[1].gone = true;
    strangers_run(120000);
    strangers_measure();
    strangers_run(60000);
    CHECK(strangers_delivered() >= 950 * 85 / 100);
    strangers_end();
  }
}

/* A limit that holds: nothing is any different. */
static void changes_nothing_without_429(void) {
  static const seer_pauses none;
  for (limiter_kind kind = 0; kind < GCRA; kind++) {
    int64_t began = unit_now;
    strangers_begin(1, 1000, kind, EXACT, 1000);
    strangers_run(20000);
    CHECK(strangers_delivered() == 950); /* at once, 16 at a time */
    strangers_run(5 * 60000);
    CHECK(strangers_refused() == 0);
    CHECK(memcmp(strangers[0].endpoint->pauses, &none, sizeof none) == 0);
    CHECK(strangers_delivered() > 4 * 950 && unit_now > began);
    strangers_end();
  }
}

/* Processes that share a gate are as one. */
static void is_one_for_a_family(void) {
  for (limiter_kind kind = 0; kind < LIMITERS; kind++) {
    int64_t limit = kind == GCRA ? 300 : 1000;
    strangers_begin(4, 1000, kind, EXACT, limit);
    strangers_share_gate();
    strangers_run(60000);
    strangers_measure();
    strangers_run(MINUTES * 60000);
    if (kind != GCRA)
      CHECK(strangers_refused() == 0);
    CHECK(strangers_refused() <= 4 * MINUTES);
    CHECK(strangers_delivered() >= limit * 85 / 100 * MINUTES);
    CHECK(strangers_fairness() > 0.5);
    strangers_end();
  }
}

/* Of two that share a gate and always have something, the second has a smaller
   limit: that is for its own requests, and the larger one for all. One that
   may have half of all competes for it as an equal. */
static void gives_a_smaller_limit_its_own(void) {
  for (int64_t small = 10; small <= 500; small *= 7) {
    int64_t own = seer_gate_share(small), got;
    strangers_begin(2, 1000, SLIDING, EXACT, 950);
    strangers_share_gate();
    strangers_limit(1, small);
    strangers_run(60000);
    strangers_measure();
    strangers_run(MINUTES * 60000);
    got = strangers[1].delivered;
    CHECK(got >= own * MINUTES * 8 / 10 && got <= own * (MINUTES + 1));
    CHECK(strangers_refused() == 0);
    CHECK(strangers_delivered() >= 930 * MINUTES);
    strangers[0].gone = true; /* what is left is the smaller one's gate */
    strangers_run(2 * 60000);
    strangers_measure();
    strangers_run(MINUTES * 60000);
    got = strangers[1].delivered;
    CHECK(got >= own * (MINUTES - 1) && got <= own * (MINUTES + 1));
    strangers_end();
  }
}

/* Half of what the server takes is waited for: that goes at once, and what is
   queued gets a good part of the rest. Adds up answers of 429, and the longest
   waits of what is queued, in ms. */
static void serve_waiters(limiter_kind kind, int64_t *refused, int64_t *wait) {
  const stranger *s = &strangers[0];
  strangers_begin(1, 1000, kind, EXACT, 300);
  strangers[0].asks = 150;
  strangers_run(120000);
  strangers_measure();
  strangers_run(MINUTES * 60000);
  CHECK(s->answered >= s->asked * 95 / 100);
  CHECK(s->delivered - s->answered >= 30 * MINUTES);
  *refused += s->refused;
  *wait += s->longest_wait;
  strangers_end();
}

static void serves_waiters_under_a_gap(void) {
  const int times = 3;
  for (limiter_kind kind = 0; kind < LIMITERS; kind++) {
    int64_t refused = 0, wait = 0;
    for (int i = 0; i < times; i++)
      serve_waiters(kind, &refused, &wait);
    CHECK(refused <= times * 25 * MINUTES);
    CHECK(wait <= times * 150000);
  }
}

/*
** The pauses alone.
*/

#define SHARE 950

static seer_pauses pauses;

static void begin_test(void) {
  memset(&pauses, 0, sizeof pauses);
}

/* A pause of `lasts` ms for a 429, before which `got` had ended in `took`. */
static void hit(int64_t got, int64_t took, int64_t lasts) {
  uint32_t epoch = seer_pauses_epoch(&pauses);
  CHECK(seer_pauses_deepen(&pauses, epoch));
  seer_pauses_measure(&pauses, got, unit_now - took, unit_now);
  seer_pauses_extend(&pauses, unit_now + lasts);
  unit_now += lasts;
  seer_pauses_succeed(&pauses, epoch + 1, SHARE, unit_now);
  CHECK(seer_pauses_level(&pauses) == 0);
}

static int64_t rate(void) {
  return seer_pauses_rate(&pauses, SHARE, unit_now);
}

static bool is_between(int64_t value, int64_t least, int64_t most) {
  return value >= least && value <= most;
}

static void counts_once(void) {
  begin_test();
  CHECK(seer_pauses_deepen(&pauses, 0));
  for (int i = 0; i < 15; i++)
    CHECK(!seer_pauses_deepen(&pauses, 0));
  CHECK(seer_pauses_level(&pauses) == 1 && seer_pauses_epoch(&pauses) == 1);
}

static void measures(void) {
  begin_test();
  hit(300, 1000, 59000);
  CHECK(is_between(rate(), 300 * 85 / 100, 290) || rate() == SHARE / 3);
  begin_test();
  hit(301, 500, 59500);
  CHECK(rate() == 950 / 3); /* no less */
  begin_test();
  hit(10, 300, 500);
  CHECK(is_between(rate(), 600, 810));
}

static void cuts_within_bounds(void) {
  begin_test();
  for (int i = 0; i < 1000; i++) {
    int64_t old = rate(), least = SHARE / 50;
    bool bound = unit_random(4) > 0;
    pauses.held = bound ? unit_now : unit_now - 20000;
    hit(unit_random(1000), unit_random(60000), unit_random(9000));
    if (!bound && old < SHARE)
      CHECK(rate() >= old);
    else
      CHECK(is_between(rate(), old / 3 < least ? least - 1 : old / 3 - 1,
                       old * 113 / 100));
    CHECK(rate() >= least - 1);
    unit_now += unit_random(30000);
  }
}

static void grows(void) {
  int64_t cut;
  begin_test();
  hit(200, 60000, 0);
  pauses.held = unit_now;
  hit(0, 0, 0); /* again: far below the limit, so that there is room to grow */
  cut = rate();
  pauses.held = unit_now;
  unit_now += 60000;
  CHECK(is_between(rate() * 1000 / cut, 1110, 1140));
  unit_now += 40000;
  CHECK(is_between(rate() * 1000 / cut, 1850, 2050));
  unit_now += 20000;
  CHECK(is_between(rate() * 1000 / cut, 3200, 3500));
  pauses.held = unit_now + 600000;
  unit_now += 600000;
  CHECK(rate() == SHARE && pauses.gap != 0); /* it is still needed */
  unit_now += 10000;
  CHECK(rate() == SHARE && pauses.gap == 0);
}

static void ignores_other_answers(void) {
  begin_test();
  hit(300, 60000, 0);
  seer_pauses before = pauses;
  CHECK(seer_pauses_deepen(&pauses, seer_pauses_epoch(&pauses))); /* a 503 */
  seer_pauses_extend(&pauses, unit_now + 5000);
  seer_pauses_succeed(&pauses, seer_pauses_epoch(&pauses) - 1, SHARE,
                      unit_now);
  CHECK(seer_pauses_level(&pauses) == 1);
  CHECK(seer_pauses_delay(&pauses, SHARE, unit_now) == 5000);
  seer_pauses_succeed(&pauses, seer_pauses_epoch(&pauses), SHARE, unit_now);
  CHECK(seer_pauses_level(&pauses) == 0);
  CHECK(pauses.gap == before.gap && pauses.from == before.from);
}

/* However many are waited for. */
static void lets_something_queued_go(void) {
  int64_t queued = 0, stop, longest = 50 * 60000 / SHARE;
  begin_test();
  hit(200, 60000, 0);
  for (stop = unit_now + 60000; unit_now < stop; unit_now += 10) {
    seer_pauses_send(&pauses, SHARE, true, unit_now);
    if (seer_pauses_delay(&pauses, SHARE, unit_now) > 0)
      continue;
    seer_pauses_send(&pauses, SHARE, false, unit_now);
    queued++;
  }
  CHECK(is_between(queued, 60000 / longest - 1, 60000 / longest + 1));
  unit_now += longest; /* none is waited for any more */
  CHECK(seer_pauses_delay(&pauses, SHARE, unit_now) == 0);
}

/* Whoever tries may be killed. */
static void tries_alone(void) {
  int64_t probe, other;
  begin_test();
  CHECK(seer_pauses_try(&pauses, unit_now + 60000, &probe, unit_now));
  CHECK(probe == 0); /* nothing to try */
  seer_pauses_deepen(&pauses, 0);
  CHECK(seer_pauses_try(&pauses, unit_now + 1000, &probe, unit_now));
  CHECK(!seer_pauses_try(&pauses, unit_now + 1000, &other, unit_now));
  seer_pauses_go_on_trying(&pauses, &probe, 60000, unit_now);
  unit_now += 9999;
  CHECK(seer_pauses_delay(&pauses, SHARE, unit_now) == 1);
  CHECK(!seer_pauses_try(&pauses, unit_now + 1000, &other, unit_now));
  unit_now++;
  CHECK(seer_pauses_delay(&pauses, SHARE, unit_now) == 0);
  CHECK(seer_pauses_try(&pauses, unit_now + 1000, &other, unit_now));
  seer_pauses_end_try(&pauses, &probe); /* late: it is another's */
  CHECK(!seer_pauses_try(&pauses, unit_now + 1000, &probe, unit_now));
  seer_pauses_end_try(&pauses, &other);
  CHECK(seer_pauses_try(&pauses, unit_now + 1000, &probe, unit_now));
}

const unit_test unit_adapt[] = {
    {"without a 429 nothing is slowed down, and nothing is written",
     changes_nothing_without_429                                                                     },
    {"a client whose limit is wrong finds the right one",                       finds_a_wrong_limit  },
    {"2, 4 and 16 strangers share a limit",                                     shares_with_strangers},
    {"a stranger with little to send is not starved",                           starves_no_stranger  },
    {"a stranger uses what another one has left",                               uses_what_is_left    },
    {"processes that share a gate are as one",                                  is_one_for_a_family  },
    {"a smaller limit beside a larger one in a gate gets what it may",
     gives_a_smaller_limit_its_own                                                                   },
    {"what is waited for does not wait for the gap, nor starve what is queued",
     serves_waiters_under_a_gap                                                                      },
    {"what fails together counts once",                                         counts_once          },
    {"a 429 slows down to what was delivered before",                           measures             },
    {"a 429 slows down to a third at most, and 85 % at least",
     cuts_within_bounds                                                                              },
    {"a pace grows slowly for a minute, then fast, and is given up when it "
     "holds nobody",                                                       grows                },
    {"a pace changes by a 429 only, a pause ends by an answer to what came "
     "after",                                                              ignores_other_answers},
    {"under a gap something queued goes, however many are waited for",
     lets_something_queued_go                                                                        },
    {"one process tries whether a pause is over, unless it is killed",
     tries_alone                                                                                     },
    {NULL,                                                                      NULL                 },
};
