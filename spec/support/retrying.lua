-- What the specs of retries share: which answers mean what, and a client
-- with a server of its own for each spec.

local assert = require "luassert"
local h = require "spec.helper"

local retrying = {}

retrying.REJECTED = {
  400, 406, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 424, 426, 428,
  431, 451, 499,
}
retrying.RETRIED = { 408, 500, 501, 502, 503, 504, 520, 599 }
retrying.PAUSING = {
  300, 301, 302, 303, 304, 305, 307, 308,
  401, 402, 403, 404, 405, 407, 421, 423, 425, 429,
}

-- So slow that what comes sooner was not the sender's own next attempt.
retrying.SLOW = { initial_retry_delay = 40, max_retry_delay = 40 }

local x

-- For a file: its h.
function retrying.each()
  x = h.exchange()
  return x
end

-- Of its troubles only the counts tell.
function retrying.new(options)
  return x:new(options)
end

-- The n-th attempt of the only event gets the n-th answer, and 200 follows.
function retrying.deliver(answers)
  x:capture("a.b")
  return x:settle(h.sequence(answers))
end

function retrying.assert_same_event(requests)
  for _, request in ipairs(requests) do
    assert.equal(requests[1].body, request.body)
    assert.equal(requests[1].path, request.path)
    assert.equal(requests[1].headers["idempotency-key"],
      request.headers["idempotency-key"])
  end
end

-- An event whose first attempt gets the answer is kept, and the endpoint
-- pauses or does not. Returns the number of requests that it took.
function retrying.assert_kept(paused, answers)
  local before = #x.requests
  x.client = retrying.new(retrying.SLOW)
  x:capture("a.b")
  x:serve(h.sequence(answers), function()
    return x.client:stats().last_error
  end)
  assert.equal(paused, x:paused())
  assert.equal(1, h.adds_up(x.client).pending)
  return #x.requests - before
end

return retrying
