#pragma once

/*
 * Looking up the names of hosts. libcurl would do so on a thread
 * for each connection that it opens, and on the caller's where it gets none;
 * nothing bounds the one, or interrupts the other. Here each name is looked up
 * once at a time, on a thread that nobody waits for, for all requests; and
 * where no thread can be had, on the caller's only if that has the time.
 *
 * A name is given as a target, "host:port", of which the port does not matter.
 */

#include "core/base/names.h"

/* What is known of a target for one who has wanted to know since `since` (of
   seer_clock_boot). If it is known, `addresses` (or NULL) gets them, as
   CURLOPT_RESOLVE takes them. Takes the lock, like all of these. */
seer_name_state seer_lookup(const char *target, int64_t since,
                            char addresses[SEER_ADDRESSES_SIZE]);

/* Has a thread look it up, which then rings the alarm, unless one does so.
   False if the system refuses the thread. */
bool seer_lookup_start(const char *target, int alarm);

/* For when it cannot be looked up: what was known of it is good for another
   while. False if nothing was. */
bool seer_lookup_keep(const char *target);

/* Its addresses lead nowhere: whoever wants them next has it looked up. */
void seer_lookup_doubt(const char *target);

/* Looks it up on the caller's thread, however long that takes. */
void seer_lookup_here(const char *target);

/* Whether that may be begun by one who has `left` ms. */
bool seer_lookup_has_time(int64_t left);

/* Whether the system grants threads, as far as one can know. The first call
   of a process may start one to find out. */
bool seer_lookup_has_threads(void);

/* In the child of a fork, where nobody looks anything up; with the lock held.
   See seer_names_forget. */
void seer_lookup_forget(bool whole);
