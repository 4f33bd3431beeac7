#include "report.h"

#include "base/ascii.h"
#include "base/clock.h"
#include "base/thread.h"
#include "endpoints.h"
#include "http/trace.h"
#include "keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define TEXT_LENGTH 600
#define SUBJECT_MOST 100 /* bytes of a name, and of a path */

static seer_level level_of(seer_verdict verdict, bool doubtful) {
  if (verdict == SEER_DELIVERED)
    return doubtful ? SEER_WARN : SEER_INFO;
  return verdict == SEER_REJECTED ? SEER_ERROR : SEER_WARN;
}

static seer_trouble_kind kind_of(const seer_transfer *transfer,
                                 seer_verdict verdict) {
  const seer_answer *answer = &transfer->answer;
  if (verdict == SEER_DELIVERED)
    return transfer->doubtful ? SEER_TROUBLE_DOUBTFUL : SEER_TROUBLE_OVER;
  if (answer->status == 0)
    return SEER_TROUBLE_UNREACHABLE;
  if (answer->status == 429)
    return SEER_TROUBLE_LIMITED;
  if (verdict == SEER_REJECTED)
    return SEER_TROUBLE_REJECTED;
  return verdict == SEER_PAUSE ? SEER_TROUBLE_REFUSED : SEER_TROUBLE_FAILING;
}

/* Appends some bytes, as many as are shown of them, and masks what is secret;
   returns the end. */
static char *show(seer_site *site, char *to, const char *text, size_t length) {
  size_t shown = seer_cut(text, length, SUBJECT_MOST);
  memcpy(to, text, shown);
  to[shown] = '\0';
  return to + seer_site_mask(site, to, shown, shown < length);
}

void seer_report_write_subject(seer_site *site, const char *name,
                               size_t length, const char *path,
                               char text[SEER_SUBJECT_LENGTH]) {
  static const char before[] = " '", between[] = "' to ";
  if (name != NULL) {
    memcpy(text, before, sizeof before);
    text = show(site, text + sizeof before - 1, name, length);
  }
  strcpy(text, name != NULL ? between : between + 1);
  show(site, text + strlen(text), path, strlen(path));
}

/* The bytes of a capture's name, which its body begins with. */
static size_t name_length(const char *name) {
  size_t length = 0;
  while (name[length] != '"')
    length += name[length] == '\\' ? 2 : 1;
  return length;
}

static void write_subject(const seer_transfer *transfer,
                          char subject[SEER_SUBJECT_LENGTH]) {
  static const char start[] = "{\"name\":\"";
  const seer_event *event = transfer->claim.event;
  bool named = event->kind == SEER_CAPTURE;
  const char *name = named ? event->body + sizeof start - 1 : NULL;
  seer_report_write_subject(transfer->claim.queue->site, name,
                            named ? name_length(name) : 0,
                            seer_event_path(event), subject);
}

static void write_text(char text[TEXT_LENGTH], const seer_transfer *transfer,
                       seer_level level, seer_trouble_kind kind) {
  static const char *const whats[SEER_TROUBLES] = {
      "no answer from",     "trouble at",        "refused by",
      "rate limited by",    "event rejected by", "doubtful answer from",
      "delivering again to"};
  const char *end = level == SEER_ERROR
                        ? " is lost"
                        : " is delivered by its status, but is this the API?";
  const char *url = transfer->claim.queue->endpoint->base_url;
  char subject[SEER_SUBJECT_LENGTH];
  if (level == SEER_INFO) {
    snprintf(text, TEXT_LENGTH, "%s %s", whats[kind], url);
  } else if (level == SEER_ERROR || kind == SEER_TROUBLE_DOUBTFUL) {
    write_subject(transfer, subject);
    snprintf(text, TEXT_LENGTH, "%s %s: %s; the event%s%s", whats[kind], url,
             transfer->message, subject, end);
  } else { /* it is kept like the others */
    snprintf(text, TEXT_LENGTH, "%s %s: %s; events are kept and sent later",
             whats[kind], url, transfer->message);
  }
}

/* With the lock held: whether somebody who waits will hear of it without this;
   a future may have been abandoned. */
static bool is_heard(const seer_request *request) {
  return request != NULL && (!request->future || request->references > 1);
}

/* At exit one line tells of all that is left. */
static bool is_worth_telling(const seer_attempt *attempt, seer_level level,
                             bool recovered) {
  if (level == SEER_INFO)
    return recovered;
  return level == SEER_ERROR || !attempt->exiting;
}

/* Where it is noted what was told, to the client's logger or to everybody. */
static seer_trouble *troubles_of(seer_queue *queue) {
  return queue->settings->has_logger ? queue->troubles
                                     : queue->endpoint->busy->troubles;
}

/* With the lock held: whether the logger is to hear of drops since the last
   time, and how many those were. */
static bool are_drops_due(seer_queue *queue, seer_settlement drop, int64_t now,
                          int64_t *times) {
  *times = queue->settled[drop] - queue->drops_told[drop];
  if (*times == 0 || queue->settings->log_level < SEER_ERROR ||
      seer_trouble_happened(&queue->drops[drop], now) < 0)
    return false;
  queue->drops_told[drop] += *times;
  return true;
}

