#pragma once

/*
 * Inside http: a transfer with the libcurl handle that carries it, and all
 * the options that the handle gets.
 */

#include "core/http/outgoing.h"
#include "core/http/sockets.h"
#include "core/http/transfer.h"

#include <curl/curl.h>

struct seer_flight;

/* What the handles of a pool have in common. */
typedef struct seer_handles {
  CURLSH *share; /* TLS sessions, which a handle takes with it */
  seer_sockets sockets;
  struct seer_flight *spare; /* to be flown again */
  int spares;
} seer_handles;

typedef struct seer_flight {
  seer_transfer transfer; /* the first member: see seer_flight_of */
  seer_site *site;
  seer_outgoing outgoing;
  int64_t began, deadline;
  const char *targets;        /* what libcurl may have to look up */
  struct curl_slist *resolve; /* what libcurl was told of them */
  const char *refused;        /* one that no thread was to be had for */
  int64_t asked_at;   /* answers since then count; by seer_clock_boot */
  int64_t connect_by; /* looking up included */
  uint64_t timeouts;  /* of the site, when it took off */
  long connect_timeout;
  long lifetime;    /* s, at most, of a connection that it takes */
  int socket;       /* of the connection; -1: not known */
  int64_t alive_at; /* when that had last answered, by seer_clock_boot */
  bool reused;      /* the connection has carried a request before */
  bool stale;       /* it was not to carry this one */
  bool fresh;       /* none that has been used is to be taken... */
  bool alone;       /* ...and the handle knows it */
  bool hurried;     /* the exit has looked at its deadline */
  bool exhausted;   /* no descriptor was left for a socket */
  bool missing;     /* not all of the targets are known... */
  bool grounded;    /* ...and libcurl wanted to know one */
  bool connected;   /* counted in site->connected */
  char error[CURL_ERROR_SIZE];
  CURL *easy;        /* this and the rest: for the next flight, too */
  uint64_t made_for; /* number of sites to which it may send again; or 0 */
  seer_incoming incoming;
  seer_handles *handles;
  struct seer_flight *next; /* among those in the air, or grounded */
} seer_flight;

/* False without memory; clear both in any case. */
bool seer_handles_init(seer_handles *handles);
void seer_handles_clear(seer_handles *handles);

/* Frees what is kept for the next flights; before the multi handle is. */
void seer_handles_empty(seer_handles *handles);

/* NULL without memory. One that is free is kept for the next, with its handle
   and buffers, until the handles are cleared. */
seer_flight *seer_flight_new(seer_handles *handles);
void seer_flight_free(seer_flight *flight);

seer_flight *seer_flight_of(seer_transfer *transfer);

/* Makes a handle that sends what `outgoing` says, before `deadline`. False if
   libcurl refuses, for want of memory. */
bool seer_flight_prepare(seer_flight *flight);

/* Between these two the handle is with libcurl. */
void seer_flight_take_off(seer_flight *flight);
void seer_flight_land(seer_flight *flight, CURLcode code);

/* For a flight that is grounded: has its targets looked up, if nobody does,
   by a thread that rings the alarm. Without one, `refused` is set if there is
   time (ms) to look it up here. CURLE_OK if all are known, CURLE_AGAIN if some
   are being looked up, CURLE_COULDNT_RESOLVE_HOST if one cannot be; `error`
   says which. */
CURLcode seer_flight_look_up(seer_flight *flight, int alarm, int64_t time);
