#include "transaction.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/thread.h"
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define MOST_HERE 512        /* events of a client that are here as well */
#define LOOK 10000           /* ms between looks for what others have left */
#define POLL 100             /* the same, while there is more to adopt */
#define AGAIN 1000           /* ms until a store that failed is tried again */
#define AGAIN_MOST 60000     /* ...which doubles up to this */
#define BYTES_KEPT (1 << 20) /* of the copies, between transactions */

seer_transaction *seer_transaction_new(void) {
  seer_transaction *t = calloc(1, sizeof *t);
  if (t != NULL)
    seer_buffer_init(&t->bodies, SIZE_MAX / 2);
  return t;
}

/*
** What there is to do.
*/

static void take_events(seer_transaction *t) {
  seer_keep *keep = t->keep;
  seer_event *event;
  seer_queue *queue;
  size_t count = 0, bytes = 0;
  while (count < SEER_KEEP_BATCH && bytes < SEER_KEEP_BYTES &&
         (event = seer_events_take(&keep->entering)) != NULL) {
    bytes += event->length;
    if (!seer_id_is_drawn(event->id))
      event->id = seer_id_next();
    queue = seer_event_stored(event)->queue;
    queue->staying = queue->staying_bytes = 0;
    seer_queue_storing(queue, event);
    keep->batch[count++] = event;
  }
  keep->batch_count = t->batch.put_count = count;
  keep->offered &= keep->entering.first != NULL;
}

static void take_owed(seer_transaction *t) {
  seer_keep *keep = t->keep;
  size_t count =
      keep->owed_count < SEER_KEEP_BATCH ? keep->owed_count : SEER_KEEP_BATCH;
  keep->owed_count -= count;
  if (count > 0) {
    memcpy(t->settled, keep->owed, count * sizeof *t->settled);
    memmove(keep->owed, keep->owed + count,
            keep->owed_count * sizeof *t->settled);
  }
  t->batch.settled_count = count;
}

/* The targets of those who run low. */
static void take_targets(seer_transaction *t, int64_t now) {
  seer_tenant *tenant = t->keep->tenants;
  size_t count = 0;
  for (; tenant != NULL && count < SEER_TRANSACTION_TARGETS;
       tenant = tenant->next)
    if (now >= tenant->adopt_at && seer_tenants_is_low(tenant)) {
      memcpy(t->targets[count], tenant->target, sizeof *t->targets);
      t->tenants[count++] = tenant;
    }
  t->batch.target_count = count;
  t->batch.room = count > 0 ? SEER_KEEP_BATCH : 0;
}

static void take_asker(seer_transaction *t, int64_t now) {
  const seer_store_driver *driver = t->keep->driver;
  seer_tenant *tenant =
      driver != NULL && driver->budget != NULL ? t->keep->tenants : NULL;
  while (tenant != NULL && seer_tenants_budget_due(tenant, now) > now)
    tenant = tenant->next;
  t->asker = tenant;
  t->gate = NULL;
  t->unshared = false;
}

static void adopt(void *to, const seer_row *row);

bool seer_transaction_begin(seer_transaction *t, seer_keep *keep,
                            int64_t now) {
  seer_assert(seer_lock_is_held());
  memset(&t->batch, 0, sizeof t->batch);
  t->keep = keep;
  t->message[0] = '\0';
  if (now < keep->healthy_at && !keep->stopping)
    return false;
  take_events(t);
  take_owed(t);
  take_asker(t, now);
  if (!keep->stopping && keep->owed_count == 0)
    take_targets(t, now); /* else it might adopt what is to be forgotten */
  t->batch.look = now >= keep->look_at && !keep->stopping;
  t->batch.puts = t->rows;
  t->batch.settled = t->settled;
  t->batch.targets = (const uint8_t(*)[16])t->targets;
  t->batch.kinds = SEER_POST;
  t->batch.fuse = keep->fused == 0 ? keep->fuses : 0;
  t->batch.adopt = adopt;
  t->batch.to = t;
  return t->batch.put_count > 0 || t->batch.settled_count > 0 ||
         t->batch.room > 0 || t->batch.look || t->asker != NULL ||
         (keep->delay > 0 && !keep->stopping); /* whether it works again */
}

/*
** Rows.
*/

/* The user of an identify: its first field's value, as it stands there. */
static const char *find_user(const seer_row *row, size_t *length) {
  const char *at = memchr(row->body, ':', row->length), *end;
  *length = 0;
  if (at == NULL)
    return row->body;
  for (end = at + 2; end < row->body + row->length && *end != '"'; end++)
    end += *end == '\\';
  *length = (size_t)(end - at);
  return at;
}

