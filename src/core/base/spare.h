#pragma once

/*
 * Memory of events that are settled, kept for those to come.
 *
 * What one thread allocates and another frees costs both of them; and malloc
 * gives what a burst has left behind back to the system, page by page, only
 * to ask for it again with the next. So some of it stays here, until there
 * has been nothing to send for a while. And where a backlog grows, the thread
 * that sends asks the system for memory in time, which the caller would
 * otherwise do with every page. The others take the lock.
 */

#include <stdbool.h>
#include <stddef.h>

/* As malloc. */
void *seer_spare_take(size_t size);

/* With the lock held: the next of this size is likely to be taken soon, and
   many more if there is a backlog of many bytes. */
void seer_spare_reach(size_t size, size_t backlog);

/* Whether blocks are to be made for that; makes them, if so. */
bool seer_spare_is_wanted(void);
void seer_spare_make(void);

/* With the lock held: takes back what was taken with this size; false if it is
   to be freed, without the lock. */
bool seer_spare_keep(void *memory, size_t size);

/* Frees all that is kept. */
void seer_spare_free(void);
