#include "core/http/http.h"

#include "core/base/ascii.h"
#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/base/os.h"
#include "core/base/thread.h"
#include "core/http/flight.h"
#include "core/http/lookup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed"
#endif

#define LONGEST 600   /* bytes of a message before it is cut */
#define PATIENCE 3000 /* ms for a connection to show that it is alive */

struct seer_http {
  CURLM *multi;
  seer_flight *flying;
  seer_flight *grounded; /* until a host has been looked up */
  int alarm;
  int64_t performed;   /* when transfers were last moved on */
  int64_t hurry_began; /* by seer_clock_boot; 0: there is none */
  long count, most;    /* of those that fly */
  int sockets;         /* so many may be open */
  seer_handles handles;
  struct seer_http *next; /* among the abandoned */
};

bool seer_http_init(void) {
  return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* libcurl would keep connections by the number of transfers that are left, and
   in the pauses between bursts close those that the next one needs. */
static void take_off(seer_http *http, seer_flight *f) {
  f->next = http->flying;
  http->flying = f;
  if (++http->count > http->most) {
    http->most = http->count;
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
                      (long)seer_clock_sooner(4 * http->most, http->sockets));
  }
  seer_flight_take_off(f);
}

static void land(seer_http *http, seer_flight *f, CURLcode code) {
  seer_flight **place = &http->flying;
  while (*place != f)
    place = &(*place)->next;
  *place = f->next;
  http->count--;
  curl_multi_remove_handle(http->multi, f->easy);
  seer_flight_land(f, code);
}

static bool fly(seer_http *http, seer_flight *f) {
  f->error[0] = '\0';
  if (!seer_flight_prepare(f) ||
      curl_multi_add_handle(http->multi, f->easy) != CURLM_OK)
    return false;
  take_off(http, f);
  return true;
}

static bool launch(seer_http *http, seer_flight *f) {
  f->connect_by = seer_clock_after(seer_clock_now(), f->connect_timeout);
  return fly(http, f);
}

seer_transfer *seer_http_start(seer_http *http, const seer_sending *sending) {
  seer_flight *f = seer_flight_new(&http->handles);
  if (f == NULL)
    return NULL;
  f->site = sending->site;
  f->began = seer_clock_now();
  f->asked_at = seer_clock_boot();
  f->deadline = seer_clock_after(f->began, sending->timeout);
  f->connect_timeout = (long)sending->connect_timeout;
  f->lifetime = (long)((sending->connection_age + 999) / 1000);
  f->incoming.whole_body = sending->thorough;
  if (seer_outgoing_init(&f->outgoing, sending->site, sending->event) &&
      launch(http, f))
    return &f->transfer;
  seer_flight_free(f);
  return NULL;
}

void seer_http_perform(seer_http *http) {
  int running;
  http->performed = seer_clock_now();
  if (curl_multi_perform(http->multi, &running) != CURLM_OK)
    seer_pause();
}

void seer_http_hurry(seer_http *http) {
  int64_t patience = seer_clock_now() + PATIENCE;
  if (http->hurry_began == 0)
    http->hurry_began = seer_clock_boot();
  for (seer_flight *f = http->flying; f != NULL; f = f->next) {
    if (!f->reused || f->hurried || f->incoming.status != 0)
      continue;
    f->hurried = true;
    if (f->alive_at <= http->hurry_began && f->deadline > patience)
      f->deadline = patience;
    seer_lock();
    f->site->doubted_until =
        seer_clock_later(f->site->doubted_until, f->deadline);
    seer_unlock();
  }
}

/* The rest of the attempt's time is what it has. */
bool seer_http_follow(seer_http *http, seer_transfer *transfer) {
  seer_flight *f = seer_flight_of(transfer);
  seer_outgoing_redirect(&f->outgoing);
  if (!launch(http, f))
    return false;
  *transfer = (seer_transfer){.claim = transfer->claim};
  seer_incoming_again(&f->incoming);
  return true;
}

static bool is_unreachable(CURLcode code) {
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_COULDNT_CONNECT:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_INVALIDCERTSTATUS:
    return true;
  default:
    return false;
  }
}

