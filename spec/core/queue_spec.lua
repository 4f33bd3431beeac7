local cjson = require "cjson"
local h = require "spec.helper"

-- Events of the same size, of about a kilobyte.
local PAYLOAD = { text = ("x"):rep(1000) }

local x

-- Opens an exchange whose first `count` requests are being held by the
-- server; they are answered by `release`.
local function open_held(count, options)
  x = h.open(options)
  x:capture_many(count, "held")
  local peers = {}
  x:serve_requests(count, function(_, peer)
    peers[#peers + 1] = peer
    return "hold"
  end)
  function x.release()
    for _, peer in ipairs(peers) do
      peer:respond(h.ok())
      peer.busy = false
    end
  end
end

after_each(function()
  x:close()
end)

local function assert_refused(result, message, err)
  assert.is_nil(result)
  assert.matches("^queue full", message)
  assert.equal("QueueFullError", err.name)
end

local function sorted(names)
  table.sort(names)
  return names
end

describe("a queue", function()
  it("takes max_queue_events, those in flight included", function()
    open_held(2, { max_queue_events = 5, max_in_flight = 2 })
    x:capture_many(3)
    for _ = 1, 3 do
      assert_refused(x.client.events.capture { name = "more" })
      assert_refused(x.client.users.identify { user_id = "more" })
    end
    assert.equal(5, h.adds_up(x.client).accepted)
    x.release()
    assert.equal(5, x:settle().delivered)
    assert.same({ "held1", "held2", "n1", "n2", "n3" }, sorted(x:names()))
  end)

  it("takes as many again as were settled, rejected ones included",
    function()
      x = h.open { max_queue_events = 3 }
      for round = 1, 3 do
        x:capture_many(3)
        assert_refused(x.client.events.capture { name = "more" })
        x:settle(h.sequence { { 400 }, { 200 }, { 422 } })
        assert.equal(3 * round, #x.requests)
      end
      assert.equal(6, h.adds_up(x.client).rejected)
    end)

  it("takes events until they occupy max_queue_bytes", function()
    open_held(1, { max_queue_bytes = 20000, max_in_flight = 1 })
    local taken = 0
    while x.client.events.capture { name = "n", data = PAYLOAD } do
      taken = taken + 1
    end
    -- The body of each is some 1,060 bytes, and there is more to an event.
    assert.is_true(taken >= 15 and taken <= 18, taken .. " taken")
    assert_refused(x.client.events.capture { name = "n", data = PAYLOAD })
    x.release()
    assert.equal(taken + 1, x:settle().delivered)
    for _ = 1, taken do
      assert(x.client.events.capture { name = "n", data = PAYLOAD })
    end
    assert.equal(2 * taken + 1, x:settle().delivered)
  end)

  it("refuses an event that could never fit, and drops none for it",
    function()
      for _, overflow in ipairs { "reject", "drop_oldest" } do
        open_held(1, { max_queue_bytes = 5000, overflow = overflow,
          max_in_flight = 1 })
        x:capture("small")
        assert_refused(x.client.events.capture {
          name = "large", data = { text = ("x"):rep(5000) },
        })
        x.release()
        assert.equal(2, x:settle().delivered)
        assert.same({ "held1", "small" }, x:names())
      end
    end)

  it("is not disturbed by refusals", function()
    open_held(1, { max_queue_events = 100, max_in_flight = 1 })
    local expected = { "held1" }
    for i = 1, 99 do
      expected[i + 1] = "n" .. i
      x:capture("n" .. i, { i = i })
    end
    for _ = 1, 1000 do
      assert_refused(x.client.events.capture { name = "more", data = {} })
    end
    x.release()
    x:settle()
    assert.same(expected, x:names())
    for i = 2, 100 do
      assert.same({ i = i - 1 }, h.body_of(x.requests[i]).data)
    end
  end)

  it("counts the bytes of what comes and goes without error", function()
    x = h.open { max_queue_bytes = 10000 }
    for round = 1, 30 do
      for size = 0, 3000, 100 * (round % 7 + 1) do
        x.client.events.capture { name = "n", data = {
          text = ("x"):rep(size),
        } }
        x.client.users.identify { user_id = size % 3, name = "U" }
      end
      x:settle(h.sequence { { 400 }, { 500 }, { "close" } })
    end
    local taken = 0
    while x.client.events.capture { name = "n", data = PAYLOAD } do
      taken = taken + 1
    end
    assert.is_true(taken == 8 or taken == 9, taken .. " taken")
  end)
end)

describe("overflow = 'drop_oldest'", function()
  it("displaces the oldest event, and none in flight", function()
    open_held(2, {
      max_queue_events = 5, max_in_flight = 2, overflow = "drop_oldest",
    })
    x:capture_many(20)
    local stats = h.adds_up(x.client)
    assert.equal(22, stats.accepted)
    assert.equal(17, stats.dropped_by.displaced)
    assert.equal(5, stats.pending)
    x.release()
    x:settle()
    assert.same({ "held1", "held2", "n18", "n19", "n20" }, sorted(x:names()))
  end)

  it("refuses when all that is queued is in flight", function()
    open_held(2, {
      max_queue_events = 2, max_in_flight = 2, overflow = "drop_oldest",
    })
    assert_refused(x.client.events.capture { name = "more" })
    x.release()
    assert.equal(2, x:settle().delivered)
  end)

  it("displaces as many as the new one needs room", function()
    open_held(1, {
      max_queue_bytes = 10000, max_in_flight = 1, overflow = "drop_oldest",
    })
    for _ = 1, 8 do
      x:capture("small", PAYLOAD)
    end
    assert.equal(0, h.adds_up(x.client).dropped)
    x:capture("large", { text = ("x"):rep(5000) })
    local displaced = h.adds_up(x.client).dropped_by.displaced
    assert.is_true(displaced >= 4 and displaced <= 6, displaced .. " dropped")
    x.release()
    assert.equal(10 - displaced, x:settle().delivered)
    assert.equal("large", x:names()[#x.requests])
  end)

  it("displaces an event that waits to be sent again", function()
    x = h.open {
      max_queue_events = 1, overflow = "drop_oldest",
      initial_retry_delay = 40, max_retry_delay = 40,
    }
    x:capture("first")
    x:serve(h.sequence { { 500 } }, function()
      return x.client:stats().last_error
    end)
    x:capture("second")
    local stats = x:settle()
    assert.equal(1, stats.delivered)
    assert.equal(1, stats.dropped_by.displaced)
    assert.same({ "first", "second" }, x:names())
  end)
end)

describe("max_age", function()
  local function expired()
    return h.adds_up(x.client).dropped_by.expired
  end

  it("drops what waits longer than that, unsent", function()
    open_held(1, { max_age = 1, max_in_flight = 1 })
    x:capture_many(10)
    h.wait(function() return expired() == 10 end)
    assert.equal(1, x.client:stats().pending)
    x.release()
    assert.equal(1, x:settle().delivered)
    assert.same({ "held1" }, x:names())
  end)

  it("does not drop what is in flight, and drops it when it fails",
    function()
      for _, answer in ipairs { { 200 }, { 500 } } do
        x = h.open { max_age = 1, initial_retry_delay = 0.001 }
        x:capture("old")
        x:settle(h.sequence {
          { "delay", 1.2, answer[1], nil, "{}" }, answer,
        })
        local delivered = answer[1] == 200
        assert.equal(delivered and 1 or 0, x.client:stats().delivered)
        assert.equal(delivered and 0 or 1, expired())
        assert.equal(1, #x.requests)
      end
    end)

  it("drops what is to be tried again, at the latest then", function()
    x = h.open {
      max_age = 1, initial_retry_delay = 40, max_retry_delay = 40,
    }
    for _, status in ipairs { 500, 401 } do
      local before = expired()
      x:capture("late")
      x:serve(h.sequence { { status } }, function()
        return expired() == before + 1
      end)
    end
    assert.equal(2, #x.requests)
  end)

  it("drops what a pause holds", function()
    x = h.open {
      max_age = 1, initial_retry_delay = 40, max_retry_delay = 40,
      max_in_flight = 1,
    }
    x:capture_many(10)
    x:identify("u", "a")
    x:identify("u", "b")
    x:serve(h.sequence { { 429 } }, function()
      return expired() == 12
    end)
    assert.equal(1, #x.requests)
  end)

  it("drops in time though nothing else wakes the sender", function()
    x = h.open()
    for _, answer in ipairs { { "hold" }, { 429 } } do
      local child = x:child({ code = [[
        local socket = require "socket"
        local client = require "seerstack".new {
          max_age = 1, max_in_flight = 1, exit_timeout = 0,
          initial_retry_delay = 40, max_retry_delay = 40,
        }
        for i = 1, 10 do
          client.events.capture { name = "n" .. i }
        end
        local deadline = socket.gettime() + 10
        repeat
          socket.sleep(0.05)
        until client:stats().dropped >= 9 or socket.gettime() > deadline
        print(client:stats().dropped_by.expired >= 9)
      ]] }, function() return h.answer(answer) end)
      assert.equal("true\n", child.stdout)
    end
    assert.equal(2, #x.requests)
  end)

  it("makes room in a full queue", function()
    open_held(1, { max_age = 1, max_in_flight = 1, max_queue_events = 3 })
    x:capture_many(2)
    assert_refused(x.client.events.capture { name = "more" })
    h.wait(function()
      return x.client.events.capture { name = "late" }
    end)
    assert.is_true(expired() >= 1)
    x.release()
    x:settle()
  end)
end)

describe("the counts", function()
  -- Every answer that there is, so that events go every way.
  local ANSWERS = {
    { 200 }, { 200 }, { 200 }, { 200 }, { 204 }, { 400 }, { 409 }, { 500 },
    { 503 }, { "close" }, { "reset" }, { "raw", "garbage\r\n\r\n" },
    { "delay", 0.01, 200 }, { "delay", 0.02, 500 },
    { 500, { ["X-Should-Retry"] = "false" } }, { 302 },
    { 429, { ["Retry-After"] = "0.01" } },
  }

  local function random_answer()
    return h.answer(ANSWERS[math.random(#ANSWERS)])
  end

  local function random_event()
    if math.random(3) == 1 then
      return x.client.users.identify {
        user_id = math.random(3), name = ("x"):rep(math.random(300)),
      }
    end
    return x.client.events.capture {
      name = "n", data = { text = ("x"):rep(math.random(300)) },
    }
  end

  for _, overflow in ipairs { "reject", "drop_oldest" } do
    it("add up at every step of a random run with " .. overflow, function()
      x = h.open {
        overflow = overflow, max_queue_events = 30, max_queue_bytes = 10000,
        max_in_flight = 4, max_age = 0.15 * h.slow,
        initial_retry_delay = 0.005, max_retry_delay = 0.02, max_retries = 1,
      }
      math.randomseed(7)
      local accepted, refused, stats = 0, 0, nil
      local function look()
        stats = h.adds_up(x.client)
        assert.equal(accepted, stats.accepted)
        assert.is_true(stats.pending <= 30)
      end
      for _ = 1, 150 do
        for _ = 1, math.random(0, 20) do
          if random_event() then
            accepted = accepted + 1
          else
            refused = refused + 1
          end
          look()
        end
        local goal = #x.requests + math.random(0, 8)
        x:serve(random_answer, function()
          look()
          return #x.requests >= goal or stats.pending == 0
        end)
      end
      x:settle()
      look()
      assert.equal(0, stats.pending)
      local dropped = stats.dropped_by
      assert.is_true(stats.delivered > 0 and stats.rejected > 0)
      if overflow == "reject" then
        assert.is_true(refused > 0)
        assert.equal(0, dropped.displaced)
      else
        assert.is_true(dropped.displaced > 0)
      end
    end)
  end

  it("are those of each client", function()
    x = h.open()
    local other = x:new { api_key = x.key }
    x:capture_many(3)
    assert(other.events.capture { name = "other" })
    x:settle()
    x:serve(nil, function() return other:stats().pending == 0 end)
    assert.equal(3, h.adds_up(x.client).delivered)
    assert.equal(1, h.adds_up(other).delivered)
  end)
end)

describe("clients of one endpoint", function()
  it("take turns", function()
    open_held(1, { max_in_flight = 1 })
    local others = {}
    for i = 1, 2 do
      others[i] = x:new { api_key = x.key, max_in_flight = 1 }
    end
    x:capture_many(20, "many")
    for i = 1, 4 do
      for number, other in ipairs(others) do
        assert(other.events.capture { name = "few" .. number .. i })
      end
    end
    x.release()
    x:settle()
    local names = x:names()
    for i = 1, 4 do
      local round = { names[3 * i - 1], names[3 * i], names[3 * i + 1] }
      assert.same({ "few1" .. i, "few2" .. i, "many" .. i }, sorted(round))
    end
  end)

  it("have a queue each: one that is full does not fill the other",
    function()
      open_held(1, { max_queue_events = 1 })
      local other = x:new { api_key = x.key, max_queue_events = 1 }
      assert_refused(x.client.events.capture { name = "more" })
      assert.is_true(other.events.capture { name = "other" })
      x.release()
      x:settle()
      x:serve(nil, function() return other:stats().pending == 0 end)
      assert.same({ "held1", "other" }, x:names())
    end)
end)

describe("a closed client", function()
  it("takes nothing more, and what it had is sent", function()
    open_held(1, { max_in_flight = 1 })
    x:capture_many(3)
    assert.is_nil((x.client:close(0)))
    local result, message, err = x.client.events.capture { name = "late" }
    assert.is_nil(result)
    assert.equal("client is closed", message)
    assert.equal("ClosedError", err.name)
    x.release()
    assert.equal(4, x:settle(h.sequence { { 500 } }).delivered)
    assert.equal(5, #x.requests)
  end)
end)

describe("a collected client", function()
  it("leaves its queue to the sender, which sends all of it", function()
    x = h.open()
    local delivered = {}
    for i = 1, 20 do
      local client = x:new { max_in_flight = i % 3 + 1 }
      for j = 1, i do
        assert(client.events.capture { name = i .. "." .. j })
      end
      assert(client.users.identify { user_id = "u" .. i, name = i .. ".a" })
      assert(client.users.identify { user_id = "u" .. i, name = i .. ".b" })
    end
    collectgarbage()
    collectgarbage()
    local count, failures = 0, 0
    x:serve(function(request)
      local name = h.body_of(request).name
      failures = failures + 1
      if failures % 5 == 0 then
        return 500
      end
      assert(not delivered[name], name)
      delivered[name], count = true, count + 1
      return h.ok()
    end, function() return count == 250 end)
    assert.equal(250, count, cjson.encode(delivered))
  end)
end)
