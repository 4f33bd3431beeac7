local h = require "spec.helper"
local socket = require "socket"

local hold = h.hold
local SLOW = { initial_retry_delay = 40, max_retry_delay = 40 }

local x = h.exchange()

-- Answers the requests that the server holds.
local function answer_held(...)
  for _, peer in ipairs(x.server.connections) do
    if peer.open and peer.busy then
      peer:respond(...)
      peer.busy = false
    end
  end
end

local function count_held()
  local held = 0
  for _, peer in ipairs(x.server.connections) do
    held = held + ((peer.open and peer.busy) and 1 or 0)
  end
  return held
end

-- Serves until the client has heard of the server's answers.
local function serve_until_paused(handler)
  x:serve(handler, function() return x:paused() end)
end

local function assert_nothing_comes(seconds)
  local before = #x.requests
  x:serve_while(function() return #x.requests == before end, nil,
    seconds or 0.2)
end

-- Makes the endpoint back off while many events wait: at the fifth failure,
-- and no request is in flight after eight.
local function back_off()
  x:use { max_in_flight = 4 }
  x:capture_many(20)
  for _ = 1, 2 do
    x:serve(hold, function() return count_held() == 4 end)
    answer_held(500)
  end
end

describe("an endpoint", function()
  it("pauses at once when a request is refused", function()
    for _, status in ipairs { 401, 403, 404, 429 } do
      x:use(h.merge(SLOW, { max_in_flight = 1 }))
      x:capture_many(10)
      local before = #x.requests
      serve_until_paused(function() return status end)
      assert_nothing_comes(0.1)
      assert.equal(before + 1, #x.requests)
    end
  end)

  it("tells of a refused key once, and without the key", function()
    local result = x:child({ code = [[
      local client = seerstack.new {
        max_in_flight = 4, initial_retry_delay = 0.01,
        max_retry_delay = 0.05,
      }
      for i = 1, 30 do
        client.events.capture { name = "n" .. i }
      end
      assert(client:flush(20))
    ]] }, function(request)
      if #x.requests <= 12 then
        return 401, nil, '{"error":"Bad key '
          .. request.headers.authorization .. '"}'
      end
      return h.ok()
    end)
    assert.matches("^seerstack: warn: refused by " .. x.url, result.stderr, 1)
    local _, lines = result.stderr:gsub("\n", "")
    assert.equal(1, lines, result.stderr)
    assert.matches("401", result.stderr, 1, true)
    assert.is_nil(result.stderr:find(x.key, 1, true))
  end)

  it("backs off after five failures in a row", function()
    for _, answer in ipairs { { 500 }, { "close" }, { 408 }, { "reset" } } do
      x:use(h.merge(SLOW, { max_in_flight = 1 }))
      x:capture_many(10)
      local before = #x.requests
      local answers = {}
      for i = 1, 4 do
        answers[i] = answer
      end
      x:serve(h.sequence(answers), function()
        return #x.requests >= before + 6
      end)
      assert.is_false(x:paused())
      before = #x.requests
      x:capture_many(20)
      serve_until_paused(function() return answer[1] end)
      -- libcurl sends again when a kept connection dies unanswered.
      local most = type(answer[1]) == "number" and 5 or 10
      assert.is_true(#x.requests - before <= most)
      assert_nothing_comes(0.1)
    end
  end)

  it("does not back off when there is a success between", function()
    x:use(h.merge(SLOW, { max_in_flight = 1 }))
    x:capture_many(50)
    local number = 0
    x:serve(function()
      number = number + 1
      assert.is_false(x:paused())
      return number % 5 == 0 and 200 or 500
    end, function() return #x.requests == 50 end)
    h.wait(function() return x.client:stats().delivered == 10 end)
    assert.is_false(x:paused())
  end)

  it("sends one probe at a time then, each with another event", function()
    back_off()
    local last
    for _ = 1, 8 do
      local before = #x.requests
      x:serve_requests(before + 1, hold)
      assert_nothing_comes(0.05)
      assert.equal(before + 1, #x.requests)
      local name = x:names()[#x.requests]
      assert.not_equal(last, name)
      last = name
      answer_held(500)
    end
    assert.equal(20, h.adds_up(x.client).pending)
  end)

  it("recovers with the first success, and sends side by side again",
    function()
      back_off()
      x:serve(hold, function() return count_held() == 1 end)
      answer_held(200)
      x:serve(hold, function() return count_held() == 4 end)
      assert.is_false(x:paused())
      answer_held(200)
      assert.equal(20, x:settle().delivered)
    end)

  it("doubles its pauses, up to max_retry_delay", function()
    x:use {
      max_in_flight = 1, initial_retry_delay = 0.05, max_retry_delay = 0.2,
    }
    x:capture_many(10)
    x:serve_requests(6, function() return 401 end)
    for i, least in ipairs { 0.037, 0.074, 0.149, 0.149, 0.149 } do
      local gap = x.requests[i + 1].time - x.requests[i].time
      assert.is_true(gap >= least, i .. ": " .. gap)
    end
    -- Without the limit they would be 1.1 seconds.
    assert.equal(10, x:settle().delivered)
  end)

  it("sends all the others while an event fails again and again", function()
    x:use { initial_retry_delay = 0.001, max_retry_delay = 0.002 }
    local poisoned = 0
    local function handler(request)
      if h.body_of(request).name ~= "poison" then
        return h.ok()
      end
      poisoned = poisoned + 1
      return 500
    end
    x:capture("poison")
    x:serve(handler, function() return poisoned >= 20 end)
    assert.is_false(x:paused())
    x:capture_many(200)
    x:serve(handler, function()
      return x.client:stats().delivered == 200
    end)
    assert.equal(1, h.adds_up(x.client).pending)
    assert.equal(201, x:settle().delivered)
  end)

  it("is not held by an event that fails when it recovers", function()
    x:use { max_in_flight = 1 }
    x:capture("poison")
    x:capture_many(9)
    local good = false
    local function handler(request)
      if good and h.body_of(request).name ~= "poison" then
        return h.ok()
      end
      return 500
    end
    x:serve_requests(5, handler)
    good = true
    x:serve(handler, function() return x.client:stats().delivered == 9 end)
    assert.equal(1, h.adds_up(x.client).pending)
    assert.equal(10, x:settle().delivered)
  end)

  it("recovers though a request from before its pause still hangs",
    function()
      x:use { max_in_flight = 2 }
      x:capture_many(50)
      x:serve(h.sequence {
        { "hold" }, { 429, { ["Retry-After"] = "0.3" } },
      }, function() return x.client:stats().delivered == 49 end)
      assert.equal(1, count_held())
      answer_held(200)
      assert.equal(50, x:settle().delivered)
    end)

  it("pauses as long as a 429 asks for", function()
    x:use { max_in_flight = 1 }
    x:capture_many(3)
    x:settle(h.sequence { { 429, { ["Retry-After"] = "0.5" } } })
    local gap = x.requests[2].time - x.requests[1].time
    assert.is_true(gap >= 0.499, gap)
    assert.equal(4, #x.requests)
  end)

  it("pauses though requests that were in flight then succeed", function()
    for _, status in ipairs { 429, 401 } do
      local first = #x.requests
      x:use { max_in_flight = 3 }
      x:capture_many(6)
      x:settle(h.sequence {
        { status, { ["Retry-After"] = "0.6" } },
        { "delay", 0.1, 200 }, { "delay", 0.15, 200 },
      })
      local gap = x.requests[first + 4].time - x.requests[first + 1].time
      assert.is_true(gap >= 0.599, gap)
    end
  end)

  it("backs off further though posts between are refused for their paths",
    function()
      x:use {
        max_in_flight = 1, initial_retry_delay = 0.02, max_retry_delay = 40,
      }
      for i = 1, 60 do
        x.client:post("/x", { i = i })
        x:capture("n" .. i)
      end
      x:serve(function() return 403 end, function()
        local last = x.requests[#x.requests]
        return last and socket.gettime() > last.time + 1
      end, 60)
      local stats = h.adds_up(x.client)
      assert.is_true(stats.rejected > 0)
      assert.is_true(stats.rejected < 30, stats.rejected .. " rejected")
      assert.is_true(#x.requests - stats.rejected < 30)
    end)

  it("recovers when a post is refused for its content", function()
    x:use { max_in_flight = 4 }
    x.client:post("/x", {})
    x:settle(h.sequence { { 401 }, { 422 } })
    assert.equal(1, h.adds_up(x.client).rejected)
    x:capture_many(4) -- which go side by side again
    x:serve(hold, function() return count_held() == 4 end)
  end)

  it("counts what fails together as one step of backing off", function()
    x:use {
      max_in_flight = 16, initial_retry_delay = 0.02, max_retry_delay = 40,
    }
    x:capture_many(16)
    x:serve(hold, function() return count_held() == 16 end)
    answer_held(401)
    -- After sixteen steps the next would be one of forty seconds.
    assert.equal(16, x:settle(h.sequence { { 401 } }, 8).delivered)
  end)

  it("holds the queues of all its clients", function()
    local other = x:new { api_key = x.key }
    x:use(h.merge(SLOW, { api_key = x.key }))
    x:capture("a.b")
    serve_until_paused(function() return 401 end)
    assert.is_number(other:stats().retry_at)
    assert(other.events.capture { name = "other" })
    assert_nothing_comes()
  end)

  it("does not hold another endpoint", function()
    x:use(SLOW)
    x:capture("a.b")
    serve_until_paused(function() return 401 end)
    x:use()
    x:capture("other")
    assert.equal(1, x:settle().delivered)
  end)

  it("never has more than max_in_flight requests", function()
    for _, limit in ipairs { 1, 3, 20 } do
      x:use { max_in_flight = limit }
      x:capture_many(60)
      local most = 0
      local goal = #x.requests + 60
      while #x.requests < goal do
        x:serve(hold, function() return count_held() >= limit end)
        x:serve_while(function() return count_held() == limit end, hold, 0.01)
        most = math.max(most, count_held())
        answer_held(h.ok())
      end
      x:settle()
      assert.equal(limit, most)
    end
  end)

  it("sends 500 events over at most max_in_flight connections", function()
    x:capture_many(500)
    assert.equal(500, x:settle().delivered)
    assert.equal(500, #x.requests)
    assert.is_true(#x.server.connections <= 16,
      #x.server.connections .. " connections")
  end)

  it("keeps its connection for the next event", function()
    for i = 1, 20 do
      x:capture("n" .. i)
      x:settle()
    end
    assert.equal(1, #x.server.connections)
  end)
end)

describe("a waited-for request", function()
  local api = h.standin()

  it("is served while queued events are backed off, and ends that",
    function()
      local key = h.key()
      api:config { key = key, fail_status = 401 }
      local client = h.client(api.url, h.merge(SLOW, { api_key = key }))
      client.events.capture { name = "queued" }
      h.wait(function() return client:stats().retry_at end)
      client.events.capture { name = "behind" }
      local _, _, err = client.events.capture({ name = "refused" },
        { wait = true })
      assert.equal("AuthenticationError", err.name)
      assert.is_number(client:stats().retry_at)
      api:config { fail_status = false }
      assert.same({ success = true }, (client.events.capture(
        { name = "waited" }, { wait = true })))
      h.wait(function() return client:stats().delivered == 2 end)
      assert.is_nil(client:stats().retry_at)
      local stats = h.assert_counts(client, { rejected = 1 })
      assert.equal(1, stats.pending) -- it has a delay of its own
    end)

  it("does not make queued events wait when it fails", function()
    local key = h.key()
    api:config { key = key, fail_status = 500 }
    local client = h.client(api.url, h.merge(SLOW, { api_key = key }))
    for _ = 1, 10 do
      local _, _, err = client.events.capture({ name = "waited" },
        { wait = true, max_retries = 0 })
      assert.equal("InternalServerError", err.name)
    end
    assert.is_nil(client:stats().retry_at)
    api:config { fail_status = false }
    client.events.capture { name = "queued" }
    h.wait(function() return client:stats().delivered == 1 end)
  end)

  it("goes before queued ones when there is but one place", function()
    x:use { max_in_flight = 1 }
    x:capture("first")
    x:serve_requests(1, hold)
    x:capture_many(50)
    local future = x:ask("waited")
    answer_held(h.ok())
    x:settle()
    assert.is_true(future:done())
    assert.equal("waited", x:names()[2])
    assert.equal(52, #x.requests)
  end)
end)
