#include "tenants.h"

#include "base/assert.h"
#include "base/block.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/thread.h"
#include "fleet.h"
#include "report.h"
#include "share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

/* ms until it is told of a store that hangs; until then it may say itself what
   is wrong. */
#define TOLD_AFTER (INT64_C(3) * SEER_STORE_PATIENCE)

#define LOW 64     /* adopted events */
#define LOOKS 1024 /* at events, while the lock is held */

static void add_secrets(seer_digest *digest, const char *headers) {
  for (; *headers != '\0'; headers = seer_block_next(headers))
    if (seer_block_secret(headers) != NULL)
      seer_digest_add(digest, headers, strlen(headers) + 1);
}

static void set_target(seer_tenant *tenant, const seer_endpoint *endpoint,
                       const seer_site *site) {
  uint8_t result[SEER_DIGEST_SIZE];
  seer_digest digest, budget;
  seer_digest_init(&digest);
  seer_digest_add(&digest, endpoint->base_url, strlen(endpoint->base_url) + 1);
  seer_digest_add(&digest, endpoint->api_key, strlen(endpoint->api_key) + 1);
  budget = digest;
  add_secrets(&digest, site->options.headers);
  seer_digest_end(&digest, result);
  memcpy(tenant->target, result, sizeof tenant->target);
  seer_digest_end(&budget, result);
  memcpy(tenant->budget, result, sizeof tenant->budget);
}

static seer_tenant *make(seer_keep *keep, const seer_party *client) {
  seer_tenant *tenant = calloc(1, sizeof *tenant);
  seer_party *party = tenant != NULL ? seer_endpoints_join_with(client) : NULL;
  if (party == NULL) {
    free(tenant);
    return NULL;
  }
  tenant->keep = keep;
  set_target(tenant, party->endpoint, party->site);
  tenant->adopted = seer_endpoints_open(party, NULL);
  if (tenant->adopted != NULL)
    return tenant;
  seer_endpoints_leave(party);
  free(tenant);
  return NULL;
}

/* With the lock held. The newest client of the endpoint comes first, and most
   of them are alike: however many tenants there are, this is soon found. */
static seer_tenant *find(const seer_keep *keep, const seer_party *client) {
  const seer_party *party = client->endpoint->parties;
  for (; party != NULL; party = party->next)
    if (party->site == client->site && party->queue != NULL &&
        party->queue->tenant != NULL && party->queue->tenant->keep == keep)
      return party->queue->tenant;
  return NULL;
}

/* With the lock held. True if it is to share its rate limit now: the keeper
   sees to that when it begins to work, but may not come to it soon when it is
   busy, or its store in trouble. */
static bool begin_sharing(seer_tenant *tenant, const seer_settings *settings) {
  if (settings->share_rate == 0 || tenant->shares)
    return false;
  __atomic_store_n(&tenant->shares, true, __ATOMIC_RELAXED);
  return tenant->keep->work > SEER_KEEP_STARTING;
}

seer_tenant *seer_tenants_get(seer_keep *keep, const seer_party *client) {
  seer_tenant *fresh = make(keep, client), *tenant;
  bool share;
  if (fresh == NULL)
    return NULL;
  seer_lock();
  tenant = find(keep, client);
  if (tenant == NULL) {
    fresh->adopted->tenant = fresh;
    fresh->next = keep->tenants;
    __atomic_store_n(&keep->tenants, fresh, __ATOMIC_RELEASE);
  }
  share = begin_sharing(tenant != NULL ? tenant : fresh, client->settings);
  seer_unlock();
  if (tenant != NULL) {
    seer_endpoints_leave(fresh->adopted->party);
    free(fresh);
  } else {
    tenant = fresh;
  }
  if (share)
    seer_share(tenant->adopted);
  return tenant;
}

static void release(seer_event *event) {
  seer_queue_entered(seer_event_stored(event)->queue, event);
}

void seer_tenants_release(seer_keep *keep) {
  seer_event *event;
  for (size_t i = 0; i < keep->batch_count; i++)
    release(keep->batch[i]);
  keep->batch_count = 0;
  while ((event = seer_events_take(&keep->entering)) != NULL)
    release(event);
}

