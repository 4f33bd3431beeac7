#include "fleet.h"

#include "base/clock.h"
#include "base/os.h"
#pragma GCC visibility push(hidden)

#define ASKING 3000 /* ms that asking may take, before another does */
#define ACTIVE 1000 /* ms between questions of one that has slots... */
#define ACTIVE_LEASE 5000
#define IDLE 10000 /* ...and of one that has none */
#define IDLE_LEASE 15000
#define PEERS_MOST 1000000
#define AGAIN 50    /* ms, when all was granted that was missed */
#define LEAST 16    /* slots, where one was missed */
#define AWAY 2000   /* ms that an answer holds when the next fails */
#define TRYING 5000 /* ms that others wait for who tries */

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define STORE(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELAXED)
#define ADD(word, value) __atomic_add_fetch(&(word), value, __ATOMIC_RELAXED)
#define TAKE(word) __atomic_exchange_n(&(word), 0, __ATOMIC_RELAXED)
#define SWAP(word, seen, value)                                               \
  __atomic_compare_exchange_n(&(word), &(seen), value, false,                 \
                              __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)

static int64_t part_of(const seer_membership *member, int64_t share) {
  int64_t peers = seer_clock_later(LOAD(member->peers), 1);
  return seer_clock_later(share / peers, 1);
}

int64_t seer_fleet_share(const seer_gate *gate, int64_t share, int64_t now) {
  const seer_membership *member = &gate->member;
  share = seer_gate_widest(gate, share, now);
  if (LOAD(member->name) == 0 || share == 0 || LOAD(member->good) > now)
    return share;
  return part_of(member, share);
}

int64_t seer_fleet_due(const seer_gate *gate, int64_t now) {
  const seer_membership *member = &gate->member;
  int64_t due = LOAD(member->due);
  if (LOAD(member->missed) != 0)
    due = seer_clock_sooner(due, LOAD(member->soon));
  if ((seer_pauses_level(&gate->pauses) > 0) != (LOAD(member->told) != 0))
    due = now;
  return seer_clock_later(due, LOAD(member->asking));
}

/* How many slots it would use until it asks again. */
static int64_t need_of(seer_membership *member, bool more, int64_t slots) {
  int64_t need = TAKE(member->taken);
  if (TAKE(member->missed) != 0 || more)
    need = seer_clock_later(2 * need, LEAST);
  return seer_clock_sooner(need, slots);
}

static int64_t pause_of(seer_gate *gate, int64_t now) {
  bool pauses = seer_pauses_level(&gate->pauses) > 0;
  STORE(gate->member.told, pauses);
  if (!pauses)
    return 0;
  return seer_clock_later(seer_pauses_until(&gate->pauses) - now, 0) + TRYING;
}

void seer_fleet_leave(seer_gate *gate) {
  STORE(gate->member.taken, 0);
  STORE(gate->member.missed, 0);
  STORE(gate->member.due, 0);
}

/* In a fleet from now on. The lock may be held, so no id is drawn. */
static void join(seer_membership *member) {
  uint64_t seen = 0, name;
  if (LOAD(member->name) != 0)
    return;
  if (!seer_os_random(&name, sizeof name)) /* others' still differ from it */
    name = (uint64_t)seer_clock_wall() ^ (uint64_t)(uintptr_t)member;
  SWAP(member->name, seen, name | 1);
}

bool seer_fleet_ask(seer_gate *gate, int64_t share, int64_t timeout, bool more,
                    int64_t now, seer_budget *budget) {
  seer_membership *member = &gate->member;
  int64_t seen = LOAD(member->asking), need, kept, slots;
  bool away;
  share = seer_gate_widest(gate, share, now);
  if (share == 0 || seer_fleet_due(gate, now) > now || seen > now ||
      !SWAP(member->asking, seen, now + ASKING))
    return false;
  join(member);
  STORE(member->owed, 0);
  slots = seer_gate_range(share);
  need = need_of(member, more, slots);
  away = LOAD(member->good) <= now;
  kept = seer_gate_lend(gate, share, away ? 0 : need, &budget->held, now);
  budget->held += kept;
  if (away) /* it uses its part meanwhile */
    budget->held = seer_clock_later(budget->held, part_of(member, slots));
  budget->gate = LOAD(member->name);
  budget->turn = ADD(member->turn, 1);
  budget->share = slots;
  budget->want = need - kept;
  budget->pause = pause_of(gate, now);
  budget->lease = budget->held > 0 || need > 0 ? ACTIVE_LEASE : IDLE_LEASE;
  budget->tail =
      seer_clock_later(timeout + SEER_GATE_WINDOW, seer_gate_reach(gate, now));
  budget->peers = LOAD(member->peers);
  return true;
}

static void fail(seer_membership *member, int64_t now) {
  int64_t good = LOAD(member->good);
  STORE(member->due, now + ACTIVE);
  STORE(member->soon, now + ACTIVE);
  if (good > now + AWAY)
    SWAP(member->good, good, now + AWAY);
}

bool seer_fleet_learn(seer_gate *gate, const seer_budget *budget,
                      bool answered, int64_t then, int64_t now) {
  seer_membership *member = &gate->member;
  int64_t asking = then + ASKING;
  bool busy = budget->held > 0 || budget->want > 0 || budget->hold > 0;
  if (!SWAP(member->asking, asking, 0))
    return false; /* another does by now */
  if (!answered)
    return fail(member, now), false;
  seer_gate_regain(gate, budget->share, budget->granted);
  STORE(member->peers, budget->peers);
  STORE(member->owed, budget->owed);
  if (budget->want > 0 && budget->granted == 0)
    ADD(member->denied, 1);
  else
    STORE(member->denied, 0);
  STORE(member->soon,
        now + (budget->granted >= budget->want ? AGAIN : ACTIVE));
  STORE(member->due, now + (busy || budget->pause > 0 ? ACTIVE : IDLE));
  STORE(member->good, then + budget->lease);
  if (budget->hold > 0)
    seer_pauses_extend(&gate->pauses, now + budget->hold);
  return budget->granted > 0;
}

void seer_fleet_mend(seer_gate *gate, int64_t now) {
  seer_membership *member = &gate->member;
  int64_t most = now + SEER_GATE_WINDOW;
  if (LOAD(member->asking) > most || LOAD(member->good) > most ||
      LOAD(member->due) > most || LOAD(member->soon) > most ||
      LOAD(member->peers) < 0 || LOAD(member->peers) > PEERS_MOST ||
      LOAD(member->owed) < 0 || LOAD(member->owed) > SEER_GATE_SLOTS)
    *member = (seer_membership){.name = 0};
}
