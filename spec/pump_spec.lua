local h = require "spec.helper"
local socket = require "socket"

-- Nothing in this file may start a thread: one would send for all clients.
local function assert_no_thread()
  assert.same({}, h.process.threads(h.shell.own_pid()))
end

-- How often this thread was put to sleep while f ran.
local function sleeps_of(f)
  local pid = h.shell.own_pid()
  local function count()
    return tonumber(h.process.status(pid, pid, "voluntary_ctxt_switches"))
  end
  local before = count()
  f()
  return count() - before
end

local function seconds_of(f, ...)
  local begun = socket.gettime()
  f(...)
  return socket.gettime() - begun
end

describe("client:pump", function()
  local x

  local function open(options)
    options = options or {}
    options.thread = false
    options.log_level = options.log_level or "off"
    x = h.open(options)
    return x.client
  end

  -- Leaves nothing to be sent: pumps of later specs would do so.
  after_each(function()
    for _, connection in ipairs(x.server.connections) do
      connection:close()
    end
    x:serve(nil, function() return x.client:pump() == 0 end)
    x:close()
    assert_no_thread()
  end)

  -- Pumps and serves in turn, as a game that draws between.
  local function deliver(left, handler, client)
    x:serve(handler, function()
      return (client or x.client):pump() == (left or 0)
    end)
    return h.adds_up(x.client)
  end

  -- Until all that may be in flight at a time is with the server.
  local function send_held(count)
    x:serve(h.hold, function()
      x.client:pump()
      return #x.requests == count
    end)
  end

  it("delivers everything, once, when called again and again", function()
    open()
    x:capture_many(100)
    local stats = deliver()
    assert.equal(100, stats.delivered)
    assert.equal("none", stats.sender)
    local seen = {}
    for _, name in ipairs(x:names()) do
      assert.is_nil(seen[name])
      seen[name] = true
    end
    assert.equal(100, #x.requests)
  end)

  it("returns how many events of the client are left", function()
    local client = open()
    local other = x:new { thread = false }
    assert(other.events.capture { name = "other" })
    assert.equal(0, client:pump())
    assert.equal(1, other:pump())
    x:capture_many(30)
    assert.equal(30, client:pump())
    send_held(1 + 16)
    assert.equal(30, client:pump())
    assert.equal(30, client:stats().pending)
    x.server.connections[1]:close()
    deliver(0, nil, other)
  end)

  it("sends what other clients without a thread have", function()
    local client = open()
    local other = x:new { thread = false }
    for i = 1, 5 do
      assert(other.events.capture { name = "other" .. i })
    end
    x:serve(nil, function()
      client:pump()
      return other:stats().pending == 0
    end)
    assert.equal(5, other:stats().delivered)
    assert.equal(5, #x.requests)
  end)

  it("sends over connections that it keeps", function()
    open { max_in_flight = 2 }
    for i = 1, 3 do
      x:capture_many(10, "round" .. i .. ".")
      deliver()
    end
    assert.equal(30, #x.requests)
    assert.is_true(#x.server.connections <= 2)
  end)

  it("does not wait without a number of seconds", function()
    local client = open()
    x:capture "a"
    send_held(1)
    local sleeps = sleeps_of(function()
      for _ = 1, 50 do
        assert.equal(1, client:pump())
        assert.equal(1, client:pump(0))
      end
    end)
    assert.is_true(sleeps < 50, sleeps)
    assert.is_true(sleeps_of(function() client:pump(0.1) end) > 0)
  end)

  it("waits for an answer as long as it may, and no longer", function()
    local client = open()
    x:capture "a"
    send_held(1)
    local seconds = seconds_of(function()
      assert.equal(1, client:pump(0.3))
    end)
    assert.is_true(seconds >= 0.29 and seconds < 5 * h.slow)
  end)

  it("does not wait when there is nothing to send", function()
    local client = open()
    assert.is_true(seconds_of(client.pump, client, 20) < 10)
    assert.equal(0, #x.server.connections)
  end)

  it("does not wait for what cannot be sent in time", function()
    local client = open {
      initial_retry_delay = 60, max_retry_delay = 60, max_queue_events = 1,
      overflow = "drop_oldest",
    }
    x:capture "a"
    x:serve(h.sequence { { 503 } }, function()
      client:pump()
      return client:stats().last_error ~= nil
    end)
    assert.is_true(seconds_of(client.pump, client, 20) < 10)
    assert.equal(1, client:pump())
    assert.equal(1, #x.requests)
    x:capture "b" -- displaces the other
  end)

  it("keeps to the rate limit", function()
    local client = open { rate_limit = 20, max_age = 6 * h.slow }
    x:capture_many(30)
    deliver(11)
    assert.equal(19, #x.requests)
    x:serve_while(function()
      return client:pump() == 11 and #x.requests == 19
    end, nil, 0.2)
  end)

  it("keeps to max_in_flight", function()
    open { max_in_flight = 3 }
    x:capture_many(10)
    send_held(3)
    x:serve_while(function()
      return x.client:pump() == 10 and #x.requests == 3
    end, h.hold, 0.1)
  end)

  it("tries again what failed, under the same key", function()
    open()
    x:capture "a"
    deliver(0, h.sequence {
      { 503 }, { "close" }, { 429, { ["retry-after-ms"] = 20 } },
    })
    assert.equal(4, #x.requests)
    for _, request in ipairs(x.requests) do
      assert.equal(x.requests[1].headers["idempotency-key"],
        request.headers["idempotency-key"])
      assert.equal(x.requests[1].body, request.body)
    end
  end)

  it("holds an identify back behind an earlier one of the user", function()
    open()
    x:identify("u", "first")
    x:identify("u", "second")
    deliver(0, h.sequence { { 503 } })
    assert.same({ "first", "first", "second" }, x:names())
  end)

  it("drops what is older than max_age", function()
    local client = open { max_age = 0.05 }
    x:capture "a"
    x:serve_while(function() return client:stats().pending == 1 end, nil, 0.1)
    assert.equal(0, client:pump())
    assert.equal(1, client:stats().dropped_by.expired)
    assert.equal(0, #x.requests)
  end)

  it("calls on_error and logger as poll does", function()
    local told, client = {}, nil
    client = open {
      log_level = "warn",
      logger = function(level) told[#told + 1] = level end,
      on_error = function(err, event)
        told[#told + 1] = err.name .. " " .. event.name
        assert.equal(0, client:pump()) -- calls nothing again
      end,
    }
    x:capture "a"
    x:capture "b"
    deliver(0, h.sequence { { 422 }, { 422 } })
    local lost = {}
    for _, text in ipairs(told) do
      if text ~= "error" then
        lost[#lost + 1] = text
      end
    end
    assert.same({ "UnprocessableEntityError a", "UnprocessableEntityError b" },
      lost)
    assert.is_true(#told > 2)
    assert.equal(0, client:poll())
  end)

  it("delivers what is left after a close that did not wait", function()
    local client = open()
    x:capture_many(20)
    assert.is_nil((client:close(0)))
    deliver()
    assert.equal(20, #x.requests)
    assert.equal(0, client:pump(10))
  end)

  it("delivers what a collected client has left", function()
    open()
    x:capture_many(5)
    x:use { thread = false }
    collectgarbage()
    collectgarbage()
    x:serve(nil, function()
      x.client:pump()
      return #x.requests == 5
    end)
  end)

  it("has nothing to do where nothing is sent", function()
    local client = open()
    for _, mode in ipairs { { enabled = false }, { test_mode = true } } do
      mode.thread = false
      local silent = client:with_options(mode)
      assert.is_true(silent.events.capture { name = "a" })
      assert.equal(0, silent:pump())
      assert.equal(0, silent:pump(20))
    end
    assert.equal(0, #x.server.connections)
  end)

  it("raises for anything but a number of seconds", function()
    local client = open()
    for got, value in pairs {
      ["-0.1"] = -0.1, ["string"] = "1", ["boolean"] = true, ["table"] = {},
    } do
      h.assert_raises("bad argument #1 to 'pump' (a number of seconds >= 0 "
        .. "expected, got " .. got .. ")",
        client.pump, client, value)
    end
    assert.is_false((pcall(client.pump, client, 0 / 0)))
    assert.is_false((pcall(client.pump, client, math.huge)))
    assert.is_false((pcall(client.pump, {})))
    assert.is_false((pcall(client.pump)))
  end)

  it("is not what capture does: that only queues", function()
    local client = open { max_queue_events = 20 }
    x:capture_many(20)
    local ok, _, err = client.events.capture { name = "one.more" }
    assert.is_nil(ok)
    assert.equal("QueueFullError", err.name)
    x:serve_while(function()
      return #x.server.connections == 0 and client:stats().pending == 20
    end, nil, 0.2)
    assert_no_thread()
    assert.equal(20, deliver().delivered)
  end)
end)