/* Why there is no answer. libcurl takes 101 for one; it is none to us. */
static const char *why_none(const seer_flight *f, CURLcode code) {
  bool needs_more = code == CURLE_COULDNT_RESOLVE_HOST ||
                    code == CURLE_COULDNT_RESOLVE_PROXY ||
                    code == CURLE_SSL_CACERT_BADFILE;
  if (f->exhausted || (needs_more && seer_sockets_exhausted()))
    return "too many open files";
  if (f->error[0] != '\0')
    return f->error;
  return code == CURLE_OK ? "no status in the answer"
                          : curl_easy_strerror(code);
}

/* Sets the message. It is masked before it is cut, and ends with a whole
   character. */
static void say(seer_flight *f, const char *format, ...) {
  char *message = f->transfer.message, text[LONGEST];
  size_t length;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  length = strlen(text);
  length = seer_outgoing_mask(&f->outgoing, text, length,
                              length == sizeof text - 1);
  seer_mask_controls(text, length);
  length = seer_cut(text, length, sizeof f->transfer.message - 1);
  memcpy(message, text, length);
  message[length] = '\0';
}

/* They may be others by now. */
static void doubt_addresses(const seer_flight *f) {
  for (const char *t = f->targets; t != NULL && *t != '\0';
       t = seer_block_next(t))
    seer_lookup_doubt(t);
}

static void conclude_failure(seer_flight *f, CURLcode code) {
  bool timed_out = code == CURLE_OPERATION_TIMEDOUT;
  f->transfer.answer = (seer_answer){
      /* what a redirect said does not count */
      .failure = timed_out ? SEER_FAILURE_TIMEOUT : SEER_FAILURE_CONNECTION,
      .unreachable = is_unreachable(code),
      .should_retry = -1,
      .retry_after = SEER_NO_RETRY_AFTER};
  if (f->transfer.sent == 0)
    doubt_addresses(f);
  say(f, "%s", why_none(f, code));
}

static void describe(seer_flight *f, const char *refusal) {
  seer_transfer *t = &f->transfer;
  int status = t->answer.status;
  if (refusal != NULL)
    t->answer.failure = SEER_FAILURE_REDIRECT;
  if (refusal != NULL)
    say(f, "%d %s", status, refusal);
  else if (t->body_length > 0)
    say(f, "%d %.*s", status, (int)t->body_length, t->body);
  else
    say(f, "%d status code (no body)", status);
}

/* The headers are for somebody who reads it all, the body and the message
   for one too, or to tell of trouble. What nobody will read is not looked
   through for secrets, and so not given out. */
static void conclude_answer(seer_flight *f, const char *refusal) {
  seer_transfer *t = &f->transfer;
  seer_buffer *headers = &f->incoming.headers, *body = &f->incoming.body;
  seer_incoming_judge(&f->incoming, &t->answer);
  t->doubtful = t->answer.failure == SEER_FAILURE_NONE &&
                seer_incoming_is_doubtful(&f->incoming);
  if (!f->incoming.whole_body && t->answer.failure == SEER_FAILURE_NONE &&
      !t->doubtful)
    return;
  if (f->incoming.whole_body && headers->length > 0) {
    t->headers = headers->data;
    t->headers_length =
        seer_outgoing_mask(&f->outgoing, headers->data, headers->length,
                           headers->error != SEER_BUFFER_OK);
  }
  if (body->length > 0) {
    t->body = body->data;
    t->body_length = seer_outgoing_mask(&f->outgoing, body->data, body->length,
                                        f->incoming.cut);
  }
  describe(f, refusal);
}

static seer_transfer *finish(seer_flight *f, CURLcode code) {
  const char *refusal;
  f->transfer.redirected =
      seer_outgoing_find_redirect(&f->outgoing, &f->incoming, &refusal);
  if (code != CURLE_OK)
    f->incoming.cut = true; /* a secret may have broken off with it */
  if (f->incoming.status != 0)
    conclude_answer(f, refusal);
  else
    conclude_failure(f, code);
  return &f->transfer;
}

/* The next transfer that libcurl has done with; NULL if there is none. */
static seer_flight *next_done(seer_http *http, CURLcode *code) {
  CURLMsg *message;
  int left;
  seer_flight *f = NULL;
  while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE)
      continue;
    *code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
    break;
  }
  return f;
}

/* The next whose time was up before all that had come was read. */
static seer_flight *next_late(seer_http *http, CURLcode *code) {
  seer_flight *f = http->flying;
  while (f != NULL && f->deadline > http->performed)
    f = f->next;
  if (f == NULL)
    return NULL;
  *code = CURLE_OPERATION_TIMEDOUT;
  snprintf(f->error, sizeof f->error, "timed out after %lld ms",
           (long long)(http->performed - f->began));
  return f;
}

