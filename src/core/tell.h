#ifndef SEER_TELL_H
#define SEER_TELL_H

/*
 * One-line messages on the standard error: what must be visible where
 * nobody asks for it, such as a wrong key. A message never contains the key
 * (whoever makes it has masked it), never breaks the line, and the same
 * kind of trouble is told once and then summed up at intervals.
 */

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define SEER_TELL_INTERVAL 300000 /* ms between summaries of one trouble */

/* A kind of trouble, and what has been told of it; all zero at first. */
typedef struct seer_trouble {
  int64_t told_at; /* monotonic ms; 0: never */
  int64_t untold;  /* times it happened since */
} seer_trouble;

/* Counts one more occurrence; true if it is time to tell, with the number
   that went untold before this one in `*untold`. */
bool seer_trouble_happened(seer_trouble *trouble, int64_t now,
                           int64_t *untold);

/* Writes "seerstack: ...\n" with one write. Control characters become
   spaces; what is too long for a line is cut. */
void seer_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#pragma GCC visibility pop

#endif
