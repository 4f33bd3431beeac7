#include "gate.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/os.h"

#include <stdint.h>
#pragma GCC visibility push(hidden)

#define PREPARED 16 /* gates */
#define LEASE_MOST                                                            \
  600000          /* ms that a process that died keeps a slot, at most */
#define SOON 1000 /* ms in which the fleet may grant slots... */
#define DENIALS 3 /* ...unless it has not for so often, once a second */
#define LOOKS 64  /* for a free slot, where none is needed */
#define FURTHEST                                                              \
  (LEASE_MOST + SEER_GATE_WINDOW + 3) /* ms that a word is ahead, at most */
#define UNANSWERED INT64_C(1)         /* a bit of a slot's word */
#define LENT INT64_C(-2)              /* such a word: not this machine's */
#define WIDTH_BITS 24
#define WIDTH_MOST ((1 << WIDTH_BITS) - 1)

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define ADD(word, value) __atomic_fetch_add(&(word), value, __ATOMIC_RELAXED)
#define STORE(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELAXED)
#define SWAP(word, seen, value)                                               \
  __atomic_compare_exchange_n(&(word), &(seen), value, false,                 \
                              __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)

static seer_gate *prepared;

/* The key of hashes is drawn, too, for it is the same in children only if it
   was there before the fork. */
void seer_gate_prepare(void) {
  seer_id_hash("", 0);
  prepared = seer_os_memory_new(PREPARED * sizeof *prepared);
}

static seer_gate *find_prepared(uint64_t hash) {
  for (int i = 0; prepared != NULL && i < PREPARED; i++) {
    uint64_t seen = LOAD(prepared[i].name[0]);
    if (seen == 0 && SWAP(prepared[i].name[0], seen, hash))
      return &prepared[i];
    if (seen == hash)
      return &prepared[i];
  }
  return NULL;
}

seer_gate *seer_gate_new(uint64_t hash) {
  seer_gate *gate = find_prepared(hash | 1);
  return gate != NULL ? gate : seer_os_memory_new(sizeof *gate);
}

static bool is_prepared(const seer_gate *gate) {
  uintptr_t from = (uintptr_t)prepared, at = (uintptr_t)gate;
  return at >= from && at < from + PREPARED * sizeof *gate;
}

void seer_gate_free(seer_gate *gate) {
  if (gate != NULL && !is_prepared(gate))
    seer_os_memory_free(gate, sizeof *gate);
}

bool seer_gate_claim(seer_gate *gate, const uint64_t name[SEER_GATE_NAME]) {
  for (int i = 0; i < SEER_GATE_NAME; i++) {
    uint64_t seen = 0;
    if (!SWAP(gate->name[i], seen, name[i]) && seen != name[i])
      return false;
  }
  return true;
}

int64_t seer_gate_share(int64_t rate_limit) {
  int64_t share = rate_limit - rate_limit / 20 - (rate_limit % 20 > 0);
  return share > 0 || rate_limit == 0 ? share : 1;
}

/* A share as it stands in the word: no limit is the largest. */
static uint64_t width_of(int64_t share) {
  return share > 0 && share < WIDTH_MOST ? (uint64_t)share : WIDTH_MOST;
}

int64_t seer_gate_widest(const seer_gate *gate, int64_t share, int64_t now) {
  uint64_t seen = LOAD(gate->widest), widest = seen & WIDTH_MOST;
  if ((int64_t)(seen >> WIDTH_BITS) <= now || widest <= width_of(share))
    return share;
  return widest < WIDTH_MOST ? (int64_t)widest : 0;
}

void seer_gate_use(seer_gate *gate, int64_t share, int64_t now) {
  uint64_t until = (uint64_t)(now + SEER_GATE_WINDOW);
  uint64_t seen = LOAD(gate->widest);
  while (seer_gate_widest(gate, share, now) == share &&
         !SWAP(gate->widest, seen, until << WIDTH_BITS | width_of(share)))
    ;
}

bool seer_gate_is_denied(const seer_gate *gate) {
  return LOAD(gate->member.denied) > 0;
}

/* How often a slot is used in a window. */
static int64_t uses_of(int64_t share) {
  return share > 0 ? (share - 1) / SEER_GATE_SLOTS + 1 : 1;
}

/* The slots that may be taken: the first so many. */
uint32_t seer_gate_range(int64_t share) {
  return (uint32_t)(share > 0 ? share / uses_of(share) : SEER_GATE_SLOTS);
}

/* When a slot comes free whose request is over at `time`. Clocks are read in
   whole ms, so that may be up to one later; and one more, for the words are
   even, but for those of requests that had no answer. */
