#pragma once

/*
 * One-line messages on the standard error: what must be visible where
 * nobody asks for it, such as a wrong key. A message never contains the key
 * (whoever makes it has masked it), never breaks the line, and the same
 * kind of trouble is told once and then summed up at intervals.
 */

#include <stdint.h>

#define SEER_TELL_INTERVAL 300000 /* ms between summaries of one trouble */
#define SEER_TELL_LENGTH 3000     /* of a line, at most */

/* How much a message matters; a client tells those up to its level. */
typedef enum seer_level {
  SEER_OFF,   /* of a client only: nothing is told */
  SEER_ERROR, /* events are lost */
  SEER_WARN,  /* something is wrong; events are kept */
  SEER_INFO,  /* something has changed */
  SEER_DEBUG, /* every request and answer */
  SEER_LEVELS
} seer_level;

/* "off", "error", "warn", "info", "debug" */
extern const char *const seer_level_names[SEER_LEVELS];

/* A kind of trouble, and what has been told of it; all zero at first. */
typedef struct seer_trouble {
  int64_t told_at; /* monotonic ms; 0: never */
  int64_t untold;  /* times it happened since */
} seer_trouble;

/* Kinds of trouble that are told. */
typedef enum seer_trouble_kind {
  SEER_TROUBLE_UNREACHABLE, /* no answer */
  SEER_TROUBLE_FAILING,     /* 408, 5xx: the service is ill */
  SEER_TROUBLE_REFUSED,     /* 401, 404...: key, URL or plan is wrong */
  SEER_TROUBLE_LIMITED,     /* 429 */
  SEER_TROUBLE_REJECTED,    /* an event is at fault, and lost */
  SEER_TROUBLE_DOUBTFUL,    /* delivered, by an answer that is not the API's */
  SEER_TROUBLE_OVER,        /* none: events are delivered again */
  SEER_TROUBLE_SHORT,       /* more events come than may go */
  SEER_TROUBLES
} seer_trouble_kind;

/* Counts one more occurrence. If it is time to tell, how often it went untold
   before; else -1. */
int64_t seer_trouble_happened(seer_trouble *trouble, int64_t now);

/* The same for one that happens now. Takes the lock. */
int64_t seer_trouble_now(seer_trouble *trouble);

/* Writes "seerstack: warn: ...\n" with one write. Control characters become
   spaces; what is too long for a line is cut. */
void seer_tell(seer_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, with the number of times that it went untold. */
void seer_tell_again(seer_level level, int64_t untold, const char *text);
