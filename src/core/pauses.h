#pragma once

/*
 * When those who send to one API hold back: for a while when it refuses or
 * fails, and by a slower pace after a 429.
 *
 * A step of backing off pauses what is queued. After the pause one request
 * tries, the probe; if it fails, too, the next step is longer. What was sent
 * before a step tells nothing of whether the API works again: each attempt
 * carries the number of steps at its start, its epoch.
 *
 * A 429 says that others use the same key, or that rate_limit is wrong. When
 * the probe has come through, requests go out with a gap between them, from
 * what was delivered before the 429. The gap shrinks in steps of ten seconds,
 * slowly for a minute and then fast, until the limit's own rate is reached;
 * it is given up when it holds nobody. Without a 429 there is no gap.
 *
 * Several processes share these words (gate.h). Each is true by itself,
 * whoever dies between changing two: at worst a pause is shorter, or the pace
 * grows anew. Nobody waits for anybody.
 */

#include <stdbool.h>
#include <stdint.h>

#define SEER_PAUSES_DELAY_MOST 8000 /* ms that a 429 doubles delays up to */

/* All zero at first. Times are monotonic ms, but for gap and tat. */
typedef struct seer_pauses {
  uint64_t phase; /* the epoch, and below it 32 bits of level: 0 is not backing
                     off; else failed probes + 1 */
  int64_t until;  /* what is queued waits */
  int64_t probe;  /* until then somebody tries; 0: nobody does */
  int64_t hit;    /* when this pause had its first 429; 0: none */
  int64_t got;    /* requests that ended in the minute before... */
  int64_t oldest; /* ...of which this was the first */
  int64_t gap;    /* us between requests, at `from`; 0: no gap */
  int64_t from;   /* when the gap was set, or began to shrink anew */
  int64_t tat;    /* us, when the next request may go */
  int64_t queued; /* when something queued went last, under a gap */
  int64_t held;   /* when the gap held a request last */
} seer_pauses;

uint32_t seer_pauses_epoch(const seer_pauses *pauses);
int seer_pauses_level(const seer_pauses *pauses);
int64_t seer_pauses_until(const seer_pauses *pauses);

/* In what follows, `share` is how many requests a minute may be sent without
   a gap; 0 is no limit, and there is never a gap. */

/* Milliseconds until a queued request may go, or it is worth to ask again
   because somebody tries; 0 now. */
int64_t seer_pauses_delay(seer_pauses *pauses, int64_t share, int64_t now);

/* Says that a request was ready which the delay above held; the result is
   whether that is the gap's doing. */
bool seer_pauses_hold(seer_pauses *pauses, int64_t share, int64_t now);

/* Begins to try, until `over`: true, and `*probe` is what to end it with; or
   somebody else does. True, and 0, when there is nothing to try. And goes on
   with a request that has so much time: for ten seconds at most, after which
   another may try as well. */
bool seer_pauses_try(seer_pauses *pauses, int64_t over, int64_t *probe,
                     int64_t now);
void seer_pauses_go_on_trying(seer_pauses *pauses, int64_t *probe,
                              int64_t timeout, int64_t now);
void seer_pauses_end_try(seer_pauses *pauses, int64_t *probe);

/* A request is being sent. One that is waited for does not wait for the gap,
   but makes what is queued wait: no longer than for the longest gap, though,
   however many are waited for. */
void seer_pauses_send(seer_pauses *pauses, int64_t share, bool waited,
                      int64_t now);

/* An attempt of this epoch has failed. True for the first to say so: a new
   step begins. */
bool seer_pauses_deepen(seer_pauses *pauses, uint32_t epoch);

/* The first failure of a pause is a 429, before which `got` requests had ended
   in a minute, or since seer_pauses_since, the first of them at `oldest`. */
void seer_pauses_measure(seer_pauses *pauses, int64_t got, int64_t oldest,
                         int64_t now);
int64_t seer_pauses_since(const seer_pauses *pauses);

/* What is queued waits until `until` at least. */
void seer_pauses_extend(seer_pauses *pauses, int64_t until);

/* An attempt of this epoch was good: the pause is over, unless a step has
   begun since. */
void seer_pauses_succeed(seer_pauses *pauses, uint32_t epoch, int64_t share,
                         int64_t now);

/* Makes pauses of one's own, which begin with none. Of what is in flight,
   nothing tells anything any more. */
void seer_pauses_leave(const seer_pauses *pauses, seer_pauses *own);

/* What cannot be true is made none. */
void seer_pauses_mend(seer_pauses *pauses, int64_t now);

/* Where there are none and there is no gap, others take their place. */
void seer_pauses_move(seer_pauses *to, const seer_pauses *from);

/* How many requests a minute may be sent at present; 0: any number. */
int64_t seer_pauses_rate(seer_pauses *pauses, int64_t share, int64_t now);
