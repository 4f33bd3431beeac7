#include "endpoints.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/thread.h"
#include "room.h"

#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define HASHES 4096
#define LOOKS 2  /* at endpoints that may be freed, when one is released... */
#define SWEPT 64 /* ...and when all are looked at... */
#define SWEEP (SEER_GATE_WINDOW + 1000) /* ...so many ms after the last */

/* Lists of those whose hash is alike, so that thousands of keys are found at
   once. These lists, and those of sites and clients, can be followed at any
   moment, as the child of a fork does: the stores that say so are not moved
   up. */
static seer_endpoint *alike[HASHES];

/* Those that nobody referred to when they were looked at, or left, last, and
   which wait until their slots are free: a list, the last of them at its
   end. */
static seer_endpoint *left, *last_left;
static int64_t sweep_at; /* when to look at all of them */

static void free_endpoint(seer_endpoint *endpoint) {
  seer_site_free(endpoint->sites);
  seer_gate_free(endpoint->gate);
  free(endpoint->busy);
  free(endpoint);
}

static seer_endpoint *new_endpoint(const seer_site_options *options) {
  size_t url = strlen(options->base_url) + 1;
  size_t key = strlen(options->api_key) + 1;
  seer_endpoint *endpoint = calloc(1, sizeof *endpoint + url + key);
  seer_site_options own = *options;
  if (endpoint == NULL)
    return NULL;
  endpoint->references = 1;
  endpoint->lines.place.endpoint = endpoint;
  own.base_url = endpoint->base_url = (char *)(endpoint + 1);
  own.api_key = endpoint->api_key = endpoint->base_url + url;
  memcpy(endpoint->base_url, options->base_url, url);
  memcpy(endpoint->api_key, options->api_key, key);
  endpoint->hash = seer_id_hash(options->base_url, url - 1) ^
                   seer_id_hash(options->api_key, key - 1) << 1;
  endpoint->gate = seer_gate_new(endpoint->hash);
  if (endpoint->gate != NULL &&
      (endpoint->sites = seer_site_new(&own)) != NULL) {
    endpoint->pauses = &endpoint->gate->pauses;
    return endpoint;
  }
  free_endpoint(endpoint);
  return NULL;
}

static seer_endpoint *first_from(uint64_t hash) {
  while (hash < HASHES && alike[hash] == NULL)
    hash++;
  return hash < HASHES ? alike[hash] : NULL;
}

seer_endpoint *seer_endpoints_first(void) {
  return first_from(0);
}

seer_endpoint *seer_endpoints_next(const seer_endpoint *endpoint) {
  return endpoint->next != NULL ? endpoint->next
                                : first_from(endpoint->hash % HASHES + 1);
}

/* The first queue from this client on. */
static seer_queue *queue_from(const seer_party *party) {
  while (party != NULL && party->queue == NULL)
    party = party->next;
  return party != NULL ? party->queue : NULL;
}

seer_queue *seer_endpoints_next_queue(const seer_queue *queue) {
  seer_queue *next = queue != NULL ? queue_from(queue->party->next) : NULL;
  seer_endpoint *endpoint = queue != NULL
                                ? seer_endpoints_next(queue->endpoint)
                                : seer_endpoints_first();
  for (; next == NULL && endpoint != NULL;
       endpoint = seer_endpoints_next(endpoint))
    next = queue_from(endpoint->parties);
  return next;
}

/* The link that points to the endpoint of this URL and key, or to none. */
static seer_endpoint **find(const seer_endpoint *like) {
  seer_endpoint **link = &alike[like->hash % HASHES];
  while (*link != NULL && (strcmp((*link)->base_url, like->base_url) != 0 ||
                           strcmp((*link)->api_key, like->api_key) != 0))
    link = &(*link)->next;
  return link;
}

static void leave(seer_endpoint *endpoint) {
  endpoint->left = true;
  endpoint->next_left = NULL;
  if (left != NULL)
    last_left->next_left = endpoint;
  else
    left = endpoint;
  last_left = endpoint;
}

/* The requests are the parent's, and so are their slots. */
static void forget(seer_endpoint *endpoint) {
  memset(&endpoint->lines, 0, sizeof endpoint->lines);
  endpoint->lines.place.endpoint = endpoint;
  if (endpoint->busy != NULL)
    memset(endpoint->busy, 0, sizeof *endpoint->busy);
  endpoint->in_flight = endpoint->failures = endpoint->refusals = 0;
  endpoint->probe = 0;
  endpoint->pauses = &endpoint->gate->pauses;
  endpoint->hopeless = false;
  for (seer_site *site = endpoint->sites; site != NULL; site = site->next)
    seer_site_forget(site);
}

