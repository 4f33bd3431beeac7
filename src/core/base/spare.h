#pragma once

/*
 * Memory of events that are settled, kept for those to come.
 *
 * What one thread allocates and another frees costs both of them; and malloc
 * gives what a burst has left behind back to the system, page by page, only
 * to ask for it again with the next. So some of it stays here, until there
 * has been nothing to send for a while. The others take the lock.
 */

#include <stdbool.h>
#include <stddef.h>

/* As malloc. */
void *seer_spare_take(size_t size);

/* With the lock held: the next of this size is likely to be taken soon. */
void seer_spare_reach(size_t size);

/* With the lock held: takes back what was taken with this size; false if it is
   to be freed, without the lock. */
bool seer_spare_keep(void *memory, size_t size);

/* Frees all that is kept. */
void seer_spare_free(void);
