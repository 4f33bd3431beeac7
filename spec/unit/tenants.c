#include "core/tenants.h"

#include "client.h"
#include "core/base/thread.h"
#include "core/transaction.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define USERS 40
#define MOST_OF_ONE 50 /* identifies of a user */

static seer_queue *queue, adopted;
static seer_lines lines;
static seer_tenant tenant;
static seer_keep keep;
static seer_transaction *transaction;
static int special, number, of_user[USERS];
static const seer_event *last; /* that was offered */

static void begin_test(void) {
  static seer_settings settings;
  settings = client_settings(0, 1000);
  memset(&lines, 0, sizeof lines);
  memset(of_user, 0, sizeof of_user);
  special = number = 0;
  last = NULL;
  client_keep(&keep, &tenant, &adopted);
  if (queue == NULL) {
    queue = client_open("key of a tenant", &settings);
    transaction = seer_transaction_new();
  }
  seer_queue_init(&adopted, queue->party, &lines);
  queue->tenant = &tenant;
}

static void end_test(void) {
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event;
  seer_lock();
  while ((event = seer_events_take(&keep.entering)) != NULL)
    seer_queue_entered(queue, event);
  seer_queue_drop_all(queue, SEER_SETTLED_EXIT, &dead);
  while (queue->flying != NULL)
    seer_queue_done(queue, queue->flying, SEER_SETTLED_EXIT, &dead);
  queue->tenant = NULL;
  seer_unlock();
  seer_dead_free(&dead);
}

/* Each event has a number that grows. */
static seer_event *put_event(int64_t user, bool identify,
                             const seer_special *own) {
  char body[80], name[8];
  int length = snprintf(body, sizeof body, "{\"user_id\":\"u%d\",\"n\":%08d}",
                        (int)user, number++);
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event;
  snprintf(name, sizeof name, "u%d", (int)user);
  event = seer_event_new(
      &(seer_draft){.kind = identify ? SEER_IDENTIFY : SEER_CAPTURE,
                    .body = body,
                    .length = (size_t)length,
                    .user = identify ? name : NULL,
                    .user_length = strlen(name),
                    .special = own,
                    .stored = true});
  seer_lock();
  seer_queue_put(queue, event, unit_now, &dead);
  seer_unlock();
  seer_dead_free(&dead);
  return event;
}

/* A capture, also with headers of its own, or an identify. */
static void put(void) {
  static const seer_special own = {.max_retries = -1, .headers = "A: b\0"};
  int64_t what = unit_random(10), user = unit_random(USERS);
  bool identify = what < 4 && of_user[user] < MOST_OF_ONE;
  put_event(user, identify, what > 7 ? &own : NULL);
  of_user[user] += identify;
  special += what > 7;
}

/* The first is delivered, or comes back, at once or later. */
static void send(void) {
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event;
  seer_lock();
  event = seer_queue_claim(&queue->line[SEER_QUEUED], unit_now, &dead);
  if (event != NULL && unit_random(2)) {
    special -= (event->parts & SEER_PART_SPECIAL) != 0;
    seer_queue_done(queue, event, SEER_SETTLED_DELIVERED, &dead);
  } else if (event != NULL) {
    seer_queue_release(queue, event, unit_now + unit_random(2) * 1000,
                       unit_now);
  }
  seer_unlock();
  seer_dead_free(&dead);
}

static bool is_entering(const seer_event *event) {
  const seer_event *it = keep.entering.first;
  while (it != NULL && it != event)
    it = it->next;
  return it != NULL;
}

/* How much is moved while the lock is held. `meanwhile`: others have it in
   between. */
