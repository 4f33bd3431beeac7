#include "keeper.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/thread.h"
#include "fleet.h"
#include "loop.h"
#include "share.h"
#include "state.h"
#include "tenants.h"
#include "transaction.h"

#include <limits.h>
#include <stdio.h>
#pragma GCC visibility push(hidden)

#define LINGER 5      /* ms between transactions, so that they have company */
#define REFUSED 1000  /* ms until a thread is asked for again */
#define FORK_WAIT 200 /* ms that a fork waits for a store */

/*
** Telling.
*/

/* With the lock held: what is to be said of a transaction; NULL: nothing. */
static const char *choose_words(seer_transaction *t, bool failed, int64_t now,
                                seer_level *level) {
  seer_keep *keep = t->keep;
  *level = SEER_WARN;
  if (t->result == SEER_STORE_FULL)
    return seer_trouble_happened(&keep->fullness, now) >= 0
               ? "full, events are kept in memory alone"
               : NULL;
  if (t->result != SEER_STORE_DONE) {
    snprintf(keep->error, sizeof keep->error, "%s", t->message);
    return seer_trouble_happened(&keep->failure, now) >= 0
               ? SEER_TENANTS_FAILING
               : NULL;
  }
  if (t->unshared)
    return seer_trouble_happened(&keep->unshared, now) >= 0
               ? "the rate limit is not shared, a part of it is used"
               : NULL;
  if (t->message[0] != '\0')
    return "";
  *level = SEER_INFO;
  return failed ? "works again" : NULL;
}

/*
** Transactions.
*/

/* With the lock held: goes inside. */
static void go_inside(seer_keep *keep) {
  keep->work = SEER_KEEP_INSIDE;
  keep->began = seer_clock_now();
  keep->suspended = false;
}

/* With the lock held: the sender looks again if it would sleep for longer than
   a store may take; the result is the alarm to ring, or -1. */
static int warn_sender(int64_t now) {
  bool late = seer_state.wakes_at > now + 2 * (int64_t)SEER_STORE_PATIENCE;
  return late ? seer_state_kick() : -1;
}

/* Without the lock. Not where clients are made, before a keeper works: this is
   the process, and the user, that sends. */
static void share_rates(const seer_keep *keep) {
  const seer_tenant *tenant =
      __atomic_load_n(&keep->tenants, __ATOMIC_ACQUIRE);
  for (; tenant != NULL; tenant = tenant->next)
    if (__atomic_load_n(&tenant->shares, __ATOMIC_RELAXED))
      seer_share(tenant->adopted);
}

/* Without the lock; with it held afterwards, and inside until then. */
static void perform(seer_transaction *t, int64_t now) {
  seer_keep *keep = t->keep;
  bool copied = seer_transaction_copy(t, now);
  int alarm;
  seer_lock();
  if (!copied)
    return;
  seer_transaction_decide(t);
  go_inside(keep);
  alarm = t->batch.put_count > 0 ? warn_sender(now) : -1;
  seer_unlock();
  seer_alarm_ring(alarm);
  if (t->batch.look)
    share_rates(keep);
  seer_transaction_commit(t);
  seer_lock();
}

/* With the lock held, which is given up: draws the conclusions, and tells. */
static void conclude(seer_transaction *t, bool stop) {
  seer_keep *keep = t->keep;
  seer_dead dead = SEER_NO_DEAD;
  int64_t now = seer_clock_now();
  bool failed = keep->delay > 0 || seer_keep_hangs(keep, now);
  seer_level level;
  const char *words;
  int alarm = -1;
  if (seer_transaction_end(t, now, &dead)) {
    if (seer_state.stage == SEER_LIVING)
      seer_loop_start();
    alarm = seer_state_kick();
  }
  if (keep->delay == 0 && (failed || t->batch.look) && !keep->stopping &&
      seer_state.stage == SEER_LIVING)
    seer_tenants_look(keep);
  words = stop ? NULL : choose_words(t, failed, now, &level);
  keep->work = SEER_KEEP_OUTSIDE;
  seer_wake();
  seer_unlock();
  seer_alarm_ring(alarm);
  seer_endpoints_bury(&dead);
  if (words != NULL)
    seer_tenants_say(keep, level, words, t->message);
}

