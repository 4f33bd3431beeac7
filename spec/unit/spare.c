#include "core/base/spare.h"
#include "core/base/thread.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#ifdef SEER_SPARE_MOST
#define KEPT SEER_SPARE_MOST
#else
#define KEPT 1048576
#endif

#define SIZE 200
#define LARGE ((size_t)1 << 30)

static seer_hand hand;

static bool is_wanted_for(size_t size, size_t backlog) {
  seer_lock();
  seer_spare_reach(&hand, size, backlog);
  seer_unlock();
  return seer_spare_is_wanted();
}

/* A piece at a time, as many as are wanted. */
static void make_all(void) {
  for (int i = 0; i < 1000 && seer_spare_is_wanted(); i++)
    seer_spare_make();
  CHECK(!seer_spare_is_wanted());
}

/* Takes blocks until more are wanted, and writes to all of them; how many. */
static int take_until_wanted(void) {
  static char *taken[10000];
  int count = 0;
  do {
    taken[count] = seer_spare_take(&hand, SIZE);
    CHECK(taken[count] != NULL);
    memset(taken[count], count % 251, SIZE);
    count++;
  } while (count < 10000 && !is_wanted_for(SIZE, LARGE));
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < SIZE; j++)
      CHECK(taken[i][j] == (char)(i % 251));
    free(taken[i]);
  }
  return count;
}

static void made_ahead(void) {
  make_all();
  seer_spare_let_go(&hand);
  seer_spare_free();
  seer_spare_make(); /* nothing is wanted */
  CHECK(!is_wanted_for(SIZE, 200000));
  CHECK(is_wanted_for(SIZE, LARGE) == (KEPT > 0));
  for (int i = 0; i < 3 && KEPT > 0; i++) {
    make_all();
    CHECK(!is_wanted_for(SIZE, LARGE));
    int count = take_until_wanted();
    CHECK(count > 500 && count < 10000);
  }
  make_all();
  seer_spare_free();
}

static void bounded(void) {
  size_t kinds = 0;
  make_all();
  seer_spare_free();
  for (size_t size = SIZE; size < 2000; size += 16) {
    if (!is_wanted_for(size, LARGE))
      continue;
    make_all();
    kinds++;
  }
  CHECK(kinds == (KEPT > 0 ? 2 : 0)); /* which take all */
  seer_spare_free();
  CHECK(is_wanted_for(SIZE, LARGE) == (KEPT > 0));
  make_all();
  seer_spare_free();
}

#define HANDS 3
#define OUT 400 /* blocks that are in use at once */

static struct {
  unsigned char *bytes;
  size_t size;
  unsigned char mark;
} out[OUT];

/* What somebody has in use nobody else gets, and nothing writes to. */
static void check_marks(int i) {
  for (size_t at = 0; at < out[i].size; at++)
    CHECK(out[i].bytes[at] == out[i].mark);
}

static void use(seer_hand *mine, int i, size_t backlog) {
  bool knows = unit_random(8) > 0;
  out[i].size = 180 + (size_t)unit_random(120);
  out[i].bytes = seer_spare_take(knows ? mine : NULL, out[i].size);
  out[i].mark = (unsigned char)unit_random(256);
  CHECK(out[i].bytes != NULL);
  memset(out[i].bytes, out[i].mark, out[i].size);
  seer_lock();
  seer_spare_reach(mine, out[i].size, backlog);
  seer_unlock();
}

static void give_back(int i) {
  bool kept;
  check_marks(i);
  seer_lock();
  kept = seer_spare_keep(out[i].bytes, out[i].size);
  seer_unlock();
  CHECK(!kept || KEPT > 0);
  if (!kept)
    free(out[i].bytes);
  out[i].bytes = NULL;
}

static void at_hand(void) {
  static seer_hand hands[HANDS];
  memset(out, 0, sizeof out);
  for (int step = 0; step < 50000; step++) {
    int i = (int)unit_random(OUT);
    seer_hand *mine = &hands[unit_random(HANDS)];
    if (out[i].bytes != NULL)
      give_back(i);
    else
      use(mine, i, unit_random(2) == 0 ? 0 : LARGE / 1000);
    if (unit_random(100) == 0)
      seer_spare_make();
    if (unit_random(1000) == 0)
      seer_spare_free();
    if (unit_random(1000) == 0)
      seer_spare_let_go(mine);
  }
  for (int i = 0; i < OUT; i++)
    if (out[i].bytes != NULL)
      give_back(i);
  for (int i = 0; i < HANDS; i++)
    seer_spare_let_go(&hands[i]);
  make_all();
  seer_spare_free();
}

/* A client with little in its queue has one block at hand of a size, and one
   with much some: so many that are taken though nothing is kept any more. */
static int count_at_hand(size_t backlog) {
  int made = 0;
  seer_hand mine = {.of = {{.blocks = NULL}}};
  void *blocks[20];
  for (int i = 0; i < 20; i++)
    blocks[i] = malloc(SIZE + 15); /* as large as those of the kind */
  seer_lock();
  for (int i = 0; i < 20; i++)
    CHECK(seer_spare_keep(blocks[i], SIZE));
  seer_spare_reach(&mine, SIZE, backlog);
  seer_unlock();
  seer_spare_free();
  for (struct seer_handful *of = mine.of; of < mine.of + SEER_HAND_KINDS; of++)
    for (void **block = of->blocks; block != NULL; block = *block)
      made++;
  seer_spare_let_go(&mine);
  return made;
}

static void by_backlog(void) {
  if (KEPT == 0)
    return;
  make_all();
  seer_spare_free();
  CHECK(count_at_hand(SIZE) == 1);
  int many = count_at_hand(LARGE / 1000);
  CHECK(many > 1 && many <= 8);
}

const unit_test unit_spare[] = {
    {"memory is made ahead for a large backlog, and not for a small one",
     made_ahead                                                                     },
    {"memory that is made ahead has a bound",                             bounded   },
    {"a block is in one place, whoever has it at hand",                   at_hand   },
    {"more blocks are at hand where more is queued",                      by_backlog},
    {NULL,                                                                NULL      },
};