seer_keep *seer_tenants_rescue(int64_t now) {
  seer_keep *hung = NULL;
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next) {
    if (!seer_keep_hangs(keep, now))
      continue;
    seer_tenants_release(keep);
    if (hung == NULL && now - keep->began > TOLD_AFTER &&
        seer_trouble_happened(&keep->failure, now) >= 0)
      hung = keep;
  }
  return hung;
}

void seer_tenants_say(const seer_keep *keep, seer_level level,
                      const char *what, const char *message) {
  const seer_tenant *tenant =
      __atomic_load_n(&keep->tenants, __ATOMIC_ACQUIRE);
  char text[300];
  if (tenant == NULL)
    return;
  snprintf(text, sizeof text, "store: %s%s%s", what,
           *what != '\0' && *message != '\0' ? ": " : "", message);
  seer_report_say(tenant->adopted, level, text);
}

void seer_tenants_tell_hung(seer_keep *keep) {
  static const char hung[] = "it does not answer";
  seer_lock();
  memcpy(keep->error, hung, sizeof hung);
  seer_unlock();
  seer_tenants_say(keep, SEER_WARN, SEER_TENANTS_FAILING, hung);
}

int64_t seer_tenants_rescue_at(int64_t now) {
  int64_t at = SEER_NEVER;
  seer_assert(seer_lock_is_held());
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next) {
    if (keep->work == SEER_KEEP_INSIDE && keep->batch_count > 0)
      at = seer_clock_sooner(at, keep->began + SEER_STORE_PATIENCE + 1);
    else if (now - keep->began < SEER_STORE_PATIENCE)
      at = seer_clock_sooner(at, now + SEER_STORE_PATIENCE);
    if (keep->work == SEER_KEEP_INSIDE && now - keep->began <= TOLD_AFTER)
      at = seer_clock_sooner(at, keep->began + TOLD_AFTER + 1);
  }
  return at;
}

/* How much more is done before the lock is given up. */
typedef struct portion {
  size_t looks, events;
  int64_t bytes;
} portion;

static bool is_spent(const portion *left) {
  return left->looks == 0 || left->events == 0 || left->bytes <= 0;
}

/* Whether those behind it of its user may enter before it. What is in flight
   may never come back; if it does, it enters with them behind it. */
static bool lets_pass(const seer_keep *keep, seer_event *ahead) {
  return ahead == NULL || (ahead->parts & SEER_EVENT_FLYING) != 0 ||
         !seer_event_is_storable(ahead) || seer_keep_has(keep, ahead);
}

/* Whether the event is here alone, and is to enter. The identifies of a user
   are stored in their order: where one stays here alone those behind it wait,
   but at the end. */
static bool is_to_enter(const seer_keep *keep, seer_event *event) {
  seer_event *ahead =
      event->parts & SEER_PART_TURN ? seer_event_turn(event)->ahead : NULL;
  return seer_event_is_storable(event) && !seer_keep_has(keep, event) &&
         !(event->parts & SEER_EVENT_ENTERING) &&
         (keep->stopping || lets_pass(keep, ahead));
}

static void enter_one(portion *left, seer_queue *queue, seer_event *event) {
  seer_queue_enter(queue, event);
  left->events -= left->events > 0;
  left->bytes -= event->length;
}

/* With those behind it of its user, also where the store has them: it would
   have them in another order. */
static void enter(portion *left, seer_queue *queue, seer_event *event) {
  enter_one(left, queue, event);
  while (event->parts & SEER_PART_TURN &&
         (event = seer_event_turn(event)->follower) != NULL &&
         seer_event_is_storable(event))
    if (!(event->parts & SEER_EVENT_ENTERING))
      enter_one(left, queue, event);
}

static void offer_ready(portion *left, const seer_keep *keep,
                        seer_line *line) {
  seer_event *event;
  for (; !is_spent(left) && (event = line->unseen) != NULL; left->looks--) {
    line->unseen = event->next;
    if (is_to_enter(keep, event)) {
      seer_line_take_out(line, event);
      enter(left, line->queue, event);
    }
  }
}

/* They are few: in a heap nothing is found but its first. */
static void offer_delayed(portion *left, const seer_keep *keep,
                          seer_line *line) {
  seer_event *event, *rest = NULL;
  while (!line->delayed_seen && !is_spent(left)) {
    event = seer_line_undelay(line);
    if (event == NULL) {
      line->delayed_seen = true;
    } else if (is_to_enter(keep, event)) {
      enter(left, line->queue, event);
    } else {
      event->next = rest;
      rest = event;
    }
  }
  while ((event = rest) != NULL) {
    rest = event->next;
    seer_line_delay(line, event);
  }
}

