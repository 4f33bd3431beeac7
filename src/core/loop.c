#include "loop.h"

#include "base/clock.h"
#include "base/os.h"
#include "base/spare.h"
#include "base/thread.h"
#include "endpoints.h"
#include "report.h"
#include "room.h"
#include "settle.h"
#include "state.h"
#include "tenants.h"

#include <limits.h>
#pragma GCC visibility push(hidden)

#define BATCH 64           /* events claimed at a time... */
#define LOOKS 256          /* ...and endpoints looked at for that */
#define PIECES 32          /* pieces of memory made in the end of a turn */
#define START_AGAIN 1000   /* ms after the system refused a thread */
#define IDLE_TIMEOUT 30000 /* ms until unused connections are closed */

/* With the lock held: the work is the caller's now. */
static void take(seer_work work) {
  seer_state.work = work;
  seer_state.owner = seer_thread_self();
}

/* With the lock held: the work is the caller's no more. */
static void give(seer_work work) {
  seer_state.work = work;
  seer_state.owner = 0;
  seer_wake();
}

/* With the lock held: the thread goes inside libcurl, as soon as nobody forks.
   It stays here for ever once the process is ending. */
static void begin_turn(void) {
  while (seer_state.work == SEER_WORK_STARTING || seer_state.forking > 0)
    seer_wait(SEER_NEVER);
  if (seer_state.stage == SEER_STOPPED) {
    give(SEER_WORK_FREE);
    for (;;)
      seer_wait(SEER_NEVER);
  }
  take(SEER_WORK_INSIDE);
}

/* With the lock held: libcurl is left, and forks may happen. */
static void end_work(seer_work next) {
  seer_state.work = next;
  if (seer_state.forking > 0)
    seer_wake();
}

/* With the lock held: the process ends, and from now on the site has time to
   connect. Thousands may have waited for their turn. */
static void begin_connecting(seer_site *site, int64_t now) {
  if (site->doubted_until < seer_state.exit_began)
    site->doubted_until = now;
}

/* With the lock held: what this endpoint may send now, up to BATCH events with
   those before. */
static int claim_from(seer_endpoint *endpoint, seer_claim *claims, int count,
                      int64_t now, seer_dead *dead) {
  while (count < BATCH && !seer_room_is_full() &&
         seer_endpoint_claim(endpoint, now, &claims[count], dead)) {
    /* Only now its id is drawn: capture need not. */
    seer_event *event = claims[count].event;
    if (!seer_id_is_drawn(event->id))
      event->id = seer_id_next();
    if (seer_state.stage == SEER_EXITING)
      begin_connecting(claims[count].queue->site, now);
    count++;
  }
  return count;
}

/* With the lock held: what may be sent now, at most BATCH events. An endpoint
   that has more is looked at again when the others were. */
static int claim_events(seer_claim *claims, int64_t now, seer_dead *dead) {
  seer_endpoint *endpoint;
  int count = 0;
  if (seer_state.http == NULL)
    seer_room_limit(seer_os_sockets_most());
  for (int looks = 0; looks < LOOKS && count < BATCH && !seer_room_is_full() &&
                      (endpoint = seer_schedule_first(now)) != NULL;
       looks++) {
    seer_place *place = &endpoint->lines.place;
    count = claim_from(endpoint, claims, count, now, dead);
    seer_schedule_at(place, SEER_NEVER);
    if (count == BATCH || seer_room_is_full())
      seer_schedule_now(place);
    else
      seer_schedule_at(
          place, seer_clock_later(seer_endpoint_next(endpoint, now), now + 1));
    if (seer_state.stage == SEER_EXITING)
      seer_wake(); /* there may be no hope for it any more */
  }
  return count;
}

/* The event is in flight, so its queue stays, and with it the settings. */
static seer_sending make_sending(const seer_claim *claim) {
  const seer_settings *settings = claim->queue->settings;
  seer_event *event = claim->event;
  return (seer_sending){
      .site = claim->queue->site,
      .event = event,
      .timeout = seer_event_timeout(event, settings->timeout),
      .connect_timeout = settings->connect_timeout,
      .connection_age = settings->connection_age,
      .thorough = event->request != NULL || settings->has_on_error ||
                  settings->log_level >= SEER_DEBUG};
}

