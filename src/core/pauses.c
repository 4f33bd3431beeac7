#include "pauses.h"

#include "base/clock.h"
#pragma GCC visibility push(hidden)

#define MINUTE 60000                /* ms */
#define MINUTE_US INT64_C(60000000) /* us */
#define STEP 10000                  /* ms in which the pace grows by a step */
#define SLOW_STEPS 6                /* before steps double */
#define SLOWEST INT64_C(50)         /* the longest gap, in the limit's own */
#define LEAST_MEASURED 50           /* ms */
#define ASK_AGAIN 1000              /* ms, while somebody tries */
#define TRY_MOST 10000 /* ms, for who tries may be killed meanwhile */
#define DEEPEST 3      /* a gap becomes so many times longer at most */
#define LONGEST INT64_C(2147483647) /* ms; no option is more */

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELEASE)
#define SWAP(word, seen, value)                                               \
  __atomic_compare_exchange_n(&(word), &(seen), value, false,                 \
                              __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

static uint64_t phase_of(uint32_t epoch, uint32_t level) {
  return (uint64_t)epoch << 32 | level;
}

static uint32_t epoch_of(uint64_t phase) {
  return (uint32_t)(phase >> 32);
}

static uint32_t level_of(uint64_t phase) {
  return (uint32_t)phase;
}

uint32_t seer_pauses_epoch(const seer_pauses *pauses) {
  return epoch_of(LOAD(pauses->phase));
}

int seer_pauses_level(const seer_pauses *pauses) {
  return (int)level_of(LOAD(pauses->phase));
}

int64_t seer_pauses_until(const seer_pauses *pauses) {
  return LOAD(pauses->until);
}

int64_t seer_pauses_since(const seer_pauses *pauses) {
  return LOAD(pauses->from);
}

/* By how much more is sent from a step on: 2 % in each of the first minute,
   for a rate is proven only when a whole window has passed at it; then twice
   as much each time, up to 32 %. */
static int64_t growth(int64_t step) {
  if (step < SLOW_STEPS)
    return 102;
  return step < SLOW_STEPS + 3 ? 100 + (4 << (step - SLOW_STEPS)) : 132;
}

/* The gap as it has shrunk until now. */
static int64_t gap_at(seer_pauses *pauses, int64_t share, int64_t now) {
  int64_t set = LOAD(pauses->gap), gap = set, least;
  if (set == 0 || share == 0)
    return 0;
  least = MINUTE_US / share;
  int64_t steps = (now - LOAD(pauses->from)) / STEP;
  for (int64_t step = 0; step < steps && gap > least; step++)
    gap = gap * 100 / growth(step);
  if (gap > least)
    return gap;
  if (now - LOAD(pauses->held) >= STEP && SWAP(pauses->gap, set, 0))
    return 0; /* it holds nobody */
  return least;
}

static int64_t gap_delay(seer_pauses *pauses, int64_t share, int64_t now) {
  int64_t next = (LOAD(pauses->tat) + 999) / 1000, last = LOAD(pauses->queued);
  if (gap_at(pauses, share, now) == 0)
    return 0;
  next = seer_clock_sooner(next, last + SLOWEST * MINUTE / share);
  return seer_clock_later(next - now, 0);
}

/* The probe does not wait for the gap. */
int64_t seer_pauses_delay(seer_pauses *pauses, int64_t share, int64_t now) {
  int64_t pause = seer_clock_later(LOAD(pauses->until) - now, 0);
  if (seer_pauses_level(pauses) > 0)
    return seer_clock_later(
        pause, seer_clock_sooner(LOAD(pauses->probe) - now, ASK_AGAIN));
  return seer_clock_later(pause, gap_delay(pauses, share, now));
}

bool seer_pauses_hold(seer_pauses *pauses, int64_t share, int64_t now) {
  if (LOAD(pauses->until) > now || seer_pauses_level(pauses) > 0 ||
      gap_delay(pauses, share, now) == 0)
    return false;
  STORE(pauses->held, now);
  return true;
}

bool seer_pauses_try(seer_pauses *pauses, int64_t over, int64_t *probe,
                     int64_t now) {
  int64_t seen = LOAD(pauses->probe);
  *probe = 0;
  if (seer_pauses_level(pauses) == 0)
    return true;
  if (seen > now || !SWAP(pauses->probe, seen, over))
    return false;
  *probe = over;
  return true;
}

void seer_pauses_go_on_trying(seer_pauses *pauses, int64_t *probe,
                              int64_t timeout, int64_t now) {
  int64_t seen = *probe, over;
  over = seer_clock_after(now, seer_clock_sooner(timeout, TRY_MOST));
  if (seen != 0 && SWAP(pauses->probe, seen, over))
    *probe = over;
}

void seer_pauses_end_try(seer_pauses *pauses, int64_t *probe) {
  int64_t seen = *probe;
  *probe = 0;
  if (seen != 0)
    SWAP(pauses->probe, seen, 0);
}

void seer_pauses_send(seer_pauses *pauses, int64_t share, bool waited,
                      int64_t now) {
  int64_t gap = gap_at(pauses, share, now), seen = LOAD(pauses->tat), next;
  if (gap == 0)
    return;
  do {
    next = seer_clock_later(seen, now * 1000) + gap;
    next = seer_clock_sooner(next, now * 1000 + SLOWEST * MINUTE_US / share);
  } while (!SWAP(pauses->tat, seen, next));
  if (!waited)
    STORE(pauses->queued, now);
}

bool seer_pauses_deepen(seer_pauses *pauses, uint32_t epoch) {
  uint64_t seen = LOAD(pauses->phase);
  while (epoch_of(seen) == epoch)
    if (SWAP(pauses->phase, seen, phase_of(epoch + 1, level_of(seen) + 1))) {
      STORE(pauses->probe, 0);
      return true;
    }
  return false;
}

void seer_pauses_measure(seer_pauses *pauses, int64_t got, int64_t oldest,
                         int64_t now) {
  STORE(pauses->got, got);
  STORE(pauses->oldest, oldest);
  STORE(pauses->hit, now);
}

void seer_pauses_extend(seer_pauses *pauses, int64_t until) {
  int64_t seen = LOAD(pauses->until);
  while (seen < until && !SWAP(pauses->until, seen, until))
    ;
}

/* The gap after a 429: 95 % of what was measured, but no less than a third of
   what there was before and no more than 85 %. The time that the pause took
   counts, so that a full window and a small bucket both come out right. */
static int64_t longer_gap(const seer_pauses *pauses, int64_t gap,
                          int64_t share, int64_t now) {
  int64_t got = LOAD(pauses->got), least = MINUTE_US / share;
  int64_t old = gap > 0 ? gap : least, wanted = old * DEEPEST;
  int64_t took = seer_clock_later(now - LOAD(pauses->oldest), LEAST_MEASURED);
  if (got > 0)
    wanted = seer_clock_sooner(wanted, took * 1000 * 100 / (95 * got));
  return seer_clock_sooner(seer_clock_later(wanted, old * 100 / 85),
                           SLOWEST * least);
}

/* A pause that began with a 429 is over. If the gap held nobody before, it was
   somebody else's doing. A reader sees a new gap with its own `from`. */
static void slow_down(seer_pauses *pauses, int64_t hit, int64_t share,
                      int64_t now) {
  int64_t gap = gap_at(pauses, share, now);
  STORE(pauses->from, now);
  if (gap == 0 || hit - LOAD(pauses->held) < STEP) {
    gap = longer_gap(pauses, gap, share, now);
    STORE(pauses->tat, now * 1000 + gap);
    STORE(pauses->queued, now);
  }
  STORE(pauses->gap, gap);
}

void seer_pauses_succeed(seer_pauses *pauses, uint32_t epoch, int64_t share,
                         int64_t now) {
  uint64_t phase = LOAD(pauses->phase);
  int64_t until = LOAD(pauses->until), hit = LOAD(pauses->hit);
  if (level_of(phase) == 0 || epoch_of(phase) != epoch ||
      !SWAP(pauses->phase, phase, phase_of(epoch, 0)))
    return;
  SWAP(pauses->until, until, 0);
  if (hit != 0 && SWAP(pauses->hit, hit, 0) && share > 0)
    slow_down(pauses, hit, share, now);
}

void seer_pauses_leave(const seer_pauses *pauses, seer_pauses *own) {
  *own = (seer_pauses){.phase = phase_of(seer_pauses_epoch(pauses) + 1, 0)};
}

int64_t seer_pauses_rate(seer_pauses *pauses, int64_t share, int64_t now) {
  int64_t gap = gap_at(pauses, share, now);
  return gap > 0 ? MINUTE_US / gap : share;
}

static bool is_within(const int64_t *word, int64_t most) {
  int64_t seen = LOAD(*word);
  return seen >= 0 && seen <= most;
}

/* Times that are over may be a little later than `now`, which others read
   after us. */
void seer_pauses_mend(seer_pauses *pauses, int64_t now) {
  int64_t past = now + MINUTE, most = now + LONGEST;
  if (!is_within(&pauses->until, most) || !is_within(&pauses->probe, most) ||
      !is_within(&pauses->hit, past) || !is_within(&pauses->got, LONGEST) ||
      !is_within(&pauses->oldest, past) ||
      !is_within(&pauses->gap, SLOWEST * MINUTE_US) ||
      !is_within(&pauses->from, past) ||
      !is_within(&pauses->tat, (past + SLOWEST * MINUTE) * 1000) ||
      !is_within(&pauses->queued, past) || !is_within(&pauses->held, past))
    *pauses = (seer_pauses){.phase = 0};
}

void seer_pauses_move(seer_pauses *to, const seer_pauses *from) {
  if (seer_pauses_level(to) == 0 && LOAD(to->until) == 0 && LOAD(to->gap) == 0)
    *to = *from;
}