/* The same in all processes, and of use to nobody else. */
static uint64_t user_of(const seer_row *row) {
  uint8_t result[SEER_DIGEST_SIZE];
  seer_digest digest;
  uint64_t user;
  size_t length;
  const char *text = find_user(row, &length);
  seer_digest_init(&digest);
  seer_digest_add(&digest, row->target, 16);
  seer_digest_add(&digest, text, length);
  seer_digest_end(&digest, result);
  memcpy(&user, result, sizeof user);
  return user | 1;
}

static uint64_t turn_of(uint64_t user) {
  return seer_id_hash((const char *)&user, sizeof user);
}

static void fill(seer_transaction *t, size_t i, size_t *at, int64_t now) {
  seer_row *row = &t->rows[i];
  seer_event *event = t->keep->batch[i];
  const seer_queue *queue = seer_event_stored(event)->queue;
  int64_t captured = event->expires - queue->settings->max_age;
  *row = (seer_row){.target = queue->tenant->target,
                    .kind = event->kind,
                    .age = seer_clock_later(now - captured, 0),
                    .body = t->bodies.data + *at,
                    .length = event->length};
  *at += event->length;
  seer_id_bytes(event->id, row->uuid);
  if (event->parts & SEER_PART_TURN) {
    row->user = user_of(row);
    t->turns[i] = turn_of(row->user);
  }
}

/* Room for a row of each event that is here, or may be: so that nothing can
   fail when it is owed. */
static bool make_room(seer_transaction *t) {
  seer_keep *keep = t->keep;
  size_t need, room;
  seer_store_id *grown, *before;
  seer_lock();
  need = keep->rows + t->batch.put_count + t->batch.room;
  room = keep->owed_room;
  seer_unlock();
  if (need <= room)
    return true;
  grown = malloc(2 * need * sizeof *grown);
  if (grown == NULL)
    return false;
  seer_lock();
  before = keep->owed;
  if (keep->owed_count > 0)
    memcpy(grown, before, keep->owed_count * sizeof *grown);
  keep->owed = grown;
  keep->owed_room = 2 * need;
  seer_unlock();
  free(before);
  return true;
}

bool seer_transaction_copy(seer_transaction *t, int64_t now) {
  size_t at = 0;
  seer_buffer_reset(&t->bodies, BYTES_KEPT);
  for (size_t i = 0; i < t->batch.put_count; i++)
    seer_buffer_append(&t->bodies, t->keep->batch[i]->body,
                       t->keep->batch[i]->length);
  if (t->bodies.error != SEER_BUFFER_OK || !make_room(t)) {
    snprintf(t->message, sizeof t->message, "out of memory");
    t->result = SEER_STORE_LATER;
    return false;
  }
  for (size_t i = 0; i < t->batch.put_count; i++)
    fill(t, i, &at, now);
  return true;
}

/* Whether there is room in memory for one more that is in the store as well:
   half of the queue is for what enters. */
static bool has_room(const seer_queue *queue, int64_t size) {
  int64_t events = queue->events - queue->entering + queue->staying + 1;
  int64_t bytes = queue->bytes - queue->entering_bytes + queue->staying_bytes;
  return events <= MOST_HERE &&
         events <= queue->settings->max_queue_events / 2 &&
         bytes + size <= queue->settings->max_queue_bytes / 2;
}

/* An identify stays where an earlier one of its user is; and with the store,
   if that one was adopted, for the two are in different lines here. What was
   tried stays, for the store knows nothing of when it is due. */
static bool is_to_stay(const seer_transaction *t, size_t i, seer_queue *queue,
                       int64_t size) {
  seer_event *event = t->keep->batch[i];
  if (t->keep->stopping ||
      (t->rows[i].user != 0 &&
       seer_turns_has(&queue->tenant->adopted->turns, t->turns[i])))
    return false;
  return seer_turns_follows(event) || event->attempts > 0 ||
         has_room(queue, size);
}

void seer_transaction_decide(seer_transaction *t) {
  seer_assert(seer_lock_is_held());
  for (size_t i = 0; i < t->batch.put_count; i++) {
    seer_event *event = t->keep->batch[i];
    seer_queue *queue = seer_event_stored(event)->queue;
    int64_t size = (int64_t)seer_event_size(event);
    bool mine = is_to_stay(t, i, queue, size);
    t->rows[i].mine = mine;
    queue->staying += mine;
    queue->staying_bytes += mine ? size : 0;
    t->batch.displace |= queue->settings->drop_oldest != 0;
  }
}

