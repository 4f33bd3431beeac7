#ifndef SEER_UNIT_CLIENT_H
#define SEER_UNIT_CLIENT_H

/* A client as tests of endpoints have it, of an API where nobody listens. */

#include "core/endpoints.h"
#include "core/keep.h"
#include "core/sender.h"

#define CLIENT_MAX_AGE 86400000 /* ms */

seer_site_options client_options(const char *api_key);
seer_settings client_settings(int64_t rate_limit, int64_t max_in_flight);

/* The queue of a client of this key, ready for its first event. */
seer_queue *client_open(const char *api_key, const seer_settings *settings);

/* Makes a store's keeper as at the start, but for the room that it has for
   rows owed, with one tenant, whose queue of what it adopts this is. */
void client_keep(seer_keep *keep, seer_tenant *tenant, seer_queue *adopted);

#endif
