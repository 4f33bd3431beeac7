#pragma once

/*
 * What is told of attempts: that something is wrong, that it works again,
 * and, for debugging, all that goes over the wire. It goes to the client's
 * logger, by way of its notices, or else to the standard error.
 */

#include "endpoint.h"
#include "http/transfer.h"

#define SEER_SUBJECT_LENGTH 210

/* Tells of an attempt, if its client wants to hear of such and has not just
   now; `recovered` says whether the endpoint has just ceased to back off. With
   the lock held, which is given up meanwhile, while the event is in flight. */
void seer_report_attempt(const seer_transfer *transfer,
                         const seer_attempt *attempt, bool recovered,
                         int64_t now);

/* Tells, if the budget has held the client's events for a minute, how many
   wait. With the lock held, which may be given up meanwhile, while one of its
   events is in flight. */
void seer_report_shortage(seer_queue *queue, int64_t now);

/* For debugging: what goes out, and what has come back. Without the lock,
   while the event is in flight. */
void seer_report_request(seer_transfer *transfer);
void seer_report_answer(seer_transfer *transfer);

/* The oldest message for the client's logger, or NULL; to be freed with
   free(). */
seer_message *seer_report_next_message(seer_queue *queue);

/* The oldest event for on_error (`lost`) or on_delivered, or NULL; to be freed
   with its request. That of one that is lost has the outcome, if there was
   one; else its `lost` says why it was dropped. */
seer_event *seer_report_next_event(seer_queue *queue, bool lost);

/* Writes " 'user.signup' to /capture", which event a line is about: its name,
   or NULL, and its path, both cut, and without what the site keeps secret. */
void seer_report_write_subject(seer_site *site, const char *name,
                               size_t length, const char *path,
                               char text[SEER_SUBJECT_LENGTH]);

/* Tells something about a client, if its level wants it: to its logger, by
   way of the messages, or on the standard error. */
void seer_report_say(seer_queue *queue, seer_level level, const char *text);
