-- Every status from 200 to 599, with and without x-should-retry, against the
-- table of what becomes of a request.

local h = require "spec.helper"

local BATCH = 60 -- statuses at a time: select knows 1024 descriptors
local MAX_RETRIES = 1
local SLOW = 1000 -- seconds, for what must not be tried again

local function set(list)
  local members = {}
  for _, status in ipairs(list) do
    members[status] = true
  end
  return members
end

local PAUSING = set { 401, 402, 403, 404, 405, 407, 421, 423, 425, 429 }

local NAMES = {
  [400] = "BadRequestError", [401] = "AuthenticationError",
  [403] = "PermissionDeniedError", [404] = "NotFoundError",
  [409] = "ConflictError", [422] = "UnprocessableEntityError",
  [429] = "RateLimitError",
}

-- What becomes of a queued event: "delivered", "rejected", "kept" (it waits),
-- "paused" (its endpoint waits).
local function fate_queued(status, should_retry)
  if status < 300 then
    return "delivered"
  elseif should_retry ~= nil then
    return should_retry and "kept" or "rejected"
  elseif status < 400 or PAUSING[status] then
    return "paused"
  elseif status == 408 or status >= 500 or status == 409 then
    return "kept"
  end
  return "rejected"
end

-- What a waited-for request gets, and after how many attempts.
local function fate_waited(status, should_retry)
  local again = status == 408 or status == 409 or status == 429
    or status >= 500
  if status < 300 then
    return "response", 1
  elseif should_retry ~= nil then
    again = should_retry
  end
  return NAMES[status] or status >= 500 and "InternalServerError"
    or "APIStatusError", again and MAX_RETRIES + 1 or 1
end

-- Clients of a server that gives each the status in its path, until it is
-- healed.
local function open()
  local x = h.open()
  local healed, counts = {}, {}

  local function handler(request)
    local id, status, retry = request.path:match "^/(%d+)/(%d+)/(%w+)/"
    counts[id] = (counts[id] or 0) + 1
    if healed[id] then
      return 200, { Connection = "close" }, '{"success":true}'
    end
    return tonumber(status), {
      Connection = "close", ["X-Should-Retry"] = retry ~= "nil" and retry
        or nil,
    }, '{"error":"no"}'
  end

  local made = 0
  local function new(status, retry, options)
    made = made + 1
    local id = tostring(made)
    options.base_url = ("%s/%s/%d/%s"):format(x.url, id, status,
      tostring(retry))
    options.log_level = "off"
    return { id = id, status = status, retry = retry,
      client = h.client(options.base_url, options) }
  end

  return x, handler, new, healed, counts
end

-- Calls f(first, last) for batches of the statuses.
local function in_batches(f)
  for first = 200, 599, BATCH do
    f(first, math.min(first + BATCH - 1, 599))
  end
end

local function all(cases, condition)
  return function()
    for _, case in ipairs(cases) do
      if not condition(case, h.adds_up(case.client)) then
        return false
      end
    end
    return true
  end
end

local function describe_wrong(wrong, case, ...)
  wrong[#wrong + 1] = ("%d: "):format(case.status)
    .. table.concat({ ... }, " ")
end

for _, retry in ipairs { "nil", "true", "false" } do
  local should_retry = nil
  if retry ~= "nil" then
    should_retry = retry == "true"
  end
  local title = should_retry == nil and ""
    or " with x-should-retry: " .. retry

  describe("every status from 200 to 599" .. title, function()
    -- Of each status and for each way to send; the first attempt only.
    it("has a queued event delivered, rejected, kept or its endpoint paused",
      function()
        local x, handler, new, _, counts = open()
        local wrong, tried = {}, 0
        in_batches(function(first, last)
          local cases = {}
          for status = first, last do
            local case = new(status, should_retry, {
              initial_retry_delay = SLOW, max_retry_delay = SLOW,
            })
            assert(case.client.events.capture { name = "a.b" })
            cases[#cases + 1], tried = case, tried + 1
          end
          x:serve(handler, all(cases, function(_, stats)
            return stats.pending == 0 or stats.last_error
          end))
          for _, case in ipairs(cases) do
            local stats = case.client:stats()
            local fate = stats.delivered == 1 and "delivered"
              or stats.rejected == 1 and "rejected"
              or stats.retry_at and "paused" or "kept"
            if fate ~= fate_queued(case.status, should_retry)
              or counts[case.id] ~= 1 or stats.dropped ~= 0 then
              describe_wrong(wrong, case, fate, counts[case.id])
            end
            case.client:close(0)
          end
        end)
        x:close()
        assert.same({}, wrong)
        assert.equal(400, tried)
      end)

    it("has what was kept delivered when the status is a better one",
      function()
        local x, handler, new, healed, counts = open()
        local wrong = {}
        in_batches(function(first, last)
          local cases = {}
          for status = first, last do
            local fate = fate_queued(status, should_retry)
            if fate == "kept" or fate == "paused" then
              local case = new(status, should_retry, { max_retries = 1000 })
              assert(case.client.events.capture { name = "a.b" })
              cases[#cases + 1] = case
            end
          end
          -- Each fails twice, at least.
          x:serve(handler, all(cases, function(case, stats)
            assert(stats.pending == 1, case.status)
            return (counts[case.id] or 0) >= 2
          end))
          for _, case in ipairs(cases) do
            healed[case.id] = true
          end
          x:serve(handler, all(cases, function(_, stats)
            return stats.pending == 0
          end))
          for _, case in ipairs(cases) do
            if case.client:stats().delivered ~= 1 then
              describe_wrong(wrong, case, "not delivered")
            end
            case.client:close(0)
          end
        end)
        local keys = {}
        for _, request in ipairs(x.requests) do
          local id = request.path:match "^/(%d+)/"
          local sent = request.headers["idempotency-key"] .. request.body
          keys[id] = keys[id] or sent
          assert.equal(keys[id], sent)
        end
        x:close()
        assert.same({}, wrong)
      end)

    it("gives a waited-for request its response or error, retried or not",
      function()
        local x, handler, new, _, counts = open()
        local wrong = {}
        in_batches(function(first, last)
          local cases = {}
          for status = first, last do
            local case = new(status, should_retry, {})
            case.future = assert(case.client.events.capture(
              { name = "a.b" }, { future = true, max_retries = MAX_RETRIES }))
            cases[#cases + 1] = case
          end
          x:serve(handler, all(cases, function(case)
            return case.future:done()
          end))
          for _, case in ipairs(cases) do
            local response, http, err = case.future:get(0)
            local name, attempts = fate_waited(case.status, should_retry)
            local got = response and "response" or err.name
            local status = response and http.status or err.status
            if got ~= name or counts[case.id] ~= attempts
              or status ~= case.status then
              describe_wrong(wrong, case, got, counts[case.id])
            end
            case.client:close(0)
          end
        end)
        x:close()
        assert.same({}, wrong)
      end)
  end)
end