/* With the lock held, which is given up meanwhile: one transaction, if there
   is something to do. */
static bool pass(seer_transaction *t, seer_keep *keep) {
  int64_t now = seer_clock_now();
  bool stop = keep->stopping;
  if (!seer_transaction_begin(t, keep, now))
    return false;
  keep->work = SEER_KEEP_COPYING;
  seer_unlock();
  perform(t, now);
  conclude(t, stop);
  seer_lock();
  return true;
}

/*
** The thread.
*/

/* With the lock held, which is given up for good: closes the store, for the
   process ends. */
static void stop(seer_keep *keep) {
  go_inside(keep);
  seer_unlock();
  if (keep->store != NULL)
    keep->driver->close(keep->store);
  seer_lock();
  keep->store = NULL;
  keep->work = SEER_KEEP_STOPPED;
  seer_wake();
  for (;;)
    seer_wait(SEER_NEVER);
}

static int64_t next_time(const seer_keep *keep, int64_t now) {
  int64_t next = keep->owed_count > 0 || keep->delay > 0 ? now : keep->look_at;
  const seer_tenant *tenant = keep->tenants;
  for (; tenant != NULL; tenant = tenant->next) {
    next = seer_clock_sooner(next, seer_tenants_budget_due(tenant, now));
    if (tenant->adopt_at > now) /* else it is not low; the sender reminds */
      next = seer_clock_sooner(next, tenant->adopt_at);
  }
  return seer_clock_later(next, keep->healthy_at);
}

/* With the lock held, which is given up meanwhile. */
static void rest(seer_keep *keep, int64_t time) {
  int64_t now = seer_clock_now();
  if (time < 0) {
    time = next_time(keep, now) - now;
    keep->work = SEER_KEEP_ASLEEP;
  }
  seer_unlock();
  if (seer_alarm_wait(keep->alarm, time < INT_MAX ? (int)time : INT_MAX))
    seer_alarm_clear(keep->alarm);
  seer_lock();
  keep->work = SEER_KEEP_OUTSIDE;
}

/* The same, so that the next transaction has company. What has been settled
   does not wait for any: a kill would double it. */
static void linger(seer_keep *keep) {
  int64_t waited = 0;
  do
    rest(keep, 1);
  while (++waited < LINGER && keep->owed_count == 0 && !keep->stopping);
}

/* The same, between portions of much. */
static void offer(seer_keep *keep) {
  while (keep->offering && !keep->stopping && seer_tenants_offer(keep)) {
    seer_unlock();
    seer_lock();
  }
}

static void *run(void *keep_) {
  seer_keep *keep = keep_;
  seer_lock();
  keep->work = SEER_KEEP_OUTSIDE;
  for (;;) {
    bool last = keep->stopping;
    offer(keep);
    while (seer_state.forking > 0)
      seer_wait(SEER_NEVER);
    if (pass(keep->transaction, keep) && !(last && keep->delay > 0))
      linger(keep);
    else if (last)
      stop(keep);
    else
      rest(keep, -1);
  }
  return NULL; /* never */
}

/* Without the lock: what is missing, or NULL. */
static const char *open_and_start(seer_keep *keep) {
  if (keep->transaction == NULL)
    keep->transaction = seer_transaction_new();
  if (keep->transaction == NULL)
    return "out of memory";
  if (keep->alarm < 0)
    keep->alarm = seer_alarm_open();
  if (keep->alarm < 0)
    return "no descriptor could be opened";
  return seer_thread_start(run, keep) ? NULL : "the system grants no thread";
}

/* With the lock held, which is given up meanwhile: once. */
static void tell_barred(seer_keep *keep) {
  if (keep->failure.told_at == SEER_NEVER)
    return;
  keep->failure.told_at = SEER_NEVER;
  seer_unlock();
  seer_tenants_say(keep, SEER_WARN, "not used", keep->error);
  seer_lock();
}