static int64_t freed_at(int64_t share, int64_t time) {
  int64_t uses = uses_of(share);
  return (time + 2 + (SEER_GATE_WINDOW + uses - 1) / uses) & ~UNANSWERED;
}

/* Whether a slot is somebody's. No lease is that long which noise would be. */
static bool is_used(int64_t word, int64_t now) {
  return word > now && word - now <= FURTHEST;
}

/* Whether nobody may take it now. */
static bool is_taken(const seer_gate *gate, int64_t word, int64_t now) {
  return is_used(word, now) || (word == LENT && LOAD(gate->member.good) > now);
}

/* Where others have written noise, too, it is within the gate. */
static uint32_t top_of(const seer_gate *gate) {
  uint32_t top = LOAD(gate->top);
  return top < SEER_GATE_SLOTS ? top : SEER_GATE_SLOTS;
}

static void raise_top(seer_gate *gate, uint32_t least) {
  uint32_t seen = LOAD(gate->top);
  while (seen < least && !SWAP(gate->top, seen, least))
    ;
}

static uint32_t count_used(const seer_gate *gate, uint32_t top, int64_t now) {
  uint32_t used = 0;
  for (uint32_t i = 0; i < top; i++)
    used += is_used(LOAD(gate->slots[i]), now);
  return used;
}

/* A slot that has come free may be owed to the fleet. */
static bool give_back(seer_gate *gate, uint32_t at, int64_t seen,
                      int64_t now) {
  int64_t owed = LOAD(gate->member.owed);
  return owed > 0 && LOAD(gate->member.good) > now &&
         SWAP(gate->member.owed, owed, owed - 1) &&
         SWAP(gate->slots[at], seen, LENT);
}

/* Takes one of the first `range` slots, looking at some; -1 without one. */
static int32_t take_free(seer_gate *gate, uint32_t range, uint32_t looks,
                         int64_t until, int64_t now) {
  uint32_t at = LOAD(gate->hint);
  for (; looks > 0; looks--, at++) {
    if (at >= range)
      at = 0;
    int64_t seen = LOAD(gate->slots[at]);
    if (is_taken(gate, seen, now) || give_back(gate, at, seen, now) ||
        !SWAP(gate->slots[at], seen, until))
      continue;
    raise_top(gate, at + 1);
    STORE(gate->hint, at + 1);
    return (int32_t)at;
  }
  return -1;
}

/* Those who have a larger limit use slots beyond this range, too. */
seer_slot seer_gate_take(seer_gate *gate, int64_t share, int64_t now) {
  seer_slot slot = {freed_at(share, now), -1};
  uint32_t range = seer_gate_range(share), top = top_of(gate);
  if (range >= top || count_used(gate, top, now) < range)
    slot.index =
        take_free(gate, range, share > 0 ? range : LOOKS, slot.until, now);
  if (slot.index >= 0)
    ADD(gate->member.taken, 1);
  else
    STORE(gate->member.missed, 1);
  return slot;
}

/* Changes a slot, unless it has come free, and may be another's by now. */
static void move(seer_gate *gate, seer_slot *slot, int64_t until) {
  int64_t seen = slot->until;
  if (slot->index >= 0 && SWAP(gate->slots[slot->index], seen, until))
    slot->until = until;
}

void seer_gate_lease(seer_gate *gate, seer_slot *slot, int64_t share,
                     int64_t timeout, int64_t now) {
  int64_t lease = seer_clock_sooner(timeout, LEASE_MOST);
  move(gate, slot, freed_at(share, now + lease));
}

/* A request more than slots were taken for: where none is free, the one that
   would be next is not. */
static void charge(seer_gate *gate, int64_t share, int64_t until,
                   int64_t now) {
  uint32_t range = seer_gate_range(share), next = 0;
  int64_t least;
  if (take_free(gate, range, range, until, now) >= 0)
    return;
  for (uint32_t i = 1; i < range; i++)
    if (LOAD(gate->slots[next]) == LENT ||
        (LOAD(gate->slots[i]) < LOAD(gate->slots[next]) &&
         LOAD(gate->slots[i]) != LENT))
      next = i;
  least = LOAD(gate->slots[next]);
  if (least < until && least != LENT)
    SWAP(gate->slots[next], least, until);
}

/* The server answers again: it may have read just now what had no answer. */
static void count_anew(seer_gate *gate, int64_t share, int64_t now) {
  int64_t until = freed_at(share, now);
  for (uint32_t i = top_of(gate); i > 0; i--) {
    int64_t seen = LOAD(gate->slots[i - 1]);
    if ((seen & UNANSWERED) != 0 && seen < until)
      SWAP(gate->slots[i - 1], seen, until);
  }
}

