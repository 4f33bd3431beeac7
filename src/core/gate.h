#pragma once

/*
 * The budget of one API, which several processes share: its slots, and its
 * pauses. They were forked from one that had the module, or they have asked
 * the system for one segment of memory (share.h).
 *
 * A slot lets one request out. It is one word: the time at which it comes
 * free. Whoever takes it writes when the request will be over for sure, plus
 * the window; when the request ends, the word becomes that time plus the
 * window. There are as many slots as requests may be in a window, so however
 * the server counts, there are never more, whoever takes them. A burst within
 * the limit goes out at once. There is no lock, no sum and no owner: a process
 * that is killed leaves only true words, and what it held comes free by
 * itself.
 *
 * A limit that has more slots than there are words uses each word several
 * times in a window, and keeps it for so much shorter.
 *
 * All functions may be called at any time from anywhere, and wait for nobody.
 */

#include "base/claim.h"
#include "pauses.h"

#define SEER_GATE_WINDOW 60000 /* ms */
#define SEER_GATE_SLOTS 8128
#define SEER_GATE_NAME 4 /* words */

/* What a gate is in a fleet; see fleet.h. All zero: it is in none. */
typedef struct seer_membership {
  uint64_t name;
  uint64_t turn;  /* so often it was asked for */
  int64_t asking; /* somebody asks, until then; 0: nobody */
  int64_t good;   /* what was said last holds until then */
  int64_t due;    /* when to ask again... */
  int64_t soon;   /* ...or, where a slot was missed, then */
  int64_t peers;  /* gates there were in the fleet; 0: not known */
  int64_t owed;   /* slots to be given back as they come free */
  int64_t taken;  /* slots, since it was asked last... */
  int64_t missed; /* ...and 1: there was none for somebody */
  int64_t told;   /* 1: a pause of ours was told of */
  int64_t denied; /* so often in a row nothing was granted that was wanted */
} seer_membership;

typedef struct seer_gate {
  uint64_t name[SEER_GATE_NAME]; /* of what it is for; 0: nobody's */
  uint32_t hint;                 /* where to look for a free slot first */
  uint32_t top;                  /* slots from here on have never been used */
  uint32_t silent; /* 1: some request had no answer, and none has come since */
  uint64_t widest; /* the largest share that is in use, below when that ends */
  seer_pauses pauses;
  seer_membership member;
  int64_t slots[SEER_GATE_SLOTS];
} seer_gate;

/* Makes some gates that processes find which are forked from now on, whichever
   of them needs one first. */
void seer_gate_prepare(void);

/* The gate of the API of this hash; NULL without memory. Whoever is forked
   later shares it. Not thread-safe alone: two calls for one hash may make two
   gates. A segment is given up by `free`, too. */
seer_gate *seer_gate_new(uint64_t hash);
void seer_gate_free(seer_gate *gate);

/* Gives a gate that is all zeros a name, of which no word is 0; false if it
   has another one. */
bool seer_gate_claim(seer_gate *gate, const uint64_t name[SEER_GATE_NAME]);

/* Others may write to it, and be out of their mind: what cannot be true is
   made zero, for it could hold requests for ever. */
void seer_gate_mend(seer_gate *gate, int64_t now);

/* What `from` knows of requests and pauses holds in `to` from now on. Slots
   keep their index where that is free. */
void seer_gate_move(seer_gate *to, const seer_gate *from, int64_t share,
                    int64_t now);

/* How many of `rate_limit` requests a minute are used: 95 %, at least 1; 0 for
   no limit. */
int64_t seer_gate_share(int64_t rate_limit);

/* Who shares a gate may have different limits. The largest of those that were
   used in the last window is for all together; each is held to its own by
   itself. Says that a request goes under this share; and what the largest is,
   with this one. */
void seer_gate_use(seer_gate *gate, int64_t share, int64_t now);
int64_t seer_gate_widest(const seer_gate *gate, int64_t share, int64_t now);

/* Whether the fleet granted nothing when it was asked last. */
bool seer_gate_is_denied(const seer_gate *gate);

/* How many slots may be taken for a share: the first so many. */
uint32_t seer_gate_range(int64_t share);

/* Takes a slot for a request that begins, and is to be over at once; its index
   is -1 if none of the `share` is free. A share of 0, no limit, is counted for
   the others' sake, as far as there is room. */
seer_slot seer_gate_take(seer_gate *gate, int64_t share, int64_t now);

/* The request that begins has `timeout` ms. */
void seer_gate_lease(seer_gate *gate, seer_slot *slot, int64_t share,
                     int64_t timeout, int64_t now);

/* The request has ended; it went over the wire `times` times. Without an
   answer it counts for as long as it was given, and from the next answer to
   any request anew: a server that stands still reads it when it goes on. */
void seer_gate_end(seer_gate *gate, seer_slot slot, int64_t share, int times,
                   bool answered, int64_t now);

/* Milliseconds until a slot is free: 0 now, SEER_NEVER when only the end of a
   request, or the fleet, can tell. Of a fleet that has denied one again and
   again nothing is hoped for. */
int64_t seer_gate_delay(const seer_gate *gate, int64_t share, int64_t now);

/* How many requests have ended after `from` and not after `to`, and when the
   first of them did; `to` if there was none. */
int64_t seer_gate_count(const seer_gate *gate, int64_t share, int64_t from,
                        int64_t to, int64_t *first);

/* In a fleet a slot may be lent: it is another machine's, and free only when
   nothing is heard of the fleet. Lends all free ones of the share but `keep`;
   the result is how many were kept, and `*used` how many are not free. */
int64_t seer_gate_lend(seer_gate *gate, int64_t share, int64_t keep,
                       int64_t *used, int64_t now);

/* Makes up to `count` lent ones free. */
void seer_gate_regain(seer_gate *gate, int64_t share, int64_t count);

/* In how many ms the last slot that is used comes free; 0: none is. */
int64_t seer_gate_reach(const seer_gate *gate, int64_t now);

/* Whether all slots are free, and no pause holds anybody. */
bool seer_gate_is_idle(const seer_gate *gate, int64_t now);