/*
** Adopting.
*/

/* Called by the driver. Without memory the row stays with this process, which
   leaves it to others at its end. */
static void adopt(void *to, const seer_row *row) {
  seer_transaction *t = to;
  const char *user = row->user != 0 ? (const char *)&row->user : NULL;
  seer_event *event =
      seer_event_new(&(seer_draft){.kind = (seer_kind)row->kind,
                                   .body = row->body,
                                   .length = row->length,
                                   .user = user,
                                   .user_length = sizeof row->user,
                                   .stored = true});
  seer_stored *stored;
  if (event == NULL)
    return;
  stored = seer_event_stored(event);
  stored->row[0] = row->id.a;
  stored->row[1] = row->id.b;
  event->id = seer_id_read(row->uuid);
  event->expires = row->age; /* until it has its place */
  for (seer_tenant *tenant =
           __atomic_load_n(&t->keep->tenants, __ATOMIC_ACQUIRE);
       tenant != NULL && stored->queue == NULL; tenant = tenant->next)
    if (memcmp(tenant->target, row->target, sizeof tenant->target) == 0)
      stored->queue = tenant->adopted;
  if (row->tries >= SEER_STORE_TRIES)
    event->parts |= SEER_EVENT_FUSED;
  seer_events_add(&t->adopted, event);
}

static bool is_done(const seer_transaction *t) {
  return t->result == SEER_STORE_DONE || t->result == SEER_STORE_FULL;
}

static void ask(seer_transaction *t) {
  seer_queue *queue = t->asker->adopted;
  seer_endpoint *endpoint = queue->endpoint;
  seer_store_message message;
  seer_budget *budget = &t->budget;
  seer_lock();
  t->asked_at = seer_clock_now();
  if (seer_fleet_ask(endpoint->gate, seer_gate_share(endpoint->rate_limit),
                     t->keep->stopping ? 0 : queue->settings->timeout,
                     t->batch.put_count > 0 && !t->keep->stopping, t->asked_at,
                     budget))
    t->gate = endpoint->gate;
  seer_unlock();
  if (t->gate == NULL)
    return;
  memcpy(budget->target, t->asker->budget, sizeof budget->target);
  budget->granted = budget->owed = budget->hold = 0;
  if (is_done(t))
    t->unshared = t->keep->driver->budget(t->keep->store, budget, message) !=
                  SEER_STORE_DONE;
  if (t->unshared)
    memcpy(t->message, message, sizeof t->message);
}

/* With the lock held: slots came free. */
static bool end_asking(seer_transaction *t, int64_t now) {
  seer_endpoint *endpoint = t->asker->adopted->endpoint;
  if (t->gate == NULL || endpoint->gate != t->gate ||
      !seer_fleet_learn(t->gate, &t->budget, is_done(t) && !t->unshared,
                        t->asked_at, now))
    return false;
  seer_schedule_now(&endpoint->lines.place);
  return true;
}

/* What a store says when it opens is told, unless there is worse. */
void seer_transaction_commit(seer_transaction *t) {
  seer_keep *keep = t->keep;
  seer_store_message opened = "";
  t->result = SEER_STORE_LATER;
  if (keep->store == NULL) {
    keep->store = keep->driver->open(keep->config, t->message);
    memcpy(opened, t->message, sizeof opened);
  }
  if (keep->store != NULL)
    t->result = keep->driver->commit(keep->store, &t->batch, t->message);
  if (t->message[0] == '\0')
    memcpy(t->message, opened, sizeof opened);
  t->message[sizeof t->message - 1] = '\0';
  if (t->result == SEER_STORE_BROKEN) {
    keep->driver->close(keep->store);
    keep->store = NULL;
  }
  if (t->asker != NULL)
    ask(t);
}

/*
** What has come of it.
*/

/* Whether the row is one that this transaction has put, for nobody. */
static bool was_put(const seer_transaction *t, seer_store_id row) {
  size_t i = 0;
  while (i < t->batch.put_count &&
         (t->rows[i].id.a != row.a || t->rows[i].id.b != row.b))
    i++;
  return i < t->batch.put_count;
}

/* What was adopted goes to its lines, or back if nothing was; but for what was
   rescued meanwhile and is here. */
