#include "retry.h"
#pragma GCC visibility push(hidden)

#define MINUTE 60000
#define HOUR 3600000

bool seer_retry_is_success(int status) {
  return status >= 200 && status < 300;
}

bool seer_retry_concerns_endpoint(int status) {
  return status < 400 /* a redirect that cannot be followed */ ||
         (status >= 401 && status <= 405) || status == 407 || status == 421 ||
         status == 423 || status == 425 || status == 429;
}

static seer_verdict judge_waited(const seer_answer *answer, bool last) {
  bool again;
  if (answer->should_retry >= 0)
    again = answer->should_retry == 1;
  else
    again = answer->status == 0 || answer->status == 408 ||
            answer->status == 409 || answer->status == 429 ||
            answer->status >= 500;
  if (!again || last)
    return SEER_REJECTED;
  return answer->status == 429 ? SEER_PAUSE : SEER_RETRY;
}

/* Answers that say of a path that there is nothing to be had. */
static bool concerns_path(int status) {
  return status == 403 || status == 404 || status == 405;
}

static seer_verdict judge_queued(const seer_answer *answer, bool last,
                                 bool own_path) {
  if (answer->status == 0)
    return SEER_RETRY;
  if (answer->should_retry >= 0)
    return answer->should_retry == 1 ? SEER_RETRY : SEER_REJECTED;
  if (own_path && concerns_path(answer->status))
    return SEER_REJECTED;
  if (seer_retry_concerns_endpoint(answer->status))
    return SEER_PAUSE;
  if (answer->status == 408 || answer->status >= 500)
    return SEER_RETRY;
  return answer->status == 409 && !last ? SEER_RETRY : SEER_REJECTED;
}

seer_verdict seer_retry_judge(const seer_answer *answer,
                              const seer_asked *asked) {
  bool last = asked->attempts > asked->max_retries;
  if (seer_retry_is_success(answer->status))
    return SEER_DELIVERED;
  return asked->waited ? judge_waited(answer, last)
                       : judge_queued(answer, last, asked->own_path);
}

int64_t seer_retry_delay(const seer_answer *answer, int attempts,
                         int64_t initial, int64_t max, double fraction) {
  int64_t delay = initial;
  if (answer->retry_after > 0 && answer->retry_after < MINUTE)
    return answer->retry_after;
  for (int i = 1; i < attempts && delay < max; i++)
    delay *= 2;
  if (delay > max)
    delay = max;
  delay -= (int64_t)((double)delay * 0.25 * fraction);
  return delay > 0 ? delay : 1;
}

int64_t seer_retry_long_pause(const seer_answer *answer) {
  if (answer->status != 429 && answer->status != 503)
    return 0;
  if (answer->retry_after < MINUTE || answer->retry_after > HOUR)
    return 0;
  return answer->retry_after;
}

static bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

/* A decimal number without sign or exponent, times `unit`, rounded up to
   whole units of one; false if the text is anything else. strtod is not
   asked: the host's locale has a say in it. */
static bool read_decimal(const char *text, int64_t unit, int64_t *value) {
  int64_t whole = 0, part = 0, scale = 1, rest = 0;
  if (!is_digit(*text) && !(text[0] == '.' && is_digit(text[1])))
    return false;
  for (; is_digit(*text); text++)
    if (whole <= (int64_t)HOUR * 10)
      whole = whole * 10 + (*text - '0');
  if (*text == '.')
    text++;
  for (; is_digit(*text); text++) {
    if (scale < 1000000) {
      part = part * 10 + (*text - '0');
      scale *= 10;
    } else if (*text != '0') {
      rest = 1;
    }
  }
  if (*text != '\0')
    return false;
  *value = whole * unit + (part * unit + scale - 1 + rest) / scale;
  return true;
}

int64_t seer_retry_after(const char *milliseconds, const char *seconds,
                         int64_t until) {
  int64_t delay = 0;
  if (milliseconds != NULL)
    read_decimal(milliseconds, 1, &delay);
  if (delay == 0 && seconds != NULL && !read_decimal(seconds, 1000, &delay))
    delay = until;
  return delay > 0 ? delay : SEER_NO_RETRY_AFTER;
}
