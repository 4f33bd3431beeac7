#pragma once

/*
 * The tenants of stores: which there are, and what befalls the events of all
 * of them at once.
 */

#include "endpoints.h"
#include "keep.h"

/* The tenant of clients like this, found or made; NULL without memory. Takes
   the lock. */
seer_tenant *seer_tenants_get(seer_keep *keep, const seer_party *client);

/* The rest is called with the lock held. */

/* What the keeper has of events goes on without the store. */
void seer_tenants_release(seer_keep *keep);

/* The same where a store takes too long; returns one of which it is to be told
   by seer_tenants_tell_hung, or NULL. */
seer_keep *seer_tenants_rescue(int64_t now);

/* Without the lock: says something of a store, in the way of what its first
   tenant's clients are told; that it does not answer. */
#define SEER_TENANTS_FAILING "failing, events are kept in memory alone"
void seer_tenants_say(const seer_keep *keep, seer_level level,
                      const char *what, const char *message);
void seer_tenants_tell_hung(seer_keep *keep);

/* When to look for that; SEER_NEVER if no keeper has been at work of late. */
int64_t seer_tenants_rescue_at(int64_t now);

/* The store works, or may have room again, or the process ends: what is here
   alone, and not in flight, is to be offered to it. */
void seer_tenants_look(seer_keep *keep);

/* Hands the next of these to the keeper, who is not inside but at the end: as
   many as fit in a transaction, with those that follow them; all at the end.
   True if it is to be called again before the next transaction; meanwhile
   others may want the lock. */
bool seer_tenants_offer(seer_keep *keep);

/* Whether events are on their way to a line. */
bool seer_tenants_are_entering(void);

/* The alarm of a keeper that has something to do, to be rung without the lock;
   -1: of none. To be called until there is none. */
int seer_tenants_remind(void);

/* When the store is to be asked for slots of its budget. */
int64_t seer_tenants_budget_due(const seer_tenant *tenant, int64_t now);

/* Whether the events adopted so far will soon be sent. */
bool seer_tenants_is_low(const seer_tenant *tenant);
