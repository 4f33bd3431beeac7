#include "core/transaction.h"

#include "client.h"
#include "core/base/thread.h"
#include "unit.h"

#include <string.h>

#define QUEUES 3

/* The model: what each queue has that the keeper does not. */
static int64_t here[QUEUES], here_bytes[QUEUES];

static seer_queue queues[QUEUES], adopted;
static seer_lines lines;
static seer_tenant tenant;
static seer_keep keep;
static seer_transaction *transaction;

static void take_in(int64_t which, const seer_event *event, int sign) {
  here[which] += sign;
  here_bytes[which] += sign * (int64_t)seer_event_size(event);
}

static int64_t queue_of(seer_event *event) {
  return seer_event_stored(event)->queue - queues;
}

static void begin_test(void) {
  static seer_settings settings[QUEUES];
  static seer_party parties[QUEUES];
  memset(&lines, 0, sizeof lines);
  memset(here, 0, sizeof here);
  memset(here_bytes, 0, sizeof here_bytes);
  client_keep(&keep, &tenant, &adopted);
  for (int i = 0; i < QUEUES; i++) {
    settings[i] = (seer_settings){
        .max_event_bytes = 1000,
        .max_age = 1000000000,
        .max_queue_events = 1 + unit_random(i < 2 ? 20 : 3000),
        .max_queue_bytes = 500 + unit_random(i < 2 ? 20000 : 1000000),
    };
    parties[i].settings = &settings[i];
    seer_queue_init(&queues[i], &parties[i], &lines);
    queues[i].tenant = &tenant;
  }
  seer_queue_init(&adopted, &parties[0], &lines);
}

static void put(int64_t which) {
  static char body[300];
  size_t length = (size_t)(10 + unit_random(sizeof body - 10));
  seer_dead dead = SEER_NO_DEAD;
  seer_submitted result;
  seer_event *event;
  memset(body, 'x', sizeof body);
  event = seer_event_new(
      &(seer_draft){.body = body, .length = length, .stored = true});
  seer_lock();
  result = seer_queue_put(&queues[which], event, unit_now, &dead);
  seer_unlock();
  seer_dead_free(&dead);
  if (result == SEER_QUEUE_FULL)
    seer_event_free(event);
  else if (!(event->parts & SEER_EVENT_ENTERING))
    take_in(which, event, 1);
}

static void deliver(int64_t which) {
  seer_queue *queue = &queues[which];
  seer_dead dead = SEER_NO_DEAD;
  seer_event *event;
  seer_lock();
  event = seer_queue_claim(&queue->line[SEER_QUEUED], unit_now, &dead);
  if (event != NULL) {
    take_in(which, event, -1);
    seer_queue_done(queue, event, SEER_SETTLED_DELIVERED, &dead);
  }
  seer_unlock();
  seer_dead_free(&dead);
}

/* One by one, whether the events of the batch stay: as long as they and the
   others have no more than half of the queue. */
static bool judge(size_t count) {
  bool right = true;
  for (size_t i = 0; i < count; i++) {
    const seer_event *event = keep.batch[i];
    int64_t which = queue_of(keep.batch[i]);
    const seer_settings *settings = queues[which].settings;
    bool stays;
    take_in(which, event, 1);
    stays = here[which] <= 512 &&
            2 * here[which] <= settings->max_queue_events &&
            2 * here_bytes[which] <= settings->max_queue_bytes;
    right &= transaction->rows[i].mine == stays;
    if (!stays)
      take_in(which, event, -1);
  }
  return right;
}

/* The store does not work: all that was to enter it is here, too. */
static void take_in_all(void) {
  for (size_t i = 0; i < transaction->batch.put_count; i++)
    if (!transaction->rows[i].mine)
      take_in(queue_of(keep.batch[i]), keep.batch[i], 1);
  for (seer_event *it = keep.entering.first; it != NULL; it = it->next)
    take_in(queue_of(it), it, 1);
}

static void transact(void) {
  static uint64_t numbers;
  seer_dead dead = SEER_NO_DEAD;
  bool begun, right = true;
  seer_lock();
  begun = seer_transaction_begin(transaction, &keep, unit_now);
  seer_unlock();
  if (!begun)
    return;
  CHECK(seer_transaction_copy(transaction, unit_now));
  transaction->result = unit_random(10) ? SEER_STORE_DONE : SEER_STORE_LATER;
  seer_lock();
  seer_transaction_decide(transaction);
  for (size_t i = 0; i < transaction->batch.put_count; i++)
    transaction->rows[i].id.a = ++numbers;
  right = judge(transaction->batch.put_count);
  if (transaction->result != SEER_STORE_DONE)
    take_in_all();
  seer_transaction_end(transaction, unit_now, &dead);
  seer_unlock();
  seer_dead_free(&dead);
  CHECK(right);
}

static void check(void) {
  for (int i = 0; i < QUEUES; i++) {
    const seer_queue *queue = &queues[i];
    CHECK(queue->events - queue->entering == here[i]);
    CHECK(queue->bytes - queue->entering_bytes == here_bytes[i]);
  }
}

static void keeps_half(void) {
  if (transaction == NULL)
    transaction = seer_transaction_new();
  for (int round = 0; round < 100; round++) {
    begin_test();
    for (int i = 0; i < 2000; i++) {
      int64_t what = unit_random(100), which = unit_random(QUEUES);
      if (what < 85)
        put(which);
      else if (what < 93)
        deliver(which);
      else
        transact();
      unit_now += unit_random(50);
      check();
    }
    do {
      unit_now += 60000;
      transact();
    } while (keep.entering.first != NULL);
    for (int i = 0; i < QUEUES; i++)
      while (here[i] > 0)
        deliver(i);
    check();
  }
}

const unit_test unit_keep[] = {
    {"a queue keeps half of its room for what enters the store", keeps_half},
    {NULL,                                                       NULL      }
};
