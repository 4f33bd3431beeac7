#include "budget.h"

#include <inttypes.h>
#pragma GCC visibility push(hidden)

#define HOLD_MOST 10000 /* ms */

/* The words of scripts.h. */
static void add_words(seer_words *words, const seer_connection *connection,
                      const seer_budget *budget) {
  const char *prefix = connection->config->prefix;
  const int64_t numbers[] = {budget->share, budget->held, budget->want,
                             budget->lease, budget->tail, budget->pause,
                             budget->peers};
  uint64_t name = 0;
  for (int i = 0; i < 8; i++)
    name = name << 8 | budget->target[i];
  seer_words_print(words, "2");
  seer_words_print(words, "%s:{%016" PRIx64 "}:budget", prefix, name);
  seer_words_print(words, "%s:targets", prefix);
  seer_words_print(words, "%016" PRIx64, budget->gate);
  seer_words_print(words, "%" PRIu64, budget->turn);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    seer_words_print(words, "%" PRId64, numbers[i]);
  seer_words_print(words, "%016" PRIx64, name);
  seer_words_print(words, "run:%s", connection->server);
}

static int64_t number_within(const redisReply *reply, size_t i, int64_t most) {
  int64_t number = seer_connection_number(reply, i);
  if (number < 0)
    return 0;
  return number < most ? number : most;
}

seer_store_result seer_budget_ask(seer_connection *connection,
                                  seer_budget *budget,
                                  seer_store_message message) {
  seer_words words = {0};
  redisReply *reply;
  bool ok;
  add_words(&words, connection, budget);
  reply =
      seer_connection_run(connection, SEER_SCRIPTS_BUDGET, &words, message);
  seer_words_clear(&words);
  if (reply == NULL)
    return SEER_STORE_LATER;
  ok = reply->type == REDIS_REPLY_ARRAY && reply->elements == 4;
  if (ok) {
    budget->granted = number_within(reply, 0, budget->want);
    budget->owed = number_within(reply, 1, budget->held);
    budget->peers = number_within(reply, 2, INT32_MAX);
    budget->hold = number_within(reply, 3, HOLD_MOST);
  } else {
    seer_connection_explain(connection, "another asked meanwhile", "",
                            message);
  }
  freeReplyObject(reply);
  return ok ? SEER_STORE_DONE : SEER_STORE_LATER;
}