void seer_keeper_start(seer_keep *keep) {
  seer_assert(seer_lock_is_held());
  if (keep->barred)
    tell_barred(keep);
  if (keep->work != SEER_KEEP_NONE || keep->barred ||
      seer_state.stage == SEER_STOPPED)
    return;
  keep->work = SEER_KEEP_STARTING;
  seer_unlock();
  const char *missing = open_and_start(keep);
  seer_lock();
  if (missing == NULL)
    return;
  keep->work = SEER_KEEP_NONE;
  keep->healthy_at = seer_clock_after(seer_clock_now(), REFUSED);
  snprintf(keep->error, sizeof keep->error, "%s", missing);
  seer_tenants_release(keep);
}

/*
** Fork.
*/

static bool is_inside(const seer_keep *keep) {
  return keep->work == SEER_KEEP_COPYING || keep->work == SEER_KEEP_INSIDE ||
         keep->lent;
}

static void suspend(seer_keep *keep) {
  bool suspended = true;
  if (keep->store == NULL || keep->suspended)
    return;
  keep->lent = true;
  seer_unlock();
  if (keep->driver->suspend != NULL)
    suspended = keep->driver->suspend(keep->store);
  seer_lock();
  keep->lent = false;
  keep->suspended = suspended;
  seer_wake();
}

void seer_keeper_before_fork(void) {
  int64_t deadline = seer_clock_now() + FORK_WAIT;
  seer_assert(seer_lock_is_held());
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next) {
    while (is_inside(keep) && seer_clock_now() < deadline)
      seer_wait(deadline);
    if (!is_inside(keep))
      suspend(keep);
  }
}

/* In the child: whether the thread that is not here was in the driver, which
   may have left anything behind. */
static bool was_inside(const seer_keep *keep) {
  return keep->store != NULL ? !keep->suspended
                             : keep->work == SEER_KEEP_INSIDE;
}

static void bar(seer_keep *keep) {
  keep->barred = true;
  snprintf(keep->error, sizeof keep->error,
           "the process was forked while the store was busy; this child has "
           "none");
}

void seer_keeper_release(void) {
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next)
    seer_tenants_release(keep);
}

void seer_keeper_forget(void) {
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next) {
    keep->entering.first = NULL;
    keep->batch_count = keep->owed_count = keep->rows = 0;
    keep->forgotten = keep->owed_ever;
    if (!keep->barred)
      keep->error[0] = '\0';
    if (was_inside(keep))
      bar(keep);
    if (keep->store != NULL || was_inside(keep))
      keep->driver->forked(keep->store);
    if (keep->alarm >= 0)
      seer_fd_close(keep->alarm);
    keep->store = NULL;
    keep->alarm = -1;
    keep->work = SEER_KEEP_NONE;
    keep->lent = keep->stopping = keep->suspended = false;
    keep->offering = keep->offered = false;
    keep->fused = 0;
    keep->fuses = 1;
    keep->healthy_at = keep->delay = keep->look_at = 0;
    for (seer_tenant *it = keep->tenants; it != NULL; it = it->next) {
      it->adopt_at = 0;
      it->full = false;
    }
  }
}

/*
** Exit.
*/

static bool are_stopped(void) {
  for (const seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next)
    if (keep->work != SEER_KEEP_NONE && keep->work != SEER_KEEP_STOPPED)
      return false;
  return true;
}

void seer_keeper_stop(int64_t deadline) {
  seer_assert(seer_lock_is_held());
  if (seer_keeps == NULL)
    return;
  for (seer_keep *keep = seer_keeps; keep != NULL; keep = keep->next) {
    keep->stopping = true;
    seer_tenants_look(keep);
    seer_tenants_offer(keep);
    for (seer_tenant *it = keep->tenants; it != NULL; it = it->next)
      seer_fleet_leave(it->adopted->endpoint->gate);
    seer_alarm_ring(keep->alarm);
  }
  while (!are_stopped() && seer_clock_now() < deadline)
    seer_wait(deadline);
  seer_keeper_release();
}
