#include "limiter.h"

#include <math.h>
#include <string.h>

#define MINUTE 60000
#define LOGGED 4096
#define BURST 10    /* of GCRA */
#define CLOCK 17321 /* ms by which the server's minutes are off */

void limiter_init(limiter *server, limiter_kind kind, limiter_advice advice,
                  int64_t limit) {
  memset(server, 0, sizeof *server);
  server->kind = kind;
  server->advice = advice;
  server->limit = limit;
  server->tokens = (double)limit;
}

/* Each returns 0, or the ms until the request would be taken. */

static double ask_sliding(limiter *s, int64_t now) {
  while (s->count > 0 && s->log[s->first] + MINUTE <= now) {
    s->first = (s->first + 1) % LOGGED;
    s->count--;
  }
  if (s->count >= s->limit)
    return (double)(s->log[s->first] + MINUTE - now);
  s->log[(s->first + s->count++) % LOGGED] = now;
  return 0;
}

static double ask_fixed(limiter *s, int64_t now) {
  int64_t window = (now + CLOCK) / MINUTE;
  if (window != s->window)
    s->count = 0;
  s->window = window;
  if (s->count >= s->limit)
    return (double)(MINUTE - (now + CLOCK) % MINUTE);
  s->count++;
  return 0;
}

static double ask_bucket(limiter *s, int64_t now) {
  double each = (double)MINUTE / (double)s->limit;
  s->tokens =
      fmin((double)s->limit, s->tokens + ((double)now - s->filled) / each);
  s->filled = (double)now;
  if (s->tokens < 1)
    return (1 - s->tokens) * each;
  s->tokens -= 1;
  return 0;
}

static double ask_gcra(limiter *s, int64_t now) {
  double each = (double)MINUTE / (double)s->limit;
  double tat = fmax(s->tat, (double)now), early = tat - (double)now;
  if (early > (BURST - 1) * each)
    return early - (BURST - 1) * each;
  s->tat = tat + each;
  return 0;
}

int limiter_ask(limiter *server, int64_t now, int64_t *retry_after) {
  static double (*const ask[])(limiter *, int64_t) = {ask_sliding, ask_fixed,
                                                      ask_bucket, ask_gcra};
  double wait = ask[server->kind](server, now);
  *retry_after = -1;
  if (wait <= 0)
    return 200;
  if (server->advice == EXACT)
    *retry_after = (int64_t)ceil(wait);
  else if (server->advice == SECONDS)
    *retry_after = (int64_t)ceil(wait / 1000) * 1000;
  else if (server->advice == ONE)
    *retry_after = 1000;
  return 429;
}
