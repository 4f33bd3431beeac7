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

static bool is_wanted_for(size_t size, size_t backlog) {
  seer_lock();
  seer_spare_reach(size, backlog);
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
    taken[count] = seer_spare_take(SIZE);
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

const unit_test unit_spare[] = {
    {"memory is made ahead for a large backlog, and not for a small one",
     made_ahead                                                                  },
    {"memory that is made ahead has a bound",                             bounded},
    {NULL,                                                                NULL   },
};
