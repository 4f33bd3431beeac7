#pragma once

/*
 * Time in milliseconds. Everything that is waited for or measured uses the
 * monotonic clock; the wall clock appears in events' timestamps and in HTTP
 * dates only, so that setting a machine's clock moves no deadline.
 */

#include <stdint.h>

#define SEER_NEVER INT64_MAX /* a deadline that is never reached */

/* The largest wall time that has four digits for its year, in ms. */
#define SEER_CLOCK_LAST INT64_C(253402300799999)

/* Length of seer_clock_stamp's text, without the terminating zero. */
#define SEER_ISO8601_LENGTH 24

/* Monotonic milliseconds; the origin means nothing. */
int64_t seer_clock_now(void);

/* The same, read at a fraction of the price, and behind by that much at
   most. */
#define SEER_CLOCK_COARSENESS 10
int64_t seer_clock_coarse(void);

/* Monotonic, but goes on while the system sleeps: for the age of what others
   may have forgotten meanwhile. */
int64_t seer_clock_boot(void);

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t seer_clock_wall(void);

/* now + delay, without passing SEER_NEVER. */
int64_t seer_clock_after(int64_t now, int64_t delay);

/* Of two times, or two spans of it. */
static inline int64_t seer_clock_sooner(int64_t one, int64_t other) {
  return one < other ? one : other;
}

static inline int64_t seer_clock_later(int64_t one, int64_t other) {
  return one > other ? one : other;
}

/* A text that is written often: most times share their second with the one
   before, if not the millisecond. All zeros to begin with. */
typedef struct seer_stamp {
  int64_t wall; /* what the text says, + 1; 0: there is none */
  char text[SEER_ISO8601_LENGTH + 1];
} seer_stamp;

/* "2025-01-04T12:00:00.000Z" for a wall time from 0 to SEER_CLOCK_LAST, in
   `stamp`. */
const char *seer_clock_stamp(seer_stamp *stamp, int64_t wall);
