#include "core/base/retry.h"

#include "core/base/clock.h"
#include "core/http/incoming.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* What becomes of a queued event, by status. */
static seer_verdict of_queued(int status, bool last, bool own_path) {
  static const int pauses[] = {401, 402, 403, 404, 405,
                               407, 421, 423, 425, 429};
  if (status == 0 || status == 408 || status >= 500)
    return SEER_RETRY;
  if (status >= 200 && status <= 299)
    return SEER_DELIVERED;
  if (own_path && (status == 403 || status == 404 || status == 405))
    return SEER_REJECTED;
  for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++)
    if (pauses[i] == status)
      return SEER_PAUSE;
  if (status == 409 && !last)
    return SEER_RETRY;
  return status < 400 ? SEER_PAUSE : SEER_REJECTED;
}

static seer_verdict of_waited(int status, bool last) {
  if (status >= 200 && status <= 299)
    return SEER_DELIVERED;
  if (last)
    return SEER_REJECTED;
  if (status == 429)
    return SEER_PAUSE;
  return status == 0 || status == 408 || status == 409 || status >= 500
             ? SEER_RETRY
             : SEER_REJECTED;
}

static void check_judgement(int status, const seer_asked *asked) {
  seer_answer answer = {.status = status, .should_retry = -1};
  bool last = asked->attempts > asked->max_retries;
  seer_verdict verdict = asked->waited
                             ? of_waited(status, last)
                             : of_queued(status, last, asked->own_path);
  bool success = status >= 200 && status <= 299;
  CHECK(seer_retry_judge(&answer, asked) == verdict);
  answer.should_retry = 0;
  if (status != 0)
    CHECK(seer_retry_judge(&answer, asked) ==
          (success ? SEER_DELIVERED : SEER_REJECTED));
  answer.should_retry = 1;
  verdict = seer_retry_judge(&answer, asked);
  if (success)
    CHECK(verdict == SEER_DELIVERED);
  else if (asked->waited && last)
    CHECK(verdict == SEER_REJECTED);
  else
    CHECK(verdict == SEER_RETRY || (asked->waited && status == 429));
}

static void judges_every_status(void) {
  for (int status = 0; status < 1000; status++) {
    for (int bits = 0; bits < 16; bits++) {
      seer_asked asked = {.attempts = 1 + (bits & 3),
                          .max_retries = unit_random(5),
                          .waited = bits & 4,
                          .own_path = bits & 8};
      if (status == 0 || status >= 100)
        check_judgement(status, &asked);
    }
  }
}

static void doubles_delays(void) {
  seer_answer none = {.should_retry = -1, .retry_after = SEER_NO_RETRY_AFTER};
  for (int i = 0; i < 20000; i++) {
    int attempts = 1 + (int)unit_random(i % 10 == 0 ? 65535 : 12);
    int64_t initial = 1 + unit_random(5000), max = 1 + unit_random(100000);
    double fraction = (double)unit_random(1000) / 1000;
    double full =
        attempts < 40 ? (double)initial * (1LL << (attempts - 1)) : 1e18;
    int64_t delay = seer_retry_delay(&none, attempts, initial, max, fraction);
    if (full > (double)max)
      full = (double)max;
    CHECK(delay >= 1 && (double)delay <= full);
    CHECK((double)delay >= full * (1 - 0.25 * fraction) - 0.001);
    CHECK((double)delay < full * (1 - 0.25 * fraction) + 1.001);
  }
}

static void obeys_the_server(void) {
  static const int64_t times[] = {-1,    0,     1,       59999,  60000,
                                  60001, 90000, 3600000, 3600001};
  static const int statuses[] = {0, 200, 408, 429, 500, 502, 503};
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    for (size_t j = 0; j < sizeof statuses / sizeof statuses[0]; j++) {
      seer_answer answer = {.status = statuses[j], .retry_after = times[i]};
      bool obeyed = times[i] > 0 && times[i] < 60000;
      bool slow = statuses[j] == 429 || statuses[j] == 503;
      int64_t pause = seer_retry_long_pause(&answer);
      CHECK(seer_retry_delay(&answer, 3, 10, 1000, 0) ==
            (obeyed ? times[i] : 40));
      CHECK(pause ==
            (slow && times[i] >= 60000 && times[i] <= 3600000 ? times[i] : 0));
    }
  }
}

