#pragma once

/*
 * Memory of events that are settled, kept for those to come.
 *
 * What one thread allocates and another frees costs both of them; and malloc
 * gives what a burst has left behind back to the system, page by page, only
 * to ask for it again with the next. So some of it stays here, until there
 * has been nothing to send for a while. And where a backlog grows, the thread
 * that sends asks the system for memory in time, which the caller would
 * otherwise do with every page.
 */

#include <stdbool.h>
#include <stddef.h>

/* What glibc's and musl's malloc add to a block, which they round up then. */
#define SEER_SPARE_SHARE 8

/* Some blocks that one client's thread has at hand, which it alone takes, and
   without the lock: those of other clients would come from other cores. All
   zero at first. */
#define SEER_HAND_KINDS 4
typedef struct seer_hand {
  struct seer_handful {
    void *blocks; /* a list */
    size_t kind;  /* of their size */
  } of[SEER_HAND_KINDS];
} seer_hand;

/* As malloc. `hand` may be NULL. */
void *seer_spare_take(seer_hand *hand, size_t size);

/* With the lock held, by whom the hand belongs to: the next of this size is
   likely to be taken soon, and many more if there is a backlog of many
   bytes. */
void seer_spare_reach(seer_hand *hand, size_t size, size_t backlog);

/* Frees what is at hand. */
void seer_spare_let_go(seer_hand *hand);

/* Whether blocks are to be made for that; makes them, if so. */
bool seer_spare_is_wanted(void);
void seer_spare_make(void);

/* With the lock held: takes back what was taken with this size; false if it is
   to be freed, without the lock. */
bool seer_spare_keep(void *memory, size_t size);

/* Frees all that is kept. */
void seer_spare_free(void);