static int64_t patience_of(const seer_flight *f) {
  return seer_clock_sooner(f->connect_by, f->deadline);
}

/* What has become of a flight that waits for a look-up: CURLE_OK if it can go
   on, CURLE_AGAIN if it is to wait, or why it ends. */
static CURLcode look_up(const seer_http *http, seer_flight *f, int64_t time) {
  int64_t now = seer_clock_now();
  CURLcode code = seer_flight_look_up(
      f, http->alarm, seer_clock_sooner(time, f->deadline - now));
  return code == CURLE_AGAIN && patience_of(f) <= now
             ? CURLE_OPERATION_TIMEDOUT
             : code;
}

/* Lets those go whose hosts have been looked up. The next that waits in vain,
   or NULL. */
static seer_flight *next_grounded(seer_http *http, int64_t time,
                                  CURLcode *code) {
  seer_flight **place = &http->grounded, *f;
  while ((f = *place) != NULL) {
    *code = look_up(http, f, time);
    if (*code == CURLE_AGAIN) {
      place = &f->next;
      continue;
    }
    *place = f->next;
    if (*code == CURLE_OK && fly(http, f))
      continue;
    if (*code == CURLE_OK)
      *code = CURLE_OUT_OF_MEMORY;
    return f;
  }
  return NULL;
}

bool seer_http_look_up(seer_http *http) {
  seer_flight *f = http->grounded;
  int64_t began = seer_clock_now(), took;
  while (f != NULL && f->refused == NULL)
    f = f->next;
  if (f == NULL)
    return false;
  seer_lookup_here(f->refused);
  took = seer_clock_now() - began;
  for (f = http->grounded; f != NULL; f = f->next)
    f->connect_by += took; /* there was no other way */
  return true;
}

seer_transfer *seer_http_finished(seer_http *http, int64_t time) {
  CURLcode code = CURLE_OK;
  seer_flight *f;
  while ((f = next_done(http, &code)) != NULL ||
         (f = next_late(http, &code)) != NULL) {
    bool again = f->stale && !f->fresh;
    land(http, f, code);
    f->fresh = f->fresh || again;
    if (f->grounded) {
      f->next = http->grounded;
      http->grounded = f;
    } else if (!again || !launch(http, f))
      return finish(f, code);
  }
  f = next_grounded(http, time, &code);
  return f != NULL ? finish(f, code) : NULL;
}

void seer_http_discard(seer_transfer *transfer) {
  seer_flight_free(seer_flight_of(transfer));
}

static int until(int64_t time, int64_t now, int timeout) {
  if (time - now >= timeout)
    return timeout;
  return time > now ? (int)(time - now) : 0;
}

/* Not longer than until the next deadline. */
static int bound(const seer_http *http, int timeout) {
  int64_t now = seer_clock_now();
  const seer_flight *f;
  for (f = http->flying; f != NULL; f = f->next)
    timeout = until(f->deadline, now, timeout);
  for (f = http->grounded; f != NULL; f = f->next)
    timeout = until(patience_of(f), now, timeout);
  return timeout;
}

bool seer_http_poll(seer_http *http, int alarm, int timeout) {
  struct curl_waitfd waited = {alarm, CURL_WAIT_POLLIN, 0};
  if (curl_multi_poll(http->multi, &waited, 1, bound(http, timeout), NULL) !=
      CURLM_OK)
    seer_pause();
  return waited.revents != 0;
}

seer_http *seer_http_new(int alarm) {
  seer_http *http = calloc(1, sizeof *http);
  if (http == NULL)
    return NULL;
  http->alarm = alarm;
  http->sockets = seer_os_sockets_most();
  http->multi = seer_sockets_new_multi(&http->handles.sockets);
  if (http->multi != NULL && seer_handles_init(&http->handles))
    return http;
  seer_http_free(http);
  return NULL;
}

void seer_http_free(seer_http *http) {
  seer_handles_empty(&http->handles);
  if (http->multi != NULL)
    curl_multi_cleanup(http->multi);
  seer_handles_clear(&http->handles);
  free(http);
}

/* The abandoned stay in a list, so that leak checkers do not take them for
   lost. */
void seer_http_abandon(seer_http *http) {
  static seer_http *abandoned;
  http->next = abandoned;
  abandoned = http;
  seer_sockets_abandon(&http->handles.sockets);
}
