#pragma once

/*
 * One budget of several machines. A store that they all reach knows how many
 * of the slots that there are in all each gate has; the others are lent. Only
 * the gate's own words say which it has: it tells their number again and
 * again, so a store that lost all it knew, or was away, knows it from that.
 *
 * A gate asks for slots when some request has found none, and gives back those
 * that it has not needed. Of one that is heard of no more, what it had counts
 * until its requests are over and a window has passed. While nobody answers, a
 * gate has its part: the share, divided by the number of gates there were.
 *
 * Whoever holds back tells so, and the others wait until it has tried.
 *
 * The processes of a machine share its gate, and one at a time asks. Nobody
 * who takes a slot waits for that. Without the lock, unless that guards the
 * gate.
 */

#include "gate.h"
#include "store.h"

/* In what follows, `share` is that of who asks; the widest of those that are
   used here counts. What is said to the store is in slots, of which a large
   share uses each several times in a window. */

/* How many of the slots this machine may use, at most. */
int64_t seer_fleet_share(const seer_gate *gate, int64_t share, int64_t now);

/* When to ask; a gate that was never asked for is asked for at once. */
int64_t seer_fleet_due(const seer_gate *gate, int64_t now);

/* A process ends: the gate is to be asked for, and needs nothing. Others that
   share it ask again when they miss a slot. */
void seer_fleet_leave(seer_gate *gate);

/* Begins to ask, and fills in what is said of the gate; false if it is not
   due. `more`: requests are about to come. `timeout` is what one has, 0 if
   there will be none. */
bool seer_fleet_ask(seer_gate *gate, int64_t share, int64_t timeout, bool more,
                    int64_t now, seer_budget *budget);

/* The answer, or that there was none, to what was asked at `then`; the result
   is whether slots came free. */
bool seer_fleet_learn(seer_gate *gate, const seer_budget *budget,
                      bool answered, int64_t then, int64_t now);

/* What cannot be true is made none. */
void seer_fleet_mend(seer_gate *gate, int64_t now);
