#pragma once

/*
 * JSON text, checked but not decoded: RFC 8259, in valid UTF-8. A surrogate
 * that is escaped without its other half is refused, for it is no character.
 *
 * The text ends with a zero, which is not counted. The first problem ends
 * the scan.
 */

#include <stdbool.h>
#include <stddef.h>

#define SEER_SCAN_DEPTH 100 /* levels of arrays and objects */

typedef enum seer_scan_problem {
  SEER_SCAN_OK = 0,
  SEER_SCAN_SYNTAX,
  SEER_SCAN_ENCODING, /* not UTF-8 */
  SEER_SCAN_TOO_DEEP
} seer_scan_problem;

typedef struct seer_scan {
  const char *at, *end; /* where it is; with a problem, where that is */
  int depth, deepest;   /* levels around the value in turn; the most so far */
  seer_scan_problem problem;
} seer_scan;

/* What an array or object has. */
typedef struct seer_member {
  const char *key, *key_end; /* with its quotes; NULL in an array */
  const char *value, *value_end;
  char closing; /* the bracket that ends the whole */
} seer_member;

void seer_scan_init(seer_scan *scan, const char *text, size_t length);

/* Reads one value, with blanks before and after it, which is all there is.
   Its first byte and what follows it go to `value` and `value_end`. */
bool seer_scan_text(seer_scan *scan, const char **value,
                    const char **value_end);

/* Begins with the array or object at `at`. */
void seer_scan_open(seer_scan *scan, seer_member *member);

/* Reads its next member; false after the last, or at a problem. */
bool seer_scan_next(seer_scan *scan, seer_member *member);