void seer_endpoints_forget(void) {
  left = NULL;
  for (seer_endpoint *endpoint = seer_endpoints_first(); endpoint != NULL;
       endpoint = seer_endpoints_next(endpoint)) {
    forget(endpoint);
    endpoint->left = false;
    if (endpoint->references == 0)
      leave(endpoint);
  }
  seer_schedule_forget();
  seer_room_forget();
}

/* Takes some that nobody needs out of the process's lists; the result is a
   list by `next_left`. */
static seer_endpoint *unlist_idle(int looks, int64_t now) {
  seer_endpoint *idle = NULL;
  for (; looks > 0 && left != NULL; looks--) {
    seer_endpoint *endpoint = left;
    left = endpoint->next_left;
    endpoint->left = false;
    if (endpoint->references > 0)
      continue;
    if (endpoint->segment == 0 && !seer_gate_is_idle(endpoint->gate, now)) {
      leave(endpoint);
      continue;
    }
    *find(endpoint) = endpoint->next;
    seer_schedule_at(&endpoint->lines.place, SEER_NEVER);
    endpoint->next_left = idle;
    idle = endpoint;
  }
  return idle;
}

int64_t seer_endpoints_sweep_at(void) {
  seer_assert(seer_lock_is_held());
  return left != NULL ? sweep_at : SEER_NEVER;
}

seer_endpoint *seer_endpoints_sweep(int64_t now) {
  seer_endpoint *idle = NULL;
  if (now < seer_endpoints_sweep_at())
    return NULL;
  idle = unlist_idle(SWEPT, now);
  if (idle == NULL)
    sweep_at = now + SWEEP;
  return idle;
}

void seer_endpoints_free(seer_endpoint *endpoint) {
  while (endpoint != NULL) {
    seer_endpoint *next = endpoint->next_left;
    free_endpoint(endpoint);
    endpoint = next;
  }
}

/* Gives the endpoint the site of another, unless it has one like it; the
   result is its own, with one more reference. */
static seer_site *adopt_site(seer_endpoint *endpoint, seer_endpoint *other) {
  seer_site *site = endpoint->sites;
  while (site != NULL && !seer_site_equals(site, other->sites))
    site = site->next;
  if (site != NULL) {
    site->references++;
    return site;
  }
  site = other->sites;
  other->sites = NULL;
  site->options.base_url = endpoint->base_url;
  site->options.api_key = endpoint->api_key;
  site->next = endpoint->sites;
  __atomic_store_n(&endpoint->sites, site, __ATOMIC_RELEASE);
  return site;
}

/* A new one is made first, and thrown away if there is one like it. */
seer_endpoint *seer_endpoints_get(const seer_site_options *options,
                                  seer_site **site) {
  seer_endpoint *fresh = new_endpoint(options), **place, *found;
  if (fresh == NULL)
    return NULL;
  *site = fresh->sites;
  seer_lock();
  place = find(fresh);
  found = *place;
  if (found != NULL) {
    found->references++;
    *site = adopt_site(found, fresh);
  } else {
    __atomic_store_n(place, fresh, __ATOMIC_RELEASE);
  }
  seer_unlock();
  if (found == NULL)
    return fresh;
  free_endpoint(fresh);
  return found;
}

void seer_endpoints_refer(seer_endpoint *endpoint, seer_site *site) {
  seer_lock();
  endpoint->references++;
  site->references++;
  seer_unlock();
}

/* Takes a reference back; true, and the site is out of the list, if that was
   the last. */
static bool unrefer(seer_site **list, seer_site *site) {
  if (--site->references > 0)
    return false;
  while (*list != site)
    list = &(*list)->next;
  *list = site->next;
  return true;
}

void seer_endpoints_release(seer_endpoint *endpoint, seer_site *site) {
  int64_t now = seer_clock_now();
  seer_endpoint *idle;
  seer_lock();
  if (!unrefer(&endpoint->sites, site))
    site = NULL; /* somebody else needs it */
  if (--endpoint->references == 0) {
    sweep_at = now + SWEEP;
    if (!endpoint->left)
      leave(endpoint);
  }
  idle = unlist_idle(LOOKS, now);
  seer_unlock();
  seer_site_free(site);
  seer_endpoints_free(idle);
}

/* The larger of two limits of the rate, of which 0 is none. */
static int64_t faster(int64_t one, int64_t other) {
  return one == 0 || other == 0 ? 0 : seer_clock_later(one, other);
}

/* Limits that were large enough for some clients are for one more, too, if it
   sends anything. Where `max_in_flight` is 0 none of them does. */
static void widen(int64_t *rate_limit, int64_t *max_in_flight,
                  const seer_settings *settings) {
  if (*max_in_flight == 0)
    *rate_limit = settings->rate_limit;
  if (!seer_settings_send(settings))
    return;
  *rate_limit = faster(*rate_limit, settings->rate_limit);
  *max_in_flight = seer_clock_later(*max_in_flight, settings->max_in_flight);
}