/* Messages about drops are made when they are asked for: there is no memory
   to be had where events are dropped. */
static seer_message *tell_of_drops(seer_queue *queue, seer_settlement drop,
                                   const char *reason) {
  int64_t now = seer_clock_now(), times;
  char text[120];
  bool due;
  seer_lock();
  due = are_drops_due(queue, drop, now, &times);
  seer_unlock();
  if (!due)
    return NULL;
  snprintf(text, sizeof text, "%lld event%s dropped: %s", (long long)times,
           times == 1 ? " was" : "s were", reason);
  return seer_message_new(SEER_ERROR, text);
}

/* The queue of what was adopted for the client's store; without a store the
   client's own, where there is nothing more. */
static seer_queue *adopted_of(seer_queue *queue) {
  return queue->tenant != NULL ? queue->tenant->adopted : queue;
}

seer_message *seer_report_next_message(seer_queue *queue) {
  seer_message *message;
  seer_lock();
  message = seer_notices_take(&queue->notices);
  if (message == NULL)
    message = seer_notices_take(&adopted_of(queue)->notices);
  seer_unlock();
  if (message == NULL)
    message = tell_of_drops(queue, SEER_SETTLED_EXPIRED, "older than max_age");
  if (message == NULL)
    message =
        tell_of_drops(queue, SEER_SETTLED_DISPLACED, "the queue was full");
  return message;
}

seer_event *seer_report_next_event(seer_queue *queue, bool lost) {
  seer_notices *own = &queue->notices, *adopted = &adopted_of(queue)->notices;
  seer_event *event;
  seer_lock();
  event = seer_notices_take_event(lost ? &own->lost : &own->delivered);
  if (event == NULL)
    event =
        seer_notices_take_event(lost ? &adopted->lost : &adopted->delivered);
  seer_unlock();
  return event;
}

static void tell_logger(seer_queue *queue, seer_message *message) {
  seer_message *missed;
  seer_lock();
  missed =
      queue->orphan ? message : seer_notices_add(&queue->notices, message);
  seer_unlock();
  free(missed);
}

static void say(seer_queue *queue, seer_level level, const char *text,
                int status, int attempt, int64_t untold) {
  seer_message *message;
  if (queue->settings->log_level < (int64_t)level)
    return;
  if (!queue->settings->has_logger) {
    seer_tell_again(level, untold, text);
    return;
  }
  message = seer_message_new(level, text);
  if (message == NULL)
    return;
  message->status = status;
  message->attempt = attempt;
  message->repeated = untold;
  tell_logger(queue, message);
}

void seer_report_say(seer_queue *queue, seer_level level, const char *text) {
  say(queue, level, text, 0, 0, 0);
}

void seer_report_attempt(const seer_transfer *transfer,
                         const seer_attempt *attempt, bool recovered,
                         int64_t now) {
  seer_queue *queue = transfer->claim.queue;
  seer_level level = level_of(attempt->verdict, transfer->doubtful);
  seer_trouble_kind kind = kind_of(transfer, attempt->verdict);
  char text[TEXT_LENGTH];
  int64_t untold;
  if (queue->settings->log_level < (int64_t)level ||
      is_heard(transfer->claim.event->request) ||
      !is_worth_telling(attempt, level, recovered) ||
      (untold = seer_trouble_happened(&troubles_of(queue)[kind], now)) < 0)
    return;
  seer_unlock();
  write_text(text, transfer, level, kind);
  say(queue, level, text, attempt->answer->status, attempt->number, untold);
  seer_lock();
}

void seer_report_shortage(seer_queue *queue, int64_t now) {
  char text[TEXT_LENGTH];
  seer_shortage shortage;
  int64_t untold;
  if (!seer_endpoint_is_short(queue, now, &shortage))
    return;
  untold = seer_trouble_happened(&troubles_of(queue)[SEER_TROUBLE_SHORT], now);
  if (untold < 0)
    return;
  seer_unlock();
  snprintf(text, sizeof text,
           "the rate limit holds events to %s: %lld wait, %lld a minute come, "
           "%lld a minute may go; send a part of them (option sample), raise "
           "rate_limit if the API allows more, or use several keys",
           queue->endpoint->base_url, (long long)shortage.waiting,
           (long long)shortage.come, (long long)shortage.may_go);
  say(queue, SEER_WARN, text, 0, 0, untold);
  seer_lock();
}

static void trace(seer_transfer *transfer,
                  void (*describe)(seer_transfer *, char *, size_t),
                  int status) {
  char text[SEER_TELL_LENGTH - 30];
  if (transfer->claim.queue->settings->log_level < SEER_DEBUG)
    return;
  describe(transfer, text, sizeof text);
  say(transfer->claim.queue, SEER_DEBUG, text, status,
      transfer->claim.event->attempts, 0);
}

void seer_report_request(seer_transfer *transfer) {
  trace(transfer, seer_trace_request, 0);
}

void seer_report_answer(seer_transfer *transfer) {
  trace(transfer, seer_trace_answer, transfer->answer.status);
}