static bool start_transfer(const seer_claim *claim) {
  seer_sending sending = make_sending(claim);
  seer_transfer *transfer;
  if (seer_state.http == NULL)
    seer_state.http = seer_http_new(seer_state.alarm);
  if (seer_state.http == NULL)
    return false;
  transfer = seer_http_start(seer_state.http, &sending);
  if (transfer == NULL)
    return false;
  transfer->claim = *claim;
  seer_report_request(transfer);
  return true;
}

static int start_transfers(const seer_claim *claims, int count) {
  int started = 0;
  for (int i = 0; i < count; i++) {
    if (start_transfer(&claims[i]))
      started++;
    else
      seer_settle_unsent(&claims[i]);
    seer_spare_make();
  }
  return started;
}

/* Whether a transfer goes on where it was redirected to. That is a request
   more at the server, so the pacer has to agree. */
static bool follow(seer_transfer *transfer) {
  bool may;
  if (!transfer->redirected)
    return false;
  seer_lock();
  may = seer_endpoint_hop(&transfer->claim, transfer->sent, seer_clock_now());
  seer_unlock();
  if (!may && transfer->claim.event->request != NULL)
    transfer->answer.failure = SEER_FAILURE_PACED;
  if (!may)
    return false;
  seer_report_answer(transfer);
  if (!seer_http_follow(seer_state.http, transfer))
    return false;
  seer_report_request(transfer);
  return true;
}

static int settle_finished(int64_t time) {
  seer_transfer *transfer;
  seer_dead dead = SEER_NO_DEAD;
  int count = 0;
  while ((transfer = seer_http_finished(seer_state.http, time)) != NULL) {
    if (follow(transfer))
      continue;
    seer_settle(transfer, &dead);
    seer_http_discard(transfer);
    seer_spare_make();
    count++;
  }
  seer_endpoints_bury(&dead);
  return count;
}

/* What has been settled is to be forgotten, before a kill doubles it; and what
   the budget holds back is to be asked for. */
static void remind_keepers(void) {
  int alarm = 0;
  while (alarm >= 0 && seer_keeps != NULL) {
    seer_lock();
    alarm = seer_tenants_remind();
    seer_unlock();
    seer_alarm_ring(alarm);
  }
}

/* Claims, sends, receives and settles once; false if nothing more can be done
   before something moves or is due. With the lock held, and inside; gives the
   lock up. The caller has `time` ms, in which a host may be looked up. */
