#pragma once

/*
 * The endpoints of the process, and the clients of each: who has which, and
 * what is freed when nobody needs it any more.
 */

#include "endpoint.h"

/* The first of all, and the next of one; NULL if there is none. With the lock
   held, or in the child of a fork. */
seer_endpoint *seer_endpoints_first(void);
seer_endpoint *seer_endpoints_next(const seer_endpoint *endpoint);

/* The queue after this one, of all endpoints; the first of all after NULL. */
seer_queue *seer_endpoints_next_queue(const seer_queue *queue);

/* In the child of a fork, where only these lists are as they should be: all
   else of endpoints is as at the start. */
void seer_endpoints_forget(void);

/* The endpoint of this base URL and key, with one more reference, and in
   `*site` its site with these options, likewise; NULL without memory. The
   URL has passed seer_url_check_base, the key has no control characters.
   Takes the lock. */
seer_endpoint *seer_endpoints_get(const seer_site_options *options,
                                  seer_site **site);

/* One more reference to both. */
void seer_endpoints_refer(seer_endpoint *endpoint, seer_site *site);

/* Gives a reference to each back. Takes the lock. An endpoint outlives its
   last reference until its slots are free. */
void seer_endpoints_release(seer_endpoint *endpoint, seer_site *site);

/* When some of these may have become free; SEER_NEVER if there are none. They
   are looked at then, some at a time until the result is NULL: those that are
   to be freed without the lock. With the lock held. */
int64_t seer_endpoints_sweep_at(void);
seer_endpoint *seer_endpoints_sweep(int64_t now);
void seer_endpoints_free(seer_endpoint *endpoint);

/* A client joins those of this endpoint, with a site and settings like these,
   and its limits count; NULL without memory. Takes the lock. */
seer_party *seer_endpoints_join(const seer_site_options *options,
                                const seer_settings *settings);

/* One more like it. */
seer_party *seer_endpoints_join_with(const seer_party *other);

/* Gives it a queue, with a place in a store, or NULL; NULL without memory.
   Takes the lock. */
seer_queue *seer_endpoints_open(seer_party *party, struct seer_tenant *tenant);

/* Frees it, and its queue, which has no events. Takes the lock. */
void seer_endpoints_leave(seer_party *party);

/* Frees events, and queues whose client is gone; tells of events that were
   dropped. Without the lock. */
void seer_endpoints_bury(seer_dead *dead);
