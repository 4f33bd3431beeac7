#pragma once

/*
 * Memory of events that are settled, kept for those to come.
 *
 * What one thread allocates and another frees costs both of them; and malloc
 * gives what a burst has left behind back to the system, page by page, only
 * to ask for it again with the next. So some of it stays here, until there
 * has been nothing to send for a while. All functions take the lock.
 */

#include <stddef.h>

/* As malloc. */
void *seer_spare_take(size_t size);

/* Takes back what was taken with this size. */
void seer_spare_give(void *memory, size_t size);

/* Frees all that is kept. */
void seer_spare_free(void);
