/*
 * The headers of answers: status lines, the lines that are kept, when to try
 * again. The same numbers as strtod, and no wait that is negative or longer
 * than it may be.
 */

#include "support/fuzz.h"

#include "core/base/clock.h"
#include "core/http/incoming.h"

#include <math.h>
#include <time.h>

#define MINUTE 60000
#define HOUR 3600000
#define LONGEST INT64_C(400000000000000) /* ms: past the year 9999 */

static void check_delays(const seer_answer *answer) {
  int64_t pause = seer_retry_long_pause(answer);
  fuzz_check(pause == 0 || (pause >= MINUTE && pause <= HOUR), "pause %lld",
             (long long)pause);
  for (int attempts = 1; attempts < 70000; attempts = attempts * 7 + 1) {
    int64_t delay =
        seer_retry_delay(answer, attempts, 500, 8000, attempts % 2);
    fuzz_check(delay > 0 && delay < MINUTE, "delay %lld", (long long)delay);
  }
}

static void check_retry_after(int64_t delay) {
  fuzz_check(delay == SEER_NO_RETRY_AFTER || (delay > 0 && delay < LONGEST),
             "retry after %lld", (long long)delay);
}

/* Digits with at most one point, as strtod has it; -1 for other text. */
static double plain_number(const char *text) {
  char *end;
  if (text[strspn(text, "0123456789.")] != '\0' ||
      strpbrk(text, "0123456789") == NULL)
    return -1;
  double number = strtod(text, &end);
  return *end == '\0' ? number : -1;
}

static void check_number(const char *text) {
  double number = plain_number(text);
  int64_t ms = seer_retry_after(text, NULL, 0);
  int64_t s = seer_retry_after(NULL, text, 0);
  check_retry_after(ms);
  if (number < 0) {
    fuzz_check(ms == SEER_NO_RETRY_AFTER, "'%s' is %lld ms", text,
               (long long)ms);
    return;
  }
  if (number == 0) {
    fuzz_check(ms == SEER_NO_RETRY_AFTER && s == SEER_NO_RETRY_AFTER,
               "zero is %lld", (long long)ms);
    return;
  }
  fuzz_check(number > HOUR ? ms > HOUR : fabs((double)ms - ceil(number)) <= 1,
             "'%s' is %lld ms", text, (long long)ms);
  fuzz_check(number * 1000 > HOUR ? s >= HOUR
                                  : fabs((double)s - ceil(number * 1000)) <= 1,
             "'%s' s is %lld ms", text, (long long)s);
}

/* The wait that an answer with these values asks for. */
static int64_t asked_until(const char *then, const char *date) {
  seer_incoming incoming;
  seer_answer answer;
  char line[200];
  seer_incoming_init(&incoming);
  snprintf(line, sizeof line, "Retry-After: %s\n", then);
  seer_incoming_header(&incoming, line, strlen(line));
  snprintf(line, sizeof line, "Date: %s\n", date);
  seer_incoming_header(&incoming, line, strlen(line));
  seer_incoming_judge(&incoming, &answer);
  seer_incoming_clear(&incoming);
  return answer.retry_after;
}

/* What a proper server sends. */
static void check_formats(input *in) {
  static const char *const formats[] = {"%a, %d %b %Y %H:%M:%S GMT",
                                        "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};
  char text[2][80];
  struct tm parts;
  int64_t now = (int64_t)(input_bits(in) >> 16) % (SEER_CLOCK_LAST / 1000);
  size_t format = input_below(in, 3);
  time_t seconds = (time_t)(format == 1 ? now % 3100000000 + 40000000 : now);
  gmtime_r(&seconds, &parts);
  strftime(text[0], sizeof text[0], formats[format], &parts);
  seconds += 5;
  gmtime_r(&seconds, &parts);
  strftime(text[1], sizeof text[1], formats[format], &parts);
  now = asked_until(text[1], text[0]);
  fuzz_check(now == 5000, "5000 ms before '%s' is %lld", text[1],
             (long long)now);
  now = asked_until(text[0], text[0]);
  fuzz_check(now == SEER_NO_RETRY_AFTER, "no time until '%s' is %lld", text[0],
             (long long)now);
}

static void check_find(const seer_incoming *in) {
  static const char *const names[] = {"date", "retry-after", "location", "x"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *value = malloc(33); /* to have what follows it poisoned */
    char *found = seer_incoming_find(in, names[i], value, 33);
    if (found != NULL) {
      size_t length = strlen(found);
      fuzz_check(length <= 32, "%s is too long", names[i]);
      fuzz_check(strchr(found, '\n') == NULL, "a newline in %s", names[i]);
      fuzz_check(length == 0 || (*found != ' ' && found[length - 1] != ' '),
                 "%s is not trimmed", names[i]);
    }
    free(value);
  }
}

/* Lines as libcurl hands them over, and pieces of a body between them. */
static void check_answer(input *in, bool whole_body) {
  seer_incoming incoming;
  seer_answer answer;
  bool going = true;
  seer_incoming_init(&incoming);
  incoming.whole_body = whole_body;
  while (in->at < in->end && going) {
    const char *line = (const char *)in->at;
    size_t left = (size_t)(in->end - in->at), length;
    const char *end = memchr(line, '\n', left);
    length = end != NULL ? (size_t)(end - line) + 1 : left;
    in->at += length;
    if (memchr(line, '\0', length) != NULL)
      continue; /* libcurl ends the transfer */
    going = *line == '\x01' ? seer_incoming_body(&incoming, line, length)
                            : seer_incoming_header(&incoming, line, length);
  }
  fuzz_check(incoming.headers.length <= SEER_INCOMING_HEADERS &&
                 incoming.body.length <= SEER_INCOMING_BODY,
             "more is kept than may be");
  check_find(&incoming);
  seer_incoming_judge(&incoming, &answer);
  fuzz_check(answer.status == 0 ||
                 (answer.status >= 200 && answer.status <= 999),
             "status %d", answer.status);
  fuzz_check(answer.should_retry >= -1 && answer.should_retry <= 1,
             "should_retry %d", answer.should_retry);
  check_retry_after(answer.retry_after);
  check_delays(&answer);
  seer_incoming_clear(&incoming);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  char *text;
  size_t length;
  uint8_t mode = input_byte(&in);
  if (mode % 4 == 0) {
    check_formats(&in);
    return 0;
  }
  if (mode % 4 == 1) {
    const char *bytes = input_rest(&in, &length);
    text = strndup(bytes, length);
    check_number(text);
    check_retry_after(asked_until(text, text));
    check_retry_after(asked_until(text, "junk"));
    free(text);
    return 0;
  }
  check_answer(&in, mode % 4 == 2);
  return 0;
}
