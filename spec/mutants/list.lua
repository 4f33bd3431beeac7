-- Deliberate defects, one a line of code each, and the spec that catches it.
-- A defect that its spec does not catch means that a promise is unproven.
--
--   file, from, to   the change; `from` stands there once
--   spec, title      the test that must fail because of it
--   lane             "tsan" for one that only that sanitizer sees: then
--                    `title` is what it says

return {
  {
    what = "the lock is not taken while counts are read",
    file = "src/core/sender.c",
    from = "  seer_lock();\n  stats->accepted = queue->accepted;\n"
      .. "  stats->delivered = queue->delivered;\n",
    to = "  stats->delivered = queue->delivered;\n  seer_lock();\n"
      .. "  stats->accepted = queue->accepted;\n",
    spec = "spec/core/queue_spec.lua", lane = "tsan",
    title = "ThreadSanitizer: data race",
  },
  {
    what = "a retry sends another body",
    file = "src/core/http_flight.c",
    from = "(curl_off_t)event->length) &&",
    to = "(curl_off_t)(event->length - (event->attempts > 1))) &&",
    spec = "spec/core/delivery_spec.lua",
    title = "have the same bytes and Idempotency-Key in every attempt",
  },
  {
    what = "a retry has an Idempotency-Key of its own",
    file = "src/core/http_request.c",
    from = "seer_id_text(out->event->id, value);",
    to = "seer_id_text(seer_id_new(), value);",
    spec = "spec/core/delivery_spec.lua",
    title = "have the same bytes and Idempotency-Key in every attempt",
  },
  {
    what = "the pacer lets one more go",
    file = "src/core/pace.c",
    from = "seer_pace_share(rate_limit) + 1;",
    to = "seer_pace_share(rate_limit);",
    spec = "spec/core/pace_spec.lua",
    title = "lets 95 % of rate_limit out at once, at least one, and no more",
  },
  {
    what = "a slot comes free before 60 s are over",
    file = "src/core/pace.c",
    from = "return (step + 1) * SEER_PACE_STEP + SEER_PACE_WINDOW;",
    to = "return (step - 9) * SEER_PACE_STEP + SEER_PACE_WINDOW;",
    spec = "spec/core/pace_spec.lua",
    title = "1,200 events at once at 1,000 a minute",
  },
  {
    what = "a slot is taken for the beginning of a request alone",
    file = "src/core/pace.c",
    from = "pace->ended + pace->in_flight - seer_pace_share",
    to = "pace->ended - seer_pace_share",
    spec = "spec/core/pace_spec.lua",
    title = "lets 95 % of rate_limit out at once, at least one, and no more",
  },
  {
    what = "the key is in what is logged of answers",
    file = "src/core/mask.c",
    from = [[
      memset(to, '*', stars);
      to += stars;]],
    to = [[
      memmove(to, at - taken, taken);
      to += taken + 0 * stars;]],
    spec = "spec/secret_spec.lua",
    title = "a secret comes out nowhere on the standard error",
  },
  {
    what = "the key follows a redirect to another origin",
    file = "src/core/http_request.c",
    from = "out->foreign = out->foreign || leaves;",
    to = "out->foreign = false;",
    spec = "spec/core/http_request_spec.lua",
    title = "307 keeps method and body, not the key nor any header given",
  },
  {
    what = "a redirect leads from https to http",
    file = "src/core/http_request.c",
    from = "if (before != 0 && after == 0)",
    to = "if (before != 0 && after > 1)",
    spec = "spec/contract_results_spec.lua",
    title = "are refused from https to http",
  },
  {
    what = "an event that is displaced is not counted",
    file = "src/core/queue.c",
    from = "queue->dropped_by[settlement - SEER_SETTLED_EXPIRED]++;\n}",
    to = "queue->dropped_by[settlement - SEER_SETTLED_EXPIRED] +=\n"
      .. "        settlement != SEER_SETTLED_DISPLACED;\n}",
    spec = "spec/core/queue_spec.lua",
    title = "displaces the oldest event, and none in flight",
  },
  {
    what = "an event past max_age is sent",
    file = "src/core/queue.c",
    from = "return event->request == NULL && event->expires <= now;",
    to = "return event->request == NULL && event->expires < 0 * now;",
    spec = "spec/core/queue_spec.lua",
    title = "max_age drops in time though nothing else wakes the sender",
  },
  {
    what = "a queue takes one event too many",
    file = "src/core/queue.c",
    from = "return events < queue->settings.max_queue_events &&",
    to = "return events <= queue->settings.max_queue_events &&",
    spec = "spec/core/queue_spec.lua",
    title = "takes max_queue_events, those in flight included",
  },
  {
    what = "an identify does not wait for an earlier one of its user",
    file = "src/core/event.c",
    from = "turn->user = seer_id_hash(user, length);",
    to = "turn->user = seer_id_new().low + 0 * (size_t)user[length - 1];",
    spec = "spec/core/turns_spec.lua",
    title = "an identify waits while an earlier one of its user is in flight",
  },
  {
    what = "a wrong key loses what is queued",
    file = "src/core/retry.c",
    from = "  case 401:\n",
    to = "",
    spec = "spec/core/retry_spec.lua",
    title = "is kept after 401 and the endpoint pauses",
  },
  {
    what = "a Retry-After of an hour holds a single event",
    file = "src/core/retry.c",
    from = "answer->retry_after > 0 && answer->retry_after < MINUTE)",
    to = "answer->retry_after > 0 && answer->retry_after <= HOUR)",
    spec = "spec/contract_spec.lua",
    title = "is computed when that is not between 0 and 60 seconds",
  },
  {
    what = "integers pass through a double",
    file = "src/core/json.c",
    from = "void seer_json_integer(seer_buffer *out, int64_t value) {\n",
    to = "void seer_json_integer(seer_buffer *out, int64_t value) {\n"
      .. "  value = (int64_t)(double)value;\n",
    spec = "spec/encode_number_spec.lua",
    title = "is exact up to 64 bits",
  },
  {
    what = "surrogates pass as UTF-8",
    file = "src/core/json.c",
    from = "else if (lead == 0xED)\n    highest = 0x9F;",
    to = "else if (lead == 0xED)\n    highest = 0xBF;",
    spec = "spec/encode_spec.lua",
    title = "a string has U+FFFD for every sequence that is not UTF-8",
  },
  {
    what = "one level of tables too many",
    file = "src/encode.c",
    from = "if (w->depth == SEER_ENCODE_DEPTH)",
    to = "if (w->depth > SEER_ENCODE_DEPTH)",
    spec = "spec/encode_limits_spec.lua",
    title = "depth and size may not be 101 levels",
  },
  {
    what = "a fork's child goes on with the parent's random numbers",
    file = "src/core/process.c",
    from = "  seer_id_forget();\n",
    to = "",
    spec = "spec/core/fork_spec.lua",
    title = "a fork gives each of many children keys of their own",
  },
  {
    what = "a fork's child sends what the parent has queued",
    file = "src/core/process.c",
    from = "    seer_queue_forget(queue, dead);\n",
    to = "    (void)dead;\n",
    spec = "spec/core/fork_spec.lua",
    title = "a fork leaves what is queued and in flight to the parent alone",
  },
  {
    what = "a fork does not wait for who is inside libcurl",
    file = "src/core/process.c",
    from = "  while (seer_process.working || seer_process.starting)\n"
      .. "    seer_wait(SEER_NEVER);\n",
    to = "",
    spec = "spec/core/fork_spec.lua",
    title = "waits until the thread is outside of libcurl",
  },
  {
    what = "sockets are inherited by programs that are started",
    file = "src/core/http_sockets.c",
    from = "SOCK_NONBLOCK | SOCK_CLOEXEC;",
    to = "SOCK_NONBLOCK;",
    spec = "spec/core/states_spec.lua",
    title = "closes its connections and its alarm when it becomes",
  },
  {
    what = "a dead connection is used while others are in flight over it",
    file = "src/core/http_flight.c",
    from = "if (site->suspects > 0 || seconds < 2)",
    to = "if (seconds < 2)",
    spec = "spec/faults/http2_spec.lua",
    title = "is not used again while others are in flight over it",
  },
  {
    what = "signals of the host reach the sender",
    file = "src/core/thread.c",
    from = "pthread_sigmask(SIG_SETMASK, &blocked, &before);",
    to = "pthread_sigmask(SIG_BLOCK, NULL, &before);",
    spec = "spec/core/states_spec.lua",
    title = "lets no signal reach that thread but those of a crash",
  },
  {
    what = "the process ends without waiting for delivery",
    file = "src/core/process.c",
    from = "  wait_for_delivery();\n",
    to = "",
    spec = "spec/core/process_spec.lua",
    title = "900 events are delivered once each when the script just ends",
  },
  {
    what = "a flush returns at once",
    file = "src/core/sender.c",
    from = "queue->before_flush = queue->pending;",
    to = "queue->before_flush = 0;",
    spec = "spec/client_spec.lua",
    title = "client:flush returns nil, message, err when the time is up",
  },
  {
    what = "the sender sleeps on when an event comes",
    file = "src/core/state.c",
    from = "  seer_process.sleeping = false;\n  return true;",
    to = "  seer_process.sleeping = false;\n  return false;",
    spec = "spec/core/loop_spec.lua",
    title = "sleeps when it has nothing to do, also after an alarm",
  },
  {
    what = "waited-for requests queue up behind the others",
    file = "src/core/endpoint.c",
    from = "event = claim_from(endpoint, SEER_WAITED, now, queue, dead);",
    to = "event = is_open(endpoint, now)\n"
      .. "              ? claim_from(endpoint, SEER_QUEUED, now, queue, dead)"
      .. "\n              : NULL;\n  if (event == NULL)\n    event = "
      .. "claim_from(endpoint, SEER_WAITED, now, queue, dead);",
    spec = "spec/core/endpoint_spec.lua",
    title = "goes before queued ones when there is but one place",
  },
  {
    what = "a header may have a line break in it",
    file = "src/fields.c",
    from = "  if (has_control(value, length)) {\n",
    to = "  if (has_control(value, 0)) {\n",
    spec = "spec/fields_spec.lua",
    title = "raises when it cannot be sent, and quotes no value",
  },
}