static void reads_decimals(void) {
  for (int i = 0; i < 20000; i++) {
    int64_t micros = unit_random(INT64_C(100000000000)); /* up to 10^5 s */
    int64_t millis = (micros + 999) / 1000;
    char text[40];
    snprintf(text, sizeof text, "%lld.%06lld%s", (long long)(micros / 1000000),
             (long long)(micros % 1000000), i % 2 ? "000" : "");
    CHECK(seer_retry_after(NULL, text, 0) ==
          (millis > 0 ? millis : SEER_NO_RETRY_AFTER));
    snprintf(text, sizeof text, "%lld", (long long)millis);
    CHECK(seer_retry_after(text, "77", 0) == (millis > 0 ? millis : 77000));
  }
}

static void ignores_junk(void) {
  static const char *const junk[] = {
      "",    "-1",   "+1", "1e3",  "nan", "inf", "0x10", ".",  "1,5",
      "1 s", "1.5.", " 1", "soon", "0",   "0.0", "1-",   "\t", "Thu"};
  for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
    CHECK(seer_retry_after(junk[i], NULL, 0) == SEER_NO_RETRY_AFTER);
    CHECK(seer_retry_after(NULL, junk[i], 0) == SEER_NO_RETRY_AFTER);
    CHECK(seer_retry_after(junk[i], "2", 0) == 2000);
  }
  CHECK(seer_retry_after("1.", NULL, 0) == 1);
  CHECK(seer_retry_after(NULL, ".0001", 0) == 1);
  CHECK(seer_retry_after(NULL, NULL, 0) == SEER_NO_RETRY_AFTER);
}

static void write_date(int64_t wall, char *text, size_t size) {
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr",
                                       "May", "Jun", "Jul", "Aug",
                                       "Sep", "Oct", "Nov", "Dec"};
  seer_stamp stamp = {.wall = 0};
  const char *iso = seer_clock_stamp(&stamp, wall);
  int month = (iso[5] - '0') * 10 + iso[6] - '0';
  snprintf(text, size, "Mon, %.2s %s %.4s %.8s GMT", iso + 8,
           months[month - 1], iso, iso + 11);
}

/* What an answer with these headers asks for; `date` may be NULL. */
static int64_t asked_until(const char *then, const char *date) {
  seer_incoming in;
  seer_answer answer;
  char lines[2][60];
  seer_incoming_init(&in);
  snprintf(lines[0], sizeof lines[0], "Retry-After: %s\r\n", then);
  seer_incoming_header(&in, lines[0], strlen(lines[0]));
  if (date != NULL) {
    snprintf(lines[1], sizeof lines[1], "Date: %s\r\n", date);
    seer_incoming_header(&in, lines[1], strlen(lines[1]));
  }
  seer_incoming_judge(&in, &answer);
  seer_incoming_clear(&in);
  return answer.retry_after;
}

static void reads_dates(void) {
  for (int i = 0; i < 5000; i++) {
    /* libcurl has no times after 2037 in 32 bits */
    int64_t date =
        unit_random(sizeof(void *) < 8 ? 2145900000 : INT64_C(4102444800)) *
        1000;
    int64_t delay = (unit_random(10000) - 5000) * 1000;
    int64_t right = delay > 0 ? delay : SEER_NO_RETRY_AFTER;
    int64_t wall = seer_clock_wall(), until;
    char then[40], now[40];
    if (date + delay < 0)
      continue;
    write_date(date, now, sizeof now);
    write_date(date + delay, then, sizeof then);
    CHECK(asked_until(then, now) == right);
    write_date(wall + 3600000, then, sizeof then);
    until = asked_until(then, i % 2 ? "junk" : NULL);
    CHECK(until > 3500000 && until <= 3600000);
    write_date(wall - 1000, then, sizeof then);
    CHECK(asked_until(then, i % 2 ? "junk" : NULL) == SEER_NO_RETRY_AFTER);
  }
}

const unit_test unit_retry[] = {
    {"every status has the verdict of the contract",                            judges_every_status},
    {"delays double up to the most, less a quarter",                            doubles_delays     },
    {"what a server asks for is kept below a minute, and pauses up to an hour",
     obeys_the_server                                                                              },
    {"retry-after and retry-after-ms are read to the millisecond, upwards",
     reads_decimals                                                                                },
    {"a retry-after that is no time counts as none",                            ignores_junk       },
    {"a retry-after may be a date, by the answer's clock or ours",
     reads_dates                                                                                   },
    {NULL,                                                                      NULL               }
};