static bool work(int64_t time) {
  seer_claim claims[BATCH];
  seer_dead dead = SEER_NO_DEAD;
  bool exiting = seer_state.stage == SEER_EXITING;
  int64_t now = seer_clock_now();
  seer_endpoint *idle = seer_endpoints_sweep(now);
  int claims_made, settled = 0;
  seer_keep *hung = seer_tenants_rescue(now);
  claims_made = claim_events(claims, now, &dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
  seer_endpoints_free(idle);
  if (hung != NULL)
    seer_tenants_tell_hung(hung);
  seer_state.in_flight += start_transfers(claims, claims_made);
  if (seer_state.in_flight > 0) {
    seer_http_perform(seer_state.http);
    if (exiting)
      seer_http_hurry(seer_state.http);
    settled = settle_finished(time);
    seer_state.in_flight -= settled;
    seer_state.idle_since = seer_clock_now();
  }
  remind_keepers();
  for (int i = 0; i < PIECES; i++)
    seer_spare_make();
  return claims_made == BATCH || settled > 0 || idle != NULL;
}

/* When connections that nobody uses are to be closed. */
static int64_t idle_until(void) {
  return seer_state.http != NULL && seer_state.in_flight == 0
             ? seer_clock_after(seer_state.idle_since, IDLE_TIMEOUT)
             : SEER_NEVER;
}

/* Closes the connections when none was used for a while: a server closes
   its end sooner or later, and half-closed sockets would stay. */
static void close_idle(void) {
  if (seer_clock_now() < idle_until())
    return;
  seer_http_free(seer_state.http);
  seer_state.http = NULL;
  seer_spare_free();
}

/* With the lock held: when there will be something to do. */
static int64_t next_time(int64_t now) {
  return seer_clock_sooner(seer_tenants_rescue_at(now),
                           seer_room_is_full() ? SEER_NEVER
                                               : seer_schedule_next());
}

/* Milliseconds to poll; -1: for ever. */
static int poll_timeout(int64_t until, int64_t now) {
  if (until == SEER_NEVER)
    return -1;
  if (until <= now)
    return 0;
  return until - now < INT_MAX ? (int)(until - now) : INT_MAX;
}

/* Polls, and clears the alarm if it rang. libcurl bounds its own wait by its
   timers. */
static void poll_for(int alarm, int timeout) {
  bool rang;
  if (seer_state.in_flight == 0)
    rang = seer_alarm_wait(alarm, timeout);
  else
    rang = seer_http_poll(seer_state.http, alarm,
                          timeout < 0 ? INT_MAX : timeout);
  if (rang)
    seer_alarm_clear(alarm);
}

/* With the lock held: falls asleep, unless there is something to do
   already. */
static bool begin_sleep(void) {
  bool sleep = seer_state.work != SEER_WORK_KICKED;
  end_work(sleep ? SEER_WORK_ASLEEP : SEER_WORK_OUTSIDE);
  return sleep;
}

static void leave_libcurl(void) {
  seer_lock();
  end_work(SEER_WORK_OUTSIDE);
  seer_unlock();
}

/* Sleeps until something moves, or `deadline`; false if nothing can before.
   Forks may happen meanwhile, and signals arrive. A host may be looked up
   instead, if the system refused a thread. */
static bool rest(int64_t deadline) {
  int64_t now = seer_clock_now(), until;
  int alarm;
  bool sleep, futile;
  close_idle();
  seer_lock();
  until = next_time(now);
  futile = seer_state.in_flight == 0 && until > deadline;
  until = seer_clock_sooner(until, idle_until());
  until = seer_clock_sooner(until, seer_endpoints_sweep_at());
  seer_state.wakes_at = until;
  sleep = begin_sleep() && !futile;
  alarm = seer_state.alarm;
  seer_unlock();
  if (sleep &&
      (seer_state.in_flight == 0 || !seer_http_look_up(seer_state.http)))
    poll_for(alarm, poll_timeout(seer_clock_sooner(until, deadline), now));
  leave_libcurl();
  return !futile;
}

static void *run(void *nothing) {
  for (;;) {
    seer_lock();
    begin_turn();
    if (work(0))
      leave_libcurl();
    else
      rest(SEER_NEVER);
  }
  return nothing; /* never */
}

/*
** The thread.
*/

static void open_alarm(void) {
  int alarm;
  seer_lock();
  alarm = seer_state.alarm;
  seer_unlock();
  if (alarm >= 0)
    return;
  alarm = seer_alarm_open();
  seer_lock();
  seer_state.alarm = alarm;
  seer_unlock();
}

void seer_loop_start(void) {
  int64_t now = seer_clock_now();
  if (!seer_state_wants_thread(now))
    return;
  take(SEER_WORK_STARTING);
  seer_unlock(); /* opening and starting may take their time */
  open_alarm();
  bool started = seer_state.alarm >= 0 && seer_thread_start(run, NULL);
  seer_lock();
  seer_state.threaded = started;
  seer_state.start_again = seer_clock_after(now, START_AGAIN);
  give(started ? SEER_WORK_OUTSIDE : SEER_WORK_FREE);
}

/*
** Steps of callers.
*/

static bool step(int64_t deadline) {
  seer_signals before;
  bool more;
  seer_signals_block(&before);
  seer_lock();
  more = work(deadline - seer_clock_now());
  seer_signals_restore(&before);
  if (!more)
    return rest(deadline);
  leave_libcurl();
  return true;
}

bool seer_loop_step(int64_t deadline) {
  seer_signals before;
  bool made;
  /* Who forks may wait for a lock that the caller holds. */
  if (!seer_state_is_free() || seer_state.forking > 0)
    return false;
  take(SEER_WORK_INSIDE);
  seer_unlock();
  open_alarm();
  seer_pipe_block(&before);
  made = step(deadline);
  seer_pipe_restore(&before);
  seer_lock();
  give(SEER_WORK_FREE);
  if (!seer_state.thread_wanted)
    return made;
  seer_state.thread_wanted = false;
  seer_loop_start();
  return true; /* much may have happened meanwhile */
}