static bool end_adopting(seer_transaction *t, bool rescued, int64_t now,
                         seer_dead *dead) {
  seer_keep *keep = t->keep;
  seer_event *event;
  bool any = false;
  while ((event = seer_events_take(&t->adopted)) != NULL) {
    seer_stored *stored = seer_event_stored(event);
    seer_store_id row = {stored->row[0], stored->row[1]};
    if (!is_done(t) || stored->queue == NULL || (rescued && was_put(t, row))) {
      seer_dead_add(dead, event);
      continue;
    }
    keep->fused += (event->parts & SEER_EVENT_FUSED) != 0;
    event->expires = now - event->expires + stored->queue->settings->max_age;
    seer_keep_save(keep, event, row, true);
    seer_queue_adopt(stored->queue, event);
    any = true;
  }
  return any;
}

static bool is_put(const seer_transaction *t, size_t i) {
  return t->result == SEER_STORE_DONE ||
         (t->result == SEER_STORE_FULL && t->rows[i].put);
}

/* One that was rescued meanwhile is in its line, and goes on without what was
   put of it. */
static void end_rescued(seer_transaction *t) {
  for (size_t i = 0; i < t->batch.put_count; i++)
    if (is_put(t, i) || t->result == SEER_STORE_UNSURE) {
      t->keep->rows++;
      seer_keep_owe(t->keep, t->rows[i].id);
    }
}

static bool end_put(seer_transaction *t, size_t i, seer_dead *dead) {
  seer_keep *keep = t->keep;
  seer_event *event = keep->batch[i];
  seer_queue *queue = seer_event_stored(event)->queue;
  bool done = is_put(t, i), mine = t->rows[i].mine;
  queue->tenant->full = !done && is_done(t);
  if (done || t->result == SEER_STORE_UNSURE)
    seer_keep_owe_former(keep, event);
  if (done && !mine) {
    seer_queue_leave(queue, event, dead);
    queue->tenant->adopt_at = 0; /* it may be wanted at once */
    return false;
  }
  if (done || t->result == SEER_STORE_UNSURE)
    seer_keep_save(keep, event, t->rows[i].id, done);
  seer_queue_entered(queue, event);
  return true;
}

static void end_settled(seer_transaction *t) {
  seer_keep *keep = t->keep;
  size_t count = t->batch.settled_count;
  if (is_done(t)) {
    keep->rows -= count;
    keep->forgotten += count;
    return;
  }
  if (count > 0)
    memcpy(keep->owed + keep->owed_count, t->settled,
           count * sizeof *t->settled);
  keep->owed_count += count;
}

/* What was stored before is not to be relied on. */
static void begin_era(seer_keep *keep) {
  keep->era++;
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue))
    if (queue->tenant != NULL && queue->tenant->keep == keep)
      queue->saved = 0;
}

static void set_times(seer_transaction *t, bool adopted, int64_t now) {
  seer_keep *keep = t->keep;
  if (!is_done(t)) {
    keep->delay = keep->delay == 0
                      ? AGAIN
                      : seer_clock_sooner(2 * keep->delay, AGAIN_MOST);
    keep->healthy_at = now + keep->delay;
    keep->offering = false;
    return;
  }
  keep->healthy_at = keep->delay = 0;
  keep->displaced += t->batch.displaced;
  if (t->batch.look) {
    keep->look_at = now + LOOK;
    keep->totals = t->batch.totals;
    for (seer_tenant *it = keep->tenants; it != NULL; it = it->next)
      it->full = false;
  }
  for (size_t i = 0; i < t->batch.target_count; i++)
    t->tenants[i]->adopt_at = adopted            ? now
                              : t->batch.backlog ? now + POLL
                                                 : keep->look_at;
}

bool seer_transaction_end(seer_transaction *t, int64_t now, seer_dead *dead) {
  seer_keep *keep = t->keep;
  bool rescued = keep->batch_count == 0, useless, news;
  seer_assert(seer_lock_is_held());
  if (t->result == SEER_STORE_BROKEN)
    begin_era(keep);
  end_settled(t);
  news = end_adopting(t, rescued, now, dead);
  set_times(t, news, now);
  news |= t->asker != NULL && end_asking(t, now);
  if (rescued)
    end_rescued(t);
  for (size_t i = 0; i < keep->batch_count; i++)
    news |= end_put(t, i, dead);
  keep->batch_count = 0;
  useless = !is_done(t) ||
            (keep->full && t->result == SEER_STORE_FULL && !keep->stopping);
  keep->full =
      t->result == SEER_STORE_FULL || (keep->full && t->batch.put_count == 0);
  if (useless) /* those behind them, in their order: with a full store until
                  the next look, which may find them many */
    seer_tenants_release(keep);
  return news || useless;
}
