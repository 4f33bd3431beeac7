#pragma once

/*
 * What a client's options come down to for the core. Times are whole
 * milliseconds, sizes bytes. Every field is an int64_t, so that the table
 * in options.c can fill each by its offset.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct seer_settings {
  int64_t timeout;          /* of one attempt, as a whole */
  int64_t connect_timeout;  /* of one attempt, until connected */
  int64_t connection_age;   /* of an idle connection to be used again */
  int64_t max_retries;      /* of a waited-for request */
  int64_t initial_delay;    /* doubled with each attempt... */
  int64_t max_waited_delay; /* ...up to this for waited-for requests */
  int64_t max_queued_delay; /* ...and up to this for queued events */
  int64_t exit_timeout;     /* 0: do not wait at exit */
  int64_t exit_connecting;  /* at exit, to establish any connection in */
  int64_t rate_limit;       /* requests a minute; 0: no limit */
  int64_t share_rate;       /* 1: with other processes; -1: if has_store */
  int64_t max_in_flight;    /* requests at a time */
  int64_t max_queue_events; /* events accepted and unsettled */
  int64_t max_queue_bytes;  /* all that these events occupy */
  int64_t max_event_bytes;  /* of one event's JSON */
  int64_t max_age;          /* an older event is dropped */
  int64_t drop_oldest;      /* when full: 1 displace, 0 reject */
  int64_t wait;             /* 1: calls wait for the answer */
  int64_t thread;           /* 0: start none for this client */
  int64_t enabled;          /* 0: accept and discard everything */
  int64_t test_mode;        /* 1: keep requests, open no socket */
  int64_t http_version;     /* 1 or 2; 0: the better one */
  int64_t log_level;        /* a seer_level: what is told at most */
  int64_t has_store;        /* 1: a store keeps what is queued */
  int64_t has_logger;       /* 1: a function is told, not stderr */
  int64_t has_on_error;     /* 1: a function gets what is given up */
  int64_t has_on_delivered; /* 1: a function gets what is delivered */
} seer_settings;

/* Whether a client with them sends anything. */
static inline bool seer_settings_send(const seer_settings *settings) {
  return settings->enabled && !settings->test_mode;
}

/* These settings, which all clients share that have like ones, with one more
   reference; NULL without memory. Both take the lock. */
const seer_settings *seer_settings_share(const seer_settings *settings);
void seer_settings_release(const seer_settings *settings);
