#include "queue_model.h"

#include "core/base/clock.h"
#include "unit.h"

#include <string.h>

struct queue_model model;

void model_begin(const seer_settings *settings) {
  memset(&model, 0, sizeof model);
  model.settings = settings;
  model.known[SEER_WAITED] = model.known[SEER_QUEUED] = -1;
}

int model_urgency(const item *it) {
  return it->request != NULL ? SEER_WAITED : SEER_QUEUED;
}

static void append(item *it) {
  int urgency = model_urgency(it);
  it->place = READY;
  model.line[urgency][model.lengths[urgency]++] = (int)(it - model.items);
}

static void prepend(item *it) {
  int urgency = model_urgency(it);
  it->place = READY;
  memmove(&model.line[urgency][1], &model.line[urgency][0],
          (size_t)model.lengths[urgency]++ * sizeof(int));
  model.line[urgency][0] = (int)(it - model.items);
}

void model_take_out(item *it) {
  int urgency = model_urgency(it), at = 0;
  if (it->place == READY) {
    while (model.line[urgency][at] != it - model.items)
      at++;
    memmove(&model.line[urgency][at], &model.line[urgency][at + 1],
            (size_t)(--model.lengths[urgency] - at) * sizeof(int));
  }
}

item *model_head(int urgency) {
  return model.lengths[urgency] > 0 ? &model.items[model.line[urgency][0]]
                                    : NULL;
}

/* The oldest of those in a place, of a user (-1: any) and, if so wished, of
   those that nobody waits for. */
static item *oldest_in(place where, int user, bool queued) {
  item *oldest = NULL;
  for (item *it = model.items; it < model.items + ITEMS; it++)
    if (it->place == where && (user < 0 || it->user == user) &&
        !(queued && it->request != NULL) &&
        (oldest == NULL || it->order < oldest->order))
      oldest = it;
  return oldest;
}

static item *first_due(int urgency) {
  item *first = NULL;
  for (item *it = model.items; it < model.items + ITEMS; it++)
    if (it->place == DELAYED && model_urgency(it) == urgency &&
        (first == NULL || it->due < first->due))
      first = it;
  return first;
}

void model_settle(item *it, seer_settlement settlement) {
  item *next = NULL;
  bool followed = it->user >= 0 && it->place != FOLLOWING;
  model_take_out(it);
  it->place = GONE;
  if (!it->cancelled)
    model.settled[settlement]++;
  model.gone++;
  if (followed)
    next = oldest_in(FOLLOWING, it->user, false);
  if (next != NULL)
    prepend(next);
}

static bool is_expired(const item *it) {
  return it->request == NULL && it->expires <= unit_now;
}

void model_come_back(item *it) {
  if (is_expired(it))
    prepend(it);
  else
    append(it);
}

void model_wake(int urgency) {
  for (int i = 0; i < SEER_URGENCIES; i++) {
    item *it;
    while ((i == urgency || urgency == SEER_URGENCIES) &&
           (it = first_due(i)) != NULL && it->due <= unit_now)
      model_come_back(it);
  }
}

void model_expire(int urgency) {
  item *it;
  while ((it = model_head(urgency)) != NULL &&
         (is_expired(it) || it->cancelled))
    model_settle(it,
                 it->cancelled ? SEER_SETTLED_REJECTED : SEER_SETTLED_EXPIRED);
}

void model_add_up(bool held, int64_t *events, int64_t *bytes) {
  *events = *bytes = 0;
  for (item *it = model.items; it < model.items + ITEMS; it++) {
    if (it->place != GONE &&
        (!held || it->request != NULL || it->place == FLYING)) {
      *events += 1;
      *bytes += it->size;
    }
  }
}

static bool fits(bool held, int64_t size) {
  int64_t events, bytes;
  model_add_up(held, &events, &bytes);
  return events < model.settings->max_queue_events &&
         bytes + size <= model.settings->max_queue_bytes;
}

static void model_displace(item *it) {
  int urgency = SEER_QUEUED, first = (int)(it - model.items);
  int second = model.lengths[urgency] > 1 ? model.line[urgency][1] : -1;
  bool leads = model.lengths[urgency] > 0 && model.line[urgency][0] == first;
  int64_t expires = it->expires;
  model_settle(it, SEER_SETTLED_DISPLACED);
  if (leads && model.known[urgency] == first && second >= 0 &&
      model.line[urgency][0] == second &&
      model.items[second].expires >= expires)
    model.known[urgency] = second;
}

bool model_room(int64_t size) {
  item *it;
  if (fits(false, size))
    return true;
  model_wake(SEER_QUEUED);
  model_expire(SEER_QUEUED);
  while ((it = oldest_in(FOLLOWING, -1, true)) != NULL && is_expired(it))
    model_settle(it, SEER_SETTLED_EXPIRED);
  while (!fits(false, size) && model.settings->drop_oldest &&
         fits(true, size)) {
    it = model_head(SEER_QUEUED);
    if (it == NULL)
      it = first_due(SEER_QUEUED);
    if (it == NULL)
      it = oldest_in(FOLLOWING, -1, true);
    model_displace(it);
  }
  return fits(false, size);
}

void model_put(item *it) {
  item *before = it->user < 0 ? NULL : oldest_in(READY, it->user, false);
  for (place where = DELAYED; it->user >= 0 && where <= FLYING; where++)
    if (before == NULL)
      before = oldest_in(where, it->user, false);
  it->expires = unit_now + SEER_CLOCK_COARSENESS + model.settings->max_age;
  it->order = model.orders++;
  model.accepted++;
  if (before != NULL)
    it->place = FOLLOWING;
  else
    append(it);
}
