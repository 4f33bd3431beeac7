#pragma once

/*
 * What is told of attempts: that something is wrong, that it works again,
 * and, for debugging, all that goes over the wire. It goes to the client's
 * logger, by way of its notices, or else to the standard error.
 *
 * A report is prepared without the lock (it may need memory), decided with
 * it (has the same been told just now?), and told without it again, when the
 * event and even its queue may be gone.
 */

#include "endpoint.h"
#include "http/transfer.h"

#define SEER_SUBJECT_LENGTH 210

typedef struct seer_report {
  bool wanted; /* the client wants to hear of such attempts */
  bool told;   /* decided: a line on the standard error */
  seer_level level;
  seer_trouble_kind kind;
  char subject[SEER_SUBJECT_LENGTH];
  seer_endpoint *endpoint; /* a reference, if `told` */
  int64_t untold;
  seer_message *message; /* for the logger; or one to be freed */
} seer_report;

/* Without the lock, while the event is in flight. */
seer_report seer_report_prepare(const seer_transfer *transfer,
                                seer_verdict verdict);

/* With the lock held, before the event is settled; `recovered` says whether
   the endpoint has just ceased to back off. */
void seer_report_decide(seer_report *report, const seer_transfer *transfer,
                        const seer_attempt *attempt, bool recovered,
                        int64_t now);

/* Without the lock. */
void seer_report_tell(seer_report *report, const seer_transfer *transfer);

/* Tells, if the budget has held the client's events for a minute, how many
   wait. Without the lock, while one of its events is in flight. */
void seer_report_shortage(seer_queue *queue, int64_t now);

/* For debugging: what goes out, and what has come back. Without the lock,
   while the event is in flight. */
void seer_report_request(seer_transfer *transfer);
void seer_report_answer(seer_transfer *transfer);

/* The oldest message for the client's logger, or NULL; to be freed with
   free(). */
seer_message *seer_report_next_message(seer_queue *queue);

/* The oldest event for on_error or on_delivered, or NULL; to be freed with
   seer_report_free_event. The request of one that is lost has the outcome, if
   there was one; else `lost` says why it was dropped. */
seer_event *seer_report_next_lost(seer_queue *queue);
seer_event *seer_report_next_delivered(seer_queue *queue);
void seer_report_free_event(seer_event *event);

/* Writes " 'user.signup' to /capture", which event a line is about: its name,
   or NULL, and its path, both cut, and without what the site keeps secret. */
void seer_report_write_subject(const seer_site *site, const char *name,
                               size_t length, const char *path,
                               char text[SEER_SUBJECT_LENGTH]);

/* Tells something about a client, if its level wants it: to its logger, by
   way of the messages, or on the standard error. */
void seer_report_say(seer_queue *queue, seer_level level, const char *text);