static void offer_followers(portion *left, const seer_keep *keep,
                            seer_queue *queue) {
  seer_event *event;
  for (; !is_spent(left) && (event = queue->turns.unseen) != NULL;
       left->looks--) {
    queue->turns.unseen = seer_turns_newer(event);
    if (is_to_enter(keep, event))
      enter(left, queue, event);
  }
}

/* The next queue of the store's of which not all is there, or going there. */
static seer_queue *next_lacking(const seer_keep *keep,
                                const seer_queue *queue) {
  seer_queue *next = seer_endpoints_next_queue(queue);
  while (next != NULL && (next->tenant == NULL || next->tenant->keep != keep ||
                          next->pending <= next->saved + next->entering))
    next = seer_endpoints_next_queue(next);
  return next;
}

void seer_tenants_look(seer_keep *keep) {
  seer_queue *queue = NULL;
  seer_assert(seer_lock_is_held());
  while (!keep->barred && (queue = next_lacking(keep, queue)) != NULL) {
    seer_line *line = &queue->line[SEER_QUEUED];
    line->unseen = line->head;
    line->delayed_seen = false;
    queue->turns.unseen = seer_turns_oldest(&queue->turns, false);
    keep->offering = true;
  }
}

/* What has begun to enter is to do so behind those that are older. */
static bool make_way(seer_keep *keep) {
  seer_event *event;
  for (int i = 0; i < SEER_KEEP_BATCH; i++)
    if ((event = seer_events_take(&keep->entering)) != NULL)
      release(event);
  return keep->entering.first == NULL;
}

static void offer(portion *left, seer_keep *keep) {
  seer_queue *queue = NULL;
  while (!is_spent(left) && (queue = next_lacking(keep, queue)) != NULL)
    if (keep->stopping || !queue->tenant->full) {
      offer_ready(left, keep, &queue->line[SEER_QUEUED]);
      offer_delayed(left, keep, &queue->line[SEER_QUEUED]);
      offer_followers(left, keep, queue);
    }
}

bool seer_tenants_offer(seer_keep *keep) {
  portion left = {LOOKS, SEER_KEEP_BATCH, SEER_KEEP_BYTES};
  seer_assert(seer_lock_is_held());
  if (keep->stopping)
    left = (portion){SIZE_MAX, SIZE_MAX, INT64_MAX};
  else if (keep->offered)
    return false;
  else if (!make_way(keep))
    return true;
  offer(&left, keep);
  keep->offering = is_spent(&left);
  keep->offered = keep->entering.first != NULL;
  return keep->offering && !keep->offered;
}

bool seer_tenants_are_entering(void) {
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next)
    if (keep->entering.first != NULL || keep->batch_count > 0)
      return true;
  return false;
}

bool seer_tenants_is_low(const seer_tenant *tenant) {
  return tenant->adopted->events < LOW;
}

static bool wants_more(const seer_keep *keep, int64_t now) {
  const seer_tenant *tenant = keep->tenants;
  while (tenant != NULL && now < seer_tenants_budget_due(tenant, now) &&
         (now < tenant->adopt_at || !seer_tenants_is_low(tenant)))
    tenant = tenant->next;
  return tenant != NULL;
}

int64_t seer_tenants_budget_due(const seer_tenant *tenant, int64_t now) {
  const seer_endpoint *endpoint = tenant->adopted->endpoint;
  const seer_store_driver *driver = tenant->keep->driver;
  if (driver == NULL || driver->budget == NULL || endpoint->rate_limit == 0)
    return SEER_NEVER;
  return seer_fleet_due(endpoint->gate, now);
}

int seer_tenants_remind(void) {
  int64_t now = seer_clock_coarse();
  int alarm = -1;
  seer_assert(seer_lock_is_held());
  for (seer_keep *keep = seer_keeps; keep != NULL && alarm < 0;
       keep = keep->next)
    if (now >= keep->healthy_at &&
        (keep->owed_count > 0 || now >= keep->look_at ||
         wants_more(keep, now)))
      alarm = seer_keep_kick(keep);
  return alarm;
}