static void offer(bool meanwhile) {
  bool again = true;
  while (keep.offering && again) {
    int64_t before = queue->entering, moved;
    bool unfinished = keep.offering && is_entering(last);
    seer_lock();
    again = seer_tenants_offer(&keep);
    seer_unlock();
    moved = queue->entering - before;
    CHECK(!unfinished || is_entering(last));
    if (moved > 0)
      last = keep.entering.last;
    CHECK(moved >= -SEER_KEEP_BATCH);
    CHECK(moved <= SEER_KEEP_BATCH + MOST_OF_ONE);
    if (meanwhile && unit_random(2))
      put();
    if (meanwhile && unit_random(2))
      send();
  }
}

static void transact(void) {
  static uint64_t rows;
  seer_dead dead = SEER_NO_DEAD;
  bool begun;
  seer_lock();
  begun = seer_transaction_begin(transaction, &keep, unit_now);
  seer_unlock();
  if (!begun)
    return;
  CHECK(seer_transaction_copy(transaction, unit_now));
  transaction->result = SEER_STORE_DONE;
  seer_lock();
  seer_transaction_decide(transaction);
  for (size_t i = 0; i < transaction->batch.put_count; i++) {
    transaction->rows[i].id.a = ++rows;
    transaction->rows[i].mine = true;
  }
  seer_transaction_end(transaction, unit_now, &dead);
  seer_unlock();
  seer_dead_free(&dead);
}

static void offer_all(bool meanwhile) {
  seer_lock();
  seer_tenants_look(&keep);
  seer_unlock();
  do {
    offer(meanwhile);
    transact();
    if (!is_entering(last))
      last = NULL; /* its memory may soon be another's */
    keep.look_at = unit_now + 1000000;
  } while (keep.offering || keep.entering.first != NULL);
}

/* Whether the rows of a user, from its first event that is here, grow. */
static void check_order(seer_event *event) {
  uint64_t row = 0;
  for (; event != NULL && event->parts & SEER_PART_TURN;
       event = seer_event_turn(event)->follower) {
    const seer_stored *stored = seer_event_stored(event);
    if (event->parts & SEER_PART_SPECIAL)
      continue;
    CHECK(stored->row[0] > row);
    row = stored->row[0];
  }
}

static void offers_all_in_portions(void) {
  for (int round = 0; round < 20; round++) {
    begin_test();
    for (int trouble = 0; trouble < 3; trouble++) {
      keep.healthy_at = INT64_MAX;
      for (int64_t i = unit_random(3000); i >= 0; i--)
        put();
      for (int64_t i = unit_random(300); i >= 0; i--)
        send();
      keep.healthy_at = 0;
      for (int64_t i = unit_random(600); i >= 0; i--)
        put();
      offer_all(true);
    }
    offer_all(false); /* what came back behind what had been looked at */
    CHECK(queue->pending - queue->saved == special);
    for (const seer_event *it = queue->line[SEER_QUEUED].head; it != NULL;
         it = it->next)
      check_order((seer_event *)(uintptr_t)it);
    end_test();
  }
}

/* What is in flight may never come back; if it does, it enters before those
   behind it. */
static void enters_behind_one_in_flight(void) {
  seer_event *first, *second;
  seer_dead dead = SEER_NO_DEAD;
  begin_test();
  keep.healthy_at = INT64_MAX;
  first = put_event(0, true, NULL);
  second = put_event(0, true, NULL);
  seer_lock();
  CHECK(seer_queue_claim(&queue->line[SEER_QUEUED], unit_now, &dead) == first);
  seer_unlock();
  keep.healthy_at = 0;
  offer_all(false);
  CHECK(!seer_keep_has(&keep, first) && seer_keep_has(&keep, second));
  seer_lock();
  seer_queue_release(queue, first, unit_now, unit_now);
  seer_unlock();
  offer_all(false);
  CHECK(seer_keep_has(&keep, first) && seer_keep_has(&keep, second));
  check_order(first);
  end_test();
}

const unit_test unit_tenants[] = {
    {"what is in memory alone is offered in portions, and in order",
     offers_all_in_portions                                              },
    {"an identify enters behind one that is in flight",
     enters_behind_one_in_flight                                         },
    {NULL,                                                           NULL},
};
