#include "client.h"
#include <string.h>

seer_site_options client_options(const char *api_key) {
  seer_site_options options;
  memset(&options, 0, sizeof options);
  options.base_url = "http://localhost:9";
  options.api_key = api_key;
  options.proxy = "";
  return options;
}

seer_settings client_settings(int64_t rate_limit, int64_t max_in_flight) {
  seer_settings settings = {
      .timeout = 60000,
      .initial_delay = 500,
      .max_waited_delay = 8000,
      .max_queued_delay = 60000,
      .rate_limit = rate_limit,
      .max_in_flight = max_in_flight,
      .max_queue_events = 1000000,
      .max_queue_bytes = INT64_MAX / 2,
      .max_event_bytes = 1000,
      .max_age = CLIENT_MAX_AGE,
      .enabled = 1,
  };
  return settings;
}

seer_queue *client_open(const char *api_key, const seer_settings *settings) {
  seer_site_options options = client_options(api_key);
  return seer_sender_open(seer_endpoints_join(&options, settings), NULL);
}

void client_keep(seer_keep *keep, seer_tenant *tenant, seer_queue *adopted) {
  *keep = (seer_keep){.owed = keep->owed,
                      .owed_room = keep->owed_room,
                      .tenants = tenant,
                      .era = 1,
                      .fuses = 1,
                      .work = SEER_KEEP_OUTSIDE};
  *tenant = (seer_tenant){.keep = keep, .adopted = adopted};
}
