#pragma once

/*
 * The age of an event over processes, restarts and changes of the clock: by
 * the clock of the boot, which nobody sets, as long as that is the same, else
 * by the time of day. In another time namespace the boot is another.
 */

#include <stdint.h>

typedef struct seer_age_moment {
  int64_t boot;       /* a hash of its id; 0: not known, and never the same */
  int64_t mono, wall; /* ms */
} seer_age_moment;

/* ms since some moment of this boot, suspended or not. */
int64_t seer_age_now(void);

int64_t seer_age_boot(void);

seer_age_moment seer_age_moment_now(int64_t boot);

/* How old something is of that moment, whatever that says; not less than 0. */
int64_t seer_age_of(const seer_age_moment *moment, const seer_age_moment *now);
