#pragma once

/*
 * What is known of the names of hosts: a small table, so that a name is
 * looked up once, however many want to know. Only if that takes long, it is
 * again, a few times: the resolver may answer by now, but not the question
 * that it has lost. Names that are being looked up stay; of the others, the
 * one that was looked up longest ago makes room. No resolver and no thread is
 * in here, see http/lookup.c.
 *
 * A table whose bytes are zero is empty. All is called with the lock held.
 * Times are in ms, of a clock that goes on in a suspend.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEER_NAMES 16
#define SEER_NAME_SIZE 256      /* bytes of a host, with a zero */
#define SEER_ADDRESSES_SIZE 512 /* bytes of its addresses, with a zero */
#define SEER_NAME_AGE 60000     /* ms for which its addresses are good */
#define SEER_NAME_LONG 5000     /* ms until another may look it up, too */
#define SEER_NAME_MOST 4        /* who do so at a time */

typedef struct seer_name {
  char host[SEER_NAME_SIZE];
  char addresses[SEER_ADDRESSES_SIZE]; /* "192.0.2.1,[2001:db8::1]", or "" */
  bool wanted;        /* to be looked up by whoever takes it */
  int takers;         /* who look it up */
  int64_t taken_at;   /* when the last of them began */
  int64_t settled_at; /* when a look-up last ended */
  bool doubtful;      /* could not be reached there */
} seer_name;

typedef struct seer_names {
  seer_name all[SEER_NAMES];
} seer_names;

typedef enum seer_name_state {
  SEER_NAME_UNKNOWN, /* it is to be looked up */
  SEER_NAME_PENDING, /* it is being looked up */
  SEER_NAME_KNOWN,
  SEER_NAME_FAILED /* it was looked up in vain */
} seer_name_state;

/* The entry of a host, in whatever case; NULL if it has none. */
seer_name *seer_names_find(seer_names *names, const char *host, size_t length);

/* The same, and it gets one if it has none. NULL if the host is too long, or
   every entry is of a name that is being looked up. */
seer_name *seer_names_add(seer_names *names, const char *host, size_t length);

/* What to make of an entry for one who has wanted to know since `since`: that
   nothing was found counts only if it was so later. */
seer_name_state seer_name_judge(const seer_name *name, int64_t since,
                                int64_t now);

/* Makes it a wanted one; false if there are enough who look it up. */
bool seer_name_want(seer_name *name, int64_t now);

/* A wanted name, whose entry stays until the caller is none of its takers any
   more; or NULL. */
seer_name *seer_names_take(seer_names *names, int64_t now);

/* A look-up has ended with these addresses. NULL: it could not be made, and
   those that the name had are good for another while. */
void seer_name_settle(seer_name *name, const char *addresses, int64_t now);

/* In the child of a fork: nothing is being looked up. Not `whole`: entries of
   names that were may be in the middle of a change. */
void seer_names_forget(seer_names *names, bool whole);
