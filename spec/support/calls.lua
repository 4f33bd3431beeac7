-- The three ways to send something, for what holds for all of them.

local exchange = require "spec.support.exchange"

local calls = {}

-- A time for captures, so that their bodies are known.
calls.TIME = "2025-01-04T12:00:00Z"

local LIST = {
  {
    path = "/capture",
    body = '{"name":"a.b","timestamp":"' .. calls.TIME .. '"}',
    start = function(client, options)
      local event = { name = "a.b", timestamp = calls.TIME }
      return client.events.capture(event, options)
    end,
  },
  {
    path = "/identify",
    body = '{"user_id":"u"}',
    start = function(client, options, user)
      return client.users.identify({ user_id = user or "u" }, options)
    end,
  },
  {
    path = "/some/path",
    body = '{"x":[1,2]}',
    start = function(client, options)
      return client:post("/some/path", { x = { 1, 2 } }, options)
    end,
  },
}

-- Serves until some futures are done; `answers` is a handler, or a list of
-- answers.
function calls.serve(x, futures, answers)
  local handler = type(answers) == "table" and exchange.sequence(answers)
    or answers
  x:serve(handler, function()
    for _, future in ipairs(futures) do
      if not future:done() then
        return false
      end
    end
    return true
  end)
end

-- Calls f(send, path, body) for each way to send something. What is sent is
-- waited for, as by a future: send(answers, options, client) returns the
-- requests that it took, and then what the call gives.
function calls.each(x, f)
  for _, call in ipairs(LIST) do
    f(function(answers, options, client)
      local requests, before = {}, #x.requests
      options = options or {}
      options.future = true
      local future = assert(call.start(client or x.client, options))
      calls.serve(x, { future }, answers)
      for i = before + 1, #x.requests do
        requests[#requests + 1] = x.requests[i]
      end
      return requests, future:get(0)
    end, call.path, call.body)
  end
end

-- Sends something in each way for each of some statuses, which is in the
-- header X-Status, all at the same time, and calls f(status, ...) with what
-- each call gives. The users differ: those of one would wait for each other.
function calls.together(x, statuses, options, serve, f)
  local futures, expected = {}, {}
  for _, call in ipairs(LIST) do
    for _, status in ipairs(statuses) do
      futures[#futures + 1] = assert(call.start(x.client, {
        future = true, timeout = options.timeout,
        max_retries = options.max_retries,
        headers = { ["X-Status"] = status },
      }, "u" .. status))
      expected[#futures] = status
    end
  end
  serve(futures)
  for i, future in ipairs(futures) do
    f(expected[i], future:get(0))
  end
end

return calls
