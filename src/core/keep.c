#include "keep.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

seer_keep *seer_keeps;

static bool is_same(const seer_keep *one, const seer_keep *other) {
  return one->driver == other->driver &&
         one->config_size == other->config_size &&
         (one->config_size == 0 ||
          memcmp(one->config, other->config, one->config_size) == 0);
}

/* Of another version nothing but that is known. */
static void bar(seer_keep *keep, int abi) {
  keep->driver = NULL;
  keep->config_size = 0;
  keep->barred = true;
  snprintf(keep->error, sizeof keep->error,
           "its module has version %d of the interface, this one needs %d: "
           "install both of the same release",
           abi, SEER_STORE_ABI);
}

static bool fits(const seer_store_object *object) {
  return object->abi == SEER_STORE_ABI &&
         object->driver->abi == SEER_STORE_ABI &&
         object->driver->row_size == sizeof(seer_row) &&
         object->driver->batch_size == sizeof(seer_batch);
}

static seer_keep *make(const seer_store_object *object) {
  seer_keep *keep = calloc(1, sizeof *keep);
  if (keep == NULL)
    return NULL;
  keep->alarm = -1;
  keep->era = keep->fuses = 1;
  keep->totals = (seer_store_totals){-1, -1, -1, -1, -1};
  if (!fits(object)) {
    bar(keep, object->abi);
    return keep;
  }
  keep->driver = object->driver;
  keep->config_size = object->config_size;
  keep->config = malloc((size_t)object->config_size + 1);
  if (keep->config != NULL)
    return memcpy(keep->config, object->config, object->config_size), keep;
  free(keep);
  return NULL;
}

seer_keep *seer_keep_get(const seer_store_object *object) {
  seer_keep *fresh = make(object), *keep;
  if (fresh == NULL)
    return NULL;
  seer_lock();
  for (keep = seer_keeps; keep != NULL && !is_same(keep, fresh);)
    keep = keep->next;
  if (keep == NULL) {
    fresh->next = seer_keeps;
    __atomic_store_n(&seer_keeps, fresh, __ATOMIC_RELEASE);
  }
  seer_unlock();
  if (keep == NULL)
    return fresh;
  free(fresh->config);
  free(fresh);
  return keep;
}

bool seer_keep_hangs(const seer_keep *keep, int64_t now) {
  seer_assert(seer_lock_is_held());
  return keep->work == SEER_KEEP_INSIDE &&
         now - keep->began > SEER_STORE_PATIENCE;
}

bool seer_keep_takes(const seer_keep *keep, int64_t now) {
  return !keep->barred && now >= keep->healthy_at &&
         keep->work != SEER_KEEP_STOPPED && !seer_keep_hangs(keep, now);
}

seer_event *seer_keep_take_out(seer_keep *keep,
                               const struct seer_queue *queue) {
  seer_event *event = keep->entering.first, *before = NULL;
  seer_assert(seer_lock_is_held());
  while (seer_event_stored(event)->queue != queue) {
    before = event;
    event = event->next;
  }
  if (before == NULL)
    return seer_events_take(&keep->entering);
  before->next = event->next;
  if (event->next == NULL)
    keep->entering.last = before;
  event->next = NULL;
  return event;
}

void seer_keep_owe(seer_keep *keep, seer_store_id row) {
  seer_assert(keep->owed_count < keep->owed_room);
  keep->owed[keep->owed_count++] = row;
  keep->owed_ever++;
}

void seer_keep_owe_former(seer_keep *keep, seer_event *event) {
  seer_stored *stored = seer_event_stored(event);
  seer_store_id row = {stored->row[0], stored->row[1]};
  if (row.a != 0 || row.b != 0)
    seer_keep_owe(keep, row);
  stored->row[0] = stored->row[1] = 0;
}

void seer_keep_save(seer_keep *keep, seer_event *event, seer_store_id row,
                    bool sure) {
  seer_stored *stored = seer_event_stored(event);
  seer_assert(seer_lock_is_held());
  stored->row[0] = row.a;
  stored->row[1] = row.b;
  stored->era = sure ? keep->era : 0;
  keep->rows++;
}

bool seer_keep_has(const seer_keep *keep, seer_event *event) {
  return seer_event_stored(event)->era == keep->era;
}

void seer_keep_miss(seer_keep *keep, seer_event *event, int64_t now) {
  seer_assert(seer_lock_is_held());
  if (!seer_keep_has(keep, event) && !keep->full)
    keep->look_at =
        seer_clock_sooner(keep->look_at, now - SEER_CLOCK_COARSENESS);
}

/* Where the last of some is settled the process has survived them: twice as
   many may come, at once. */
static void end_fused(seer_keep *keep) {
  if (--keep->fused > 0)
    return;
  if (keep->fuses < SEER_KEEP_BATCH)
    keep->fuses *= 2;
  for (seer_tenant *it = keep->tenants; it != NULL; it = it->next)
    it->adopt_at = 0;
}

void seer_keep_settle(seer_keep *keep, seer_event *event, bool owed) {
  const seer_stored *stored = seer_event_stored(event);
  seer_store_id row = {stored->row[0], stored->row[1]};
  seer_assert(seer_lock_is_held());
  if (event->parts & SEER_EVENT_FUSED)
    end_fused(keep);
  if (row.a == 0 && row.b == 0)
    return;
  if (owed)
    seer_keep_owe(keep, row);
  else
    keep->rows--;
  seer_assert(keep->owed_count <= keep->rows && keep->rows <= keep->owed_room);
}

int seer_keep_kick(seer_keep *keep) {
  seer_assert(seer_lock_is_held());
  if (keep->work != SEER_KEEP_ASLEEP)
    return -1;
  keep->work = SEER_KEEP_OUTSIDE;
  return keep->alarm;
}
