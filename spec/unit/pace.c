#include "core/pace.h"

#include "core/base/clock.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define MOST 100000

static int compare(const void *one, const void *other) {
  int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
  return a < b ? -1 : a > b;
}

/* The model: when each slot that was taken comes free, and how many requests
   have not ended. */
static int64_t freed[MOST];
static int slots, flying;
static seer_pace pace;

static void begin_test(void) {
  memset(&pace, 0, sizeof pace);
  slots = flying = 0;
}

static int64_t end_of_step(int64_t time) {
  return time / SEER_PACE_STEP * SEER_PACE_STEP + SEER_PACE_STEP;
}

static int64_t model_share(int64_t limit) {
  return limit * 95 / 100 > 1 ? limit * 95 / 100 : 1;
}

static int64_t model_delay(int64_t limit) {
  static int64_t taken[MOST];
  int64_t count = 0, excess;
  for (int i = 0; i < slots; i++)
    if (freed[i] > unit_now)
      taken[count++] = freed[i];
  excess = count + flying - model_share(limit) + 1;
  if (excess <= 0)
    return 0;
  if (excess > count)
    return SEER_NEVER;
  qsort(taken, (size_t)count, sizeof taken[0], compare);
  return taken[excess - 1] - unit_now;
}

static int64_t delay_at(int64_t limit, int64_t now) {
  return seer_pace_delay(&pace, flying, model_share(limit), now);
}

static void end(int times) {
  seer_pace_end(&pace, times, unit_now);
  for (flying--; times > 0; times--)
    freed[slots++] = end_of_step(unit_now) + SEER_PACE_WINDOW;
}

static void follows_a_list(void) {
  static const int64_t limits[] = {1, 2, 3, 20, 21, 100, 105, 1000};
  begin_test();
  for (int i = 0; i < 5000; i++) {
    int64_t limit = limits[unit_random(8)];
    CHECK(delay_at(limit, unit_now) == model_delay(limit));
    if (unit_random(3) == 0)
      unit_now += unit_random(unit_random(20) == 0 ? 70000 : 500);
    flying += (int)unit_random(4);
    for (int64_t n = unit_random(4); n > 0 && flying > 0; n--)
      end((int)unit_random(8) == 0 ? (int)unit_random(4) : 1);
  }
}

static void says_when_to_ask(void) {
  begin_test();
  for (int i = 0; i < 2000; i++) {
    int64_t limit = 1 + unit_random(30);
    int64_t delay = delay_at(limit, unit_now);
    if (delay == 0)
      flying++;
    else if (delay == SEER_NEVER)
      end(1);
    if (delay > 0 && delay != SEER_NEVER) {
      CHECK(delay_at(limit, unit_now + delay - 1) > 0);
      unit_now += delay;
      CHECK(delay_at(limit, unit_now) == 0);
    }
  }
}

/* Requests in flight: each will be counted by the server, and end. */
typedef struct request {
  int64_t ends;
} request;

/* Seventeen minutes of a sender that always has something. The server counts
   a request at any moment while it is in flight. */
static void holds_at_a_server(void) {
  static int64_t counted[MOST];
  static request requests[1000];
  int64_t stop = unit_now + 17 * 60000 + unit_random(1000);
  int64_t limit = 20 + unit_random(1000), share = model_share(limit);
  int64_t longest = 1 + unit_random(5000);
  int sent = 0, open = 0;
  begin_test();
  for (; unit_now < stop; unit_now += 7) {
    for (int i = 0; i < open; i++)
      if (requests[i].ends <= unit_now) {
        end(1);
        requests[i--] = requests[--open];
      }
    while (open < 1000 && delay_at(limit, unit_now) == 0) {
      int64_t takes = unit_random(longest);
      flying++;
      counted[sent++] = unit_now + unit_random(takes + 1);
      requests[open++].ends = unit_now + takes;
    }
  }
  qsort(counted, (size_t)sent, sizeof counted[0], compare);
  for (int i = (int)share; i < sent; i++)
    CHECK(counted[i] - counted[i - share] >= SEER_PACE_WINDOW);
  CHECK(sent > 15 * share); /* it is not stingy either */
}

const unit_test unit_pace[] = {
    {"pace says what a list of all requests would",                          follows_a_list  },
    {"pace says to the millisecond when to ask again",                       says_when_to_ask},
    {"pace never shows a server more than 95 % in a minute, for 17 minutes",
     holds_at_a_server                                                                       },
    {NULL,                                                                   NULL            }
};
