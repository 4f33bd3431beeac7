#ifndef SEER_UNIT_CLIENT_H
#define SEER_UNIT_CLIENT_H

/* A client as tests of endpoints have it, of an API where nobody listens. */

#include "core/endpoints.h"
#include "core/sender.h"

#define CLIENT_MAX_AGE 86400000 /* ms */

seer_site_options client_options(const char *api_key);
seer_settings client_settings(int64_t rate_limit, int64_t max_in_flight);

/* The queue of a client of this key, ready for its first event. */
seer_queue *client_open(const char *api_key, const seer_settings *settings);

#endif