void seer_gate_end(seer_gate *gate, seer_slot slot, int64_t share, int times,
                   bool answered, int64_t now) {
  uint32_t silent = LOAD(gate->silent);
  if (times == 0) {
    move(gate, &slot, 0);
    return;
  }
  move(gate, &slot, answered ? freed_at(share, now) : slot.until | UNANSWERED);
  if (!answered)
    STORE(gate->silent, 1);
  else if (silent != 0 && SWAP(gate->silent, silent, 0))
    count_anew(gate, share, now);
  for (; times > 1; times--)
    charge(gate, share, freed_at(share, now), now);
}

int64_t seer_gate_delay(const seer_gate *gate, int64_t share, int64_t now) {
  uint32_t range = seer_gate_range(share), top = top_of(gate), used = 0,
           taken = 0;
  int64_t next = SEER_NEVER, ended = freed_at(share, now) | UNANSWERED;
  bool lent = false;
  if (share == 0 || top < range)
    return 0;
  for (uint32_t i = 0; i < top; i++) {
    int64_t until = LOAD(gate->slots[i]);
    used += is_used(until, now);
    taken += i < range && is_taken(gate, until, now);
    lent |= until == LENT;
    if (until > now && until <= ended && until < next)
      next = until;
  }
  if (used < range && taken < range)
    return 0;
  if (lent && LOAD(gate->member.denied) >= DENIALS)
    return seer_clock_sooner(next - now, SEER_GATE_WINDOW);
  if (next == SEER_NEVER || (lent && next - now > SOON))
    return SEER_NEVER;
  return next - now;
}

int64_t seer_gate_count(const seer_gate *gate, int64_t share, int64_t from,
                        int64_t to, int64_t *first) {
  uint32_t top = top_of(gate);
  int64_t count = 0;
  *first = to;
  for (uint32_t i = 0; i < top; i++) {
    int64_t ended = LOAD(gate->slots[i]) - freed_at(share, 0);
    if (ended <= from || ended > to)
      continue;
    count++;
    if (ended < *first)
      *first = ended;
  }
  return count;
}

int64_t seer_gate_reach(const seer_gate *gate, int64_t now) {
  int64_t last = now;
  for (uint32_t i = top_of(gate); i > 0; i--) {
    int64_t word = LOAD(gate->slots[i - 1]);
    if (is_used(word, now) && word > last)
      last = word;
  }
  return last - now;
}

bool seer_gate_is_idle(const seer_gate *gate, int64_t now) {
  return seer_gate_reach(gate, now) == 0 &&
         seer_pauses_until(&gate->pauses) <= now;
}

int64_t seer_gate_lend(seer_gate *gate, int64_t share, int64_t keep,
                       int64_t *used, int64_t now) {
  uint32_t range = seer_gate_range(share), top = top_of(gate);
  int64_t kept = 0;
  *used = 0;
  raise_top(gate, range);
  for (uint32_t i = 0; i < range || i < top; i++) {
    int64_t seen = LOAD(gate->slots[i]);
    if (is_used(seen, now))
      ++*used;
    else if (i < range && seen != LENT && kept < keep)
      kept++;
    else if (i < range && seen != LENT && !SWAP(gate->slots[i], seen, LENT))
      ++*used; /* taken at this moment */
  }
  return kept;
}

void seer_gate_regain(seer_gate *gate, int64_t share, int64_t count) {
  for (uint32_t i = 0; i < seer_gate_range(share) && count > 0; i++) {
    int64_t seen = LENT;
    count -= SWAP(gate->slots[i], seen, 0);
  }
}

void seer_gate_mend(seer_gate *gate, int64_t now) {
  uint64_t widest = LOAD(gate->widest);
  for (uint32_t i = top_of(gate); i > 0; i--) {
    int64_t seen = LOAD(gate->slots[i - 1]);
    if (!is_used(seen, now) && seen != LENT)
      SWAP(gate->slots[i - 1], seen, 0);
  }
  if ((int64_t)(widest >> WIDTH_BITS) > now + FURTHEST)
    SWAP(gate->widest, widest, 0);
  seer_pauses_mend(&gate->pauses, now);
}

void seer_gate_move(seer_gate *to, const seer_gate *from, int64_t share,
                    int64_t now) {
  for (uint32_t i = 0; i < top_of(from); i++) {
    int64_t word = LOAD(from->slots[i]), seen = LOAD(to->slots[i]);
    if (!is_used(word, now) || seen == word)
      continue;
    if (!is_used(seen, now) && SWAP(to->slots[i], seen, word))
      raise_top(to, i + 1);
    else
      charge(to, share, word, now);
  }
  if (LOAD(from->silent) != 0)
    STORE(to->silent, 1);
  seer_gate_use(to, seer_gate_widest(from, share, now), now);
  seer_pauses_move(&to->pauses, &from->pauses);
}