/* Takes over a reference to the endpoint and to the site. */
static seer_party *join(seer_endpoint *endpoint, seer_site *site,
                        const seer_settings *settings) {
  seer_party *party = calloc(1, sizeof *party);
  settings = party != NULL ? seer_settings_share(settings) : NULL;
  if (settings == NULL) {
    free(party);
    seer_endpoints_release(endpoint, site);
    return NULL;
  }
  party->endpoint = endpoint;
  party->site = site;
  party->settings = settings;
  seer_lock();
  widen(&endpoint->rate_limit, &endpoint->max_in_flight, settings);
  party->next = endpoint->parties;
  if (party->next != NULL)
    party->next->previous = party;
  __atomic_store_n(&endpoint->parties, party, __ATOMIC_RELEASE);
  if (endpoint->busy != NULL) /* the others may send more now */
    seer_schedule_now(&endpoint->lines.place);
  seer_unlock();
  return party;
}

seer_party *seer_endpoints_join(const seer_site_options *options,
                                const seer_settings *settings) {
  seer_site *site;
  seer_endpoint *endpoint = seer_endpoints_get(options, &site);
  return endpoint != NULL ? join(endpoint, site, settings) : NULL;
}

seer_party *seer_endpoints_join_with(const seer_party *other) {
  seer_endpoints_refer(other->endpoint, other->site);
  return join(other->endpoint, other->site, other->settings);
}

seer_queue *seer_endpoints_open(seer_party *party,
                                struct seer_tenant *tenant) {
  seer_endpoint *endpoint = party->endpoint;
  seer_queue *queue = malloc(sizeof *queue);
  seer_busy *busy = calloc(1, sizeof *busy);
  if (queue == NULL || busy == NULL) {
    free(queue);
    free(busy);
    return NULL;
  }
  seer_queue_init(queue, party, &endpoint->lines);
  queue->tenant = tenant;
  seer_lock();
  if (endpoint->busy == NULL) {
    __atomic_store_n(&endpoint->busy, busy, __ATOMIC_RELEASE);
    busy = NULL;
  }
  __atomic_store_n(&party->queue, queue, __ATOMIC_RELEASE);
  seer_unlock();
  free(busy);
  return queue;
}

/* When a client has gone that had the largest limits: those of the clients
   that are left. Most have the same, so the first few of them will tell. */
static void measure(seer_endpoint *endpoint, const seer_settings *gone) {
  const seer_party *party = endpoint->parties;
  int64_t rate_limit = endpoint->rate_limit, max_in_flight = 0;
  if (!seer_settings_send(gone) ||
      (gone->rate_limit != endpoint->rate_limit &&
       gone->max_in_flight != endpoint->max_in_flight))
    return;
  for (; party != NULL && (rate_limit != endpoint->rate_limit ||
                           max_in_flight != endpoint->max_in_flight);
       party = party->next)
    widen(&rate_limit, &max_in_flight, party->settings);
  endpoint->rate_limit = rate_limit;
  endpoint->max_in_flight = max_in_flight;
}

void seer_endpoints_leave(seer_party *party) {
  seer_endpoint *endpoint = party->endpoint;
  seer_lock();
  if (party->previous != NULL)
    party->previous->next = party->next;
  else
    endpoint->parties = party->next;
  if (party->next != NULL)
    party->next->previous = party->previous;
  for (int i = 0; party->queue != NULL && i < SEER_URGENCIES; i++)
    seer_timer_set(&endpoint->lines.timers, &party->queue->line[i].timer,
                   SEER_NEVER);
  measure(endpoint, party->settings);
  seer_unlock();
  seer_endpoints_release(endpoint, party->site);
  seer_settings_release(party->settings);
  if (party->queue != NULL)
    seer_spare_let_go(&party->queue->hand);
  free(party->queue);
  free(party);
}

/* Events are lost that had been accepted: their owner should know. */
static void tell_dropped(const seer_dead *dead, seer_settlement drop,
                         const char *reason) {
  static seer_trouble troubles[SEER_SETTLEMENTS];
  if (dead->dropped[drop] && seer_trouble_now(&troubles[drop]) >= 0)
    seer_tell(SEER_ERROR, "events are dropped: %s (see stats)", reason);
}

void seer_endpoints_bury(seer_dead *dead) {
  tell_dropped(dead, SEER_SETTLED_EXPIRED, "older than max_age");
  tell_dropped(dead, SEER_SETTLED_DISPLACED, "the queue is full");
  seer_dead_free(dead);
  while (dead->queues != NULL) {
    seer_queue *queue = dead->queues;
    dead->queues = queue->next_dead;
    seer_endpoints_leave(queue->party);
  }
}
