local cjson = require "cjson"
local script = require "spec.support.script"
local seerstack = require "seerstack"
local server = require "spec.support.server"
local standin = require "dev.standin"
local wait = require "spec.support.wait"

local load = rawget(_G, "loadstring") or load
local newproxy = rawget(_G, "newproxy")
local CLOSE_VARIABLE = load("local x <close> = nil") ~= nil

local api

setup(function()
  api = standin.start { key = "sk_test_standin" }
end)

teardown(function()
  api:stop()
end)

before_each(function()
  api:config { delay = false, fail_status = false, fail_count = false }
  api:reset()
end)

-- The clients of an endpoint share its pacing, so none of these is paced.
local function new(options)
  local all = {
    api_key = "sk_test_standin", base_url = api.url, rate_limit = false,
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return seerstack.new(all)
end

-- Calls f with a client whose server does not answer before f has returned.
local function with_silent_server(options, f)
  local silent = server.new()
  options.api_key, options.base_url = "sk_test_silent", silent.url
  options.log_level = "off"
  local client = seerstack.new(options)
  f(client)
  assert.is_true(silent:serve {
    handler = function() return 200, nil, '{"success":true}' end,
    until_ = function() return client:stats().pending == 0 end,
  })
  silent:close()
  return client
end

local function assert_failure(name, message, ...)
  local result, text, err = ...
  assert.equal(3, select("#", ...))
  assert.is_nil(result)
  assert.equal(message, text)
  assert.equal(name, err.name)
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
end

local function assert_raises(message, f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(message, text)
end

local function assert_adds_up(stats)
  assert.equal(stats.accepted,
    stats.delivered + stats.rejected + stats.dropped + stats.pending)
end

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("client.events.capture", function()
  it("returns true and sends the event to /capture", function()
    local client = new()
    local results = { client.events.capture {
      name = "invoice.paid", user_id = "user_123", data = { amount = 2000 },
    } }
    assert.same({ true }, results)
    assert.is_true(client:flush(10))
    local event = api:events()[1]
    assert.equal("/capture", event.path)
    assert.equal("Bearer sk_test_standin", event.headers.authorization)
    local body = cjson.decode(event.body)
    assert.equal("invoice.paid", body.name)
    assert.equal("user_123", body.user_id)
    assert.same({ amount = 2000 }, body.data)
    client:close()
  end)

  it("may be called with a dot or a colon", function()
    local client = new()
    local events = client.events
    assert.is_true(client.events.capture { name = "dot" })
    assert.is_true(client.events:capture { name = "colon" })
    assert.is_true(events.capture({ name = "dot.options" }, {}))
    assert.is_true(events:capture({ name = "colon.options" }, {}))
    assert.is_true(client:flush(10))
    assert.equal(4, api:count())
    client:close()
  end)

  it("takes an event that looks like a namespace for an event", function()
    local client = new()
    assert.is_true(client.events.capture {
      name = "a.b", capture = "x", identify = "y",
    })
    assert.is_true(client:flush(10))
    assert.equal("x", cjson.decode(api:events()[1].body).capture)
    client:close()
  end)

  it("raises when the event is no table", function()
    local client = new()
    local capture = client.events.capture
    assert_raises("bad argument #1 to 'capture' (table expected, got nil)",
      capture)
    assert_raises("bad argument #1 to 'capture' (table expected, got nil)",
      capture, nil, {})
    assert_raises("bad argument #1 to 'capture' (table expected, got string)",
      capture, "a.b")
    assert_raises("bad argument #1 to 'capture' (table expected, got nil)",
      capture, client.events)
    assert_raises(
      "bad argument #1 to 'capture' (table expected, got userdata)",
      capture, client)
    assert.equal(0, client:stats().accepted)
    client:close()
  end)

  it("returns nil, message, err for an event that cannot be sent", function()
    local client = new { max_event_bytes = 1000 }
    for _, event in ipairs {
      {}, { name = "" }, { name = 5 }, { name = "a.b", data = 5 },
      { name = "a.b", data = { f = print } }, { name = "a.b", user_id = {} },
      { name = "a.b", data = { x = ("x"):rep(1000) } },
    } do
      local result, message, err = client.events.capture(event)
      assert.is_nil(result)
      assert.is_string(message)
      assert.equal("ValidationError", err.name)
      assert.equal(message, err.message)
      assert.equal(message, tostring(err))
      assert.is_nil(err.status)
      local again = { client.events.capture(event, { wait = true }) }
      assert.equal(message, again[2])
    end
    assert.equal(0, client:stats().accepted)
    client:close()
  end)

  it("refuses a bad event without disturbing the others", function()
    local client = with_silent_server({ exit_timeout = 0 }, function(client)
      assert.is_true(client.events.capture { name = "a.b" })
      assert.is_nil((client.events.capture { name = "" }))
      assert.is_false((pcall(client.events.capture, 5)))
      assert.is_true(client.events.capture { name = "c.d" })
      local stats = client:stats()
      assert.equal(2, stats.accepted)
      assert.equal(2, stats.pending)
    end)
    assert.equal(2, client:stats().delivered)
  end)

  it("returns nil, message, err when the queue is full", function()
    local client = with_silent_server({ max_queue_events = 2 },
      function(client)
        assert.is_true(client.events.capture { name = "a" })
        assert.is_true(client.events.capture { name = "b" })
        assert_failure("QueueFullError", "queue full: max_queue_events is 2, "
          .. "max_queue_bytes 16777216", client.events.capture { name = "c" })
        assert_failure("QueueFullError", "queue full: max_queue_events is 2, "
          .. "max_queue_bytes 16777216",
          client.events.capture({ name = "c" }, { wait = true }))
        assert.equal(2, client:stats().accepted)
        assert.equal(2, client:stats().pending)
      end)
    assert.equal(2, client:stats().delivered)
    assert_adds_up(client:stats())
  end)

  it("returns nil, message, err when the bytes of the queue are used up",
    function()
      with_silent_server({ max_queue_bytes = 1 }, function(client)
        assert_failure("QueueFullError", "queue full: max_queue_events is "
          .. "10000, max_queue_bytes 1", client.events.capture { name = "c" })
        assert.equal(0, client:stats().accepted)
      end)
    end)

  it("displaces the oldest event with overflow = 'drop_oldest'", function()
    local client = with_silent_server({
      max_queue_events = 3, max_in_flight = 1, overflow = "drop_oldest",
    }, function(client)
      for i = 1, 10 do
        assert.is_true(client.events.capture { name = "n" .. i })
      end
      local stats = client:stats()
      assert.equal(10, stats.accepted)
      assert.equal(3, stats.pending)
      assert.equal(7, stats.dropped_by.displaced)
      assert_adds_up(stats)
    end)
    assert.equal(3, client:stats().delivered)
  end)

  it("is not disturbed by a finalizer that captures, too", function()
    -- Only LuaJIT's 64-bit integers make strings while they are encoded, and
    -- so give the collector an occasion.
    local int64 = rawget(_G, "jit") and require "ffi".typeof "int64_t"
      or function(n) return n end
    local client = new { rate_limit = false }
    local function make_garbage(i)
      local object = newproxy and newproxy(true)
      local metatable = object and getmetatable(object) or {}
      metatable.__gc = function()
        client.events.capture { name = "collected", data = { i = i } }
      end
      return object or setmetatable({}, metatable)
    end
    for i = 1, 300 do
      make_garbage(i)
      local data = {}
      for j = 1, 50 do
        data["k" .. j] = int64(i * 1000 + j)
      end
      assert.is_true(client.events.capture { name = "outer", data = data })
    end
    collect()
    assert.is_true(client:flush(20))
    local count = { collected = 0, outer = 0 }
    for _, event in ipairs(api:events()) do
      local body = cjson.decode(event.body)
      local fields = 0
      for _ in pairs(body.data) do
        fields = fields + 1
      end
      assert.equal(body.name == "outer" and 50 or 1, fields)
      count[body.name] = count[body.name] + 1
    end
    assert.same({ collected = 300, outer = 300 }, count)
    client:close()
  end)
end)

describe("client.users.identify", function()
  it("returns true and sends the user to /identify", function()
    local client = new()
    assert.same({ true }, { client.users.identify {
      user_id = "user_123", email = "grace@hopper.com",
      attributes = { plan = "enterprise" },
    } })
    assert.is_true(client:flush(10))
    local event = api:events()[1]
    assert.equal("/identify", event.path)
    assert.same({
      user_id = "user_123", email = "grace@hopper.com",
      attributes = { plan = "enterprise" },
    }, cjson.decode(event.body))
    client:close()
  end)

  it("may be called with a dot or a colon", function()
    local client = new()
    assert.is_true(client.users.identify { user_id = "a", name = "A" })
    assert.is_true(client.users:identify { user_id = "b", name = "B" })
    assert.is_true(client:flush(10))
    assert.equal(2, api:count())
    client:close()
  end)

  it("raises when its argument is no table", function()
    local client = new()
    assert_raises("bad argument #1 to 'identify' (table expected, got nil)",
      client.users.identify)
    assert_raises(
      "bad argument #1 to 'identify' (table expected, got number)",
      client.users.identify, 5)
    client:close()
  end)

  it("returns nil, message, err without user_id", function()
    local client = new()
    local result, message, err = client.users.identify { name = "A" }
    assert.is_nil(result)
    assert.matches("^user_id", message)
    assert.equal("ValidationError", err.name)
    assert.equal(0, client:stats().accepted)
    client:close()
  end)
end)

describe("wait", function()
  it("gives the response instead of true", function()
    local client = new()
    local response, http = client.events.capture({ name = "a.b" },
      { wait = true })
    assert.same({ success = true }, response)
    assert.equal(200, http.status)
    assert.equal("application/json", http.headers["content-type"])
    response = client.users:identify({ user_id = "u", name = "U" },
      { wait = true })
    assert.same({ success = true }, response)
    assert.equal(2, api:count())
    assert.equal(2, client:stats().delivered)
    client:close()
  end)

  it("may be an option of the client, and the request decides", function()
    local client = new { wait = true }
    assert.same({ success = true }, (client.events.capture { name = "a" }))
    assert.is_true(client.events.capture({ name = "b" }, { wait = false }))
    assert.same({ success = true }, (client.users.identify {
      user_id = "u", name = "U",
    }))
    client:close()
  end)

  it("ends with an error that says what happened", function()
    local client = new { api_key = "sk_test_wrong" }
    local response, message, err = client.events.capture({ name = "a.b" },
      { wait = true })
    assert.is_nil(response)
    assert.equal("401 Missing or invalid API key", message)
    assert.equal("AuthenticationError", err.name)
    assert.equal(message, err.message)
    assert.equal(message, tostring(err))
    assert.equal(401, err.status)
    assert.equal("/capture", err.path)
    assert.same({ error = "Missing or invalid API key" }, err.body)
    assert.equal("application/json", err.headers["content-type"])
    assert.equal(1, client:stats().rejected)
    client:close()
  end)

  it("takes the timeout and the retries of the request", function()
    local silent = server.new()
    local client = seerstack.new {
      api_key = "sk_test_silent", base_url = silent.url, exit_timeout = 0,
    }
    local response, message, err = client.events.capture({ name = "a.b" },
      { wait = true, timeout = 0.1, max_retries = 0 })
    assert.is_nil(response)
    assert.equal("APITimeoutError", err.name)
    assert.equal(message, err.message)
    assert.not_equal("", message)
    assert.is_nil(err.status)
    assert.is_nil(err.headers)
    assert.is_nil(err.body)
    assert.equal("/capture", err.path)
    assert.equal(1, client:stats().rejected)
    silent:close()
  end)

  it("takes the timeout and the retries of the client otherwise", function()
    api:config { fail_status = 500, fail_count = 2 }
    local client = new { max_retries = 1, initial_retry_delay = 0.001 }
    local _, _, err = client.events.capture({ name = "a.b" }, { wait = true })
    assert.equal("InternalServerError", err.name)
    assert.equal(2, api:status().requests)
    api:reset()
    api:config { fail_status = 500, fail_count = 2 }
    assert.is_table((client.events.capture({ name = "a.b" },
      { wait = true, max_retries = 2 })))
    assert.equal(3, api:status().requests)
    client:close()
  end)

  it("ends with APIConnectionError when nobody listens", function()
    local gone = server.refusing()
    local client = seerstack.new {
      api_key = "sk_test_gone", base_url = gone.url, exit_timeout = 0,
    }
    local response, message, err = client.events.capture({ name = "a.b" },
      { wait = true, max_retries = 0 })
    assert.is_nil(response)
    assert.equal("APIConnectionError", err.name)
    assert.not_equal("", message)
    assert.is_nil(err.status)
  end)

  it("ends with RateLimitError at once when it would be held too long",
    function()
      local client = new { rate_limit = 2, api_key = "sk_test_paced" }
      api:config { key = "sk_test_paced" }
      assert.is_table((client.events.capture({ name = "a" },
        { wait = true })))
      local result, message, err = client.events.capture({ name = "b" },
        { wait = true, timeout = 5 })
      api:config { key = "sk_test_standin" }
      assert.is_nil(result)
      assert.equal("RateLimitError", err.name)
      assert.equal("rate limit: the request would have to wait beyond its "
        .. "timeout", message)
      assert.is_nil(err.status)
      client:close()
    end)

  it("ends with APITimeoutError when there is no place for it in time",
    function()
      local client = seerstack.new {
        api_key = "sk_test_slow", base_url = api.url, max_in_flight = 1,
      }
      api:config { key = "sk_test_slow", delay = 1 }
      client.events.capture { name = "a" }
      wait.until_(function() return api:status().requests == 1 end)
      local result, message, err = client.events.capture({ name = "b" },
        { wait = true, timeout = 0.1, max_retries = 0 })
      api:config { key = "sk_test_standin" }
      assert.is_nil(result)
      assert.equal("APITimeoutError", err.name)
      assert.equal("timed out", message)
      assert.is_true(client:flush(10))
      local stats = client:stats()
      assert.equal(1, stats.delivered)
      assert.equal(1, stats.rejected)
      assert_adds_up(stats)
      client:close()
    end)
end)

describe("client:flush", function()
  it("returns true when all is settled", function()
    local client = new()
    assert.is_true(client:flush())
    for _ = 1, 20 do
      client.events.capture { name = "a.b" }
    end
    assert.is_true(client:flush(10))
    assert.equal(0, client:stats().pending)
    assert.equal(20, api:count())
    assert.is_true(client:flush(0))
    client:close()
  end)

  it("returns nil, message, err when the time is up", function()
    with_silent_server({}, function(client)
      client.events.capture { name = "a.b" }
      assert_failure("TimeoutError",
        "timed out after 0.02 s: 1 event is not delivered yet",
        client:flush(0.02))
      client.events.capture { name = "a.b" }
      assert_failure("TimeoutError",
        "timed out after 0 s: 2 events are not delivered yet",
        client:flush(0))
    end)
  end)

  it("waits exit_timeout when no time is given", function()
    with_silent_server({ exit_timeout = 0.03 }, function(client)
      client.events.capture { name = "a.b" }
      assert_failure("TimeoutError",
        "timed out after 0.03 s: 1 event is not delivered yet",
        client:flush())
      assert_failure("TimeoutError",
        "timed out after 0.03 s: 1 event is not delivered yet",
        client:flush(nil))
    end)
  end)

  it("raises when its argument is no time", function()
    local client = new()
    for value, got in pairs {
      [-1] = "-1", [{}] = "table", [false] = "boolean", ["5"] = "string",
    } do
      assert_raises("bad argument #1 to 'flush' (a number of seconds >= 0 "
        .. "expected, got " .. got .. ")", client.flush, client, value)
    end
    assert.is_false((pcall(client.flush, client, 0 / 0)))
    assert.is_false((pcall(client.flush, client, math.huge)))
    assert.is_false((pcall(client.flush, {})))
    assert.is_false((pcall(client.flush)))
    client:close()
  end)
end)

describe("client:close", function()
  it("delivers what is queued and returns true", function()
    local client = new()
    for _ = 1, 20 do
      client.events.capture { name = "a.b" }
    end
    assert.is_true(client:close(10))
    assert.equal(20, api:count())
  end)

  it("makes the client refuse events", function()
    local client = new()
    client:close()
    for _, options in ipairs { {}, { wait = true } } do
      assert_failure("ClosedError", "client is closed",
        client.events.capture({ name = "a.b" }, options))
      assert_failure("ClosedError", "client is closed",
        client.users:identify({ user_id = "u" }, options))
    end
    assert.equal(0, client:stats().accepted)
    assert.equal(0, api:count())
  end)

  it("leaves flush, stats and itself usable", function()
    local client = new()
    client.events.capture { name = "a.b" }
    assert.is_true(client:close(10))
    assert.is_true(client:close())
    assert.is_true(client:close(0))
    assert.is_true(client:flush())
    assert.equal(1, client:stats().delivered)
    assert.equal("seerstack.client (" .. api.url .. ")", tostring(client))
  end)

  it("returns nil, message, err when the time is up, and is closed",
    function()
      local client = with_silent_server({}, function(client)
        client.events.capture { name = "a.b" }
        assert_failure("TimeoutError",
          "timed out after 0.02 s: 1 event is not delivered yet",
          client:close(0.02))
        assert_failure("ClosedError", "client is closed",
          client.events.capture { name = "a.b" })
        assert.is_true(client:close())
      end)
      assert.equal(1, client:stats().delivered)
    end)

  it("raises when its argument is no time, and is not closed", function()
    local client = new()
    assert_raises("bad argument #1 to 'close' (a number of seconds >= 0 "
      .. "expected, got -1)", client.close, client, -1)
    assert.is_true(client.events.capture { name = "a.b" })
    assert.is_true(client:close(10))
  end)
end)

describe("client:stats", function()
  it("begins with zeros", function()
    local client = new()
    local stats = client:stats()
    assert.is_string(stats.sender)
    stats.sender = nil
    assert.same({
      accepted = 0, delivered = 0, rejected = 0, dropped = 0, pending = 0,
      dropped_by = {
        expired = 0, displaced = 0, exit = 0, disabled = 0, before_send = 0,
      },
      missed = 0, refused = 0,
    }, stats)
    client:close()
  end)

  it("counts, in integers where there are any", function()
    local client = new()
    client.events.capture { name = "a.b" }
    assert.is_true(client:flush(10))
    local stats = client:stats()
    assert.equal(1, stats.accepted)
    assert.equal(1, stats.delivered)
    assert.equal("running", stats.sender)
    assert.equal("1", tostring(stats.delivered))
    assert.equal("0", tostring(stats.dropped_by.exit))
    client:close()
  end)

  it("tells the last error, and when the next try is", function()
    local client = new {
      api_key = "sk_test_late", initial_retry_delay = 1, log_level = "off",
    }
    local before, stats = os.time()
    client.events.capture { name = "a.b" }
    wait.until_(function()
      stats = client:stats()
      return stats.retry_at
    end)
    assert.matches("401", stats.last_error, 1, true)
    assert.is_nil(stats.last_error:find("sk_test_late", 1, true))
    assert.is_true(stats.retry_at > before)
    assert.is_true(stats.retry_at < os.time() + 2)
    assert.equal(1, stats.pending)
    assert_adds_up(stats)
    api:config { key = "sk_test_late" }
    assert.is_true(client:flush(10))
    api:config { key = "sk_test_standin" }
    assert.is_nil(client:stats().retry_at)
    client:close()
  end)

  it("raises for what is no client", function()
    local client = new()
    assert.is_false((pcall(client.stats)))
    assert.is_false((pcall(client.stats, {})))
    assert.is_false((pcall(client.stats, io.stdout)))
    client:close()
  end)
end)

describe("a client", function()
  it("shows its URL, and not its key", function()
    local client = new { api_key = "sk_test_secret" }
    assert.equal("seerstack.client (" .. api.url .. ")", tostring(client))
    assert.is_nil(tostring(client):find("secret", 1, true))
    client:close()
  end)

  it("has a metatable that tells what it is", function()
    local client = new()
    assert.equal("seerstack.client", getmetatable(client).__name)
    client:close()
  end)

  it("has no other members", function()
    local client = new()
    assert.is_nil(client.capture)
    assert.is_nil(client.identify)
    assert.is_nil(client.api_key)
    assert.is_nil(client[1])
    assert.is_nil(client[false])
    assert.is_false((pcall(function() client.x = 1 end)))
    client:close()
  end)

  it("makes its namespaces once", function()
    local client, other = new(), new()
    assert.equal(client.events, client.events)
    assert.equal(client.users, client.users)
    assert.not_equal(client.events, other.events)
    client:close()
    other:close()
  end)

  it("makes no garbage when it accepts an event", function()
    local client = new { rate_limit = false }
    local event = { name = "a.b", user_id = "u", data = { x = 1.5 } }
    local options = { timeout = 5 }
    local function send(count)
      for _ = 1, count do
        client.events.capture(event)
        client.events:capture(event, options)
        client.users.identify(event)
      end
    end
    local jit = rawget(_G, "jit") -- its traces are garbage, too
    if jit then
      jit.off()
    end
    collect()
    collectgarbage "stop"
    send(10) -- a collection shrinks the stack, which grows again here
    local before = collectgarbage "count"
    send(100)
    local after = collectgarbage "count"
    collectgarbage "restart"
    if jit then
      jit.on()
    end
    assert.is_true(client:close(10))
    assert.is_true(after - before < 1, after - before .. " KiB")
  end)

  it("is kept alive by its namespaces", function()
    local events = new().events
    collect()
    assert.is_true(events.capture { name = "a.b" })
    assert.same({ success = true },
      (events:capture({ name = "a.b" }, { wait = true })))
    assert.equal(2, api:count())
  end)

  it("is collected, and what it has queued is sent", function()
    local watched = setmetatable({}, { __mode = "k" })
    do
      local client = new()
      watched[client] = true
      for _ = 1, 10 do
        client.events.capture { name = "a.b" }
      end
    end
    collect()
    assert.is_nil(next(watched))
    wait.until_(function()
      return api:count() == 10
    end)
  end)

  it("does not wait when it is collected", function()
    local result = script.run {
      env = { SEERSTACK_BASE_URL = api.url, SEERSTACK_API_KEY = "sk_x" },
      code = [[
        local socket = require "socket"
        local listener = assert(socket.bind("127.0.0.1", 0))
        local _, port = listener:getsockname()
        local client = require "seerstack".new {
          base_url = "http://127.0.0.1:" .. port, exit_timeout = 5,
        }
        client.events.capture { name = "a.b" }
        local before = socket.gettime()
        client = nil
        collectgarbage()
        collectgarbage()
        print(socket.gettime() - before
          < require "spec.support.slow")
        listener:close()
      ]],
    }
    assert.equal(0, result.status, result.stderr)
    assert.equal("true\n", result.stdout)
  end)

  it("may be finalized more than once", function()
    local client = new()
    local events, finalize = client.events, getmetatable(client).__gc
    events.capture { name = "a.b" }
    finalize(client)
    finalize(client)
    assert.equal("seerstack.client (closed)", tostring(client))
    assert_failure("ClosedError", "client is closed",
      events.capture { name = "a.b" })
    assert_failure("ClosedError", "client is closed",
      events.capture({ name = "a.b" }, { wait = true }))
    assert_failure("ClosedError", "client is closed", client:flush())
    assert_failure("ClosedError", "client is closed", client:stats())
    assert.is_true(client:close())
    assert.is_false((pcall(finalize)))
    assert.is_false((pcall(finalize, io.stdout)))
  end)

  if rawget(_G, "jit") then
    it("may be finalized while an event is built", function()
      local ffi = require "ffi"
      local client, istype = new(), ffi.istype
      local event = {
        name = ("n"):rep(9e5), data = { v = ffi.new "int64_t" },
      }
      ffi.istype = function(...)
        getmetatable(client).__gc(client)
        return istype(...)
      end
      local results = { pcall(client.events.capture, event) }
      ffi.istype = istype
      assert.is_true(results[1], results[2])
      assert.equal("ClosedError", results[4].name)
    end)
  end

  it("may be used by a finalizer while the state ends", function()
    local result = script.run {
      env = { SEERSTACK_BASE_URL = api.url,
        SEERSTACK_API_KEY = "sk_test_standin" },
      code = [[
        local client
        local function last_words()
          io.write(tostring((client.events.capture { name = "a.b" })), " ",
            type(client:stats()), " ", tostring(client:close()))
        end
        if newproxy then
          keep = newproxy(true)
          getmetatable(keep).__gc = last_words
        else
          keep = setmetatable({}, { __gc = last_words })
        end
        client = require "seerstack".new()
        keep_client = client
      ]],
    }
    assert.equal(0, result.status, result.stderr)
    assert.matches("^%S+ %S+ true$", result.stdout)
  end)

  it("is of no use when it could not be made", function()
    for _ = 1, 100 do
      assert.is_false((pcall(new, { base_url = "ftp://example.com" })))
    end
    collect()
  end)

  if CLOSE_VARIABLE then
    it("is closed at the end of its scope", function()
      local run = assert(load [[
        local new, events = ...
        local client <close> = new()
        for i = 1, events do
          client.events.capture { name = "a.b" }
        end
        return client
      ]])
      local client = run(new, 20)
      assert.equal(20, api:count())
      assert_failure("ClosedError", "client is closed",
        client.events.capture { name = "a.b" })
    end)

    it("is closed when an error ends its scope", function()
      local run = assert(load [[
        local client <close> = ...
        client.events.capture { name = "a.b" }
        error("the error", 0)
      ]])
      local client = new()
      local ok, message = pcall(run, client)
      assert.is_false(ok)
      assert.equal("the error", message)
      assert.equal(1, api:count())
      assert_failure("ClosedError", "client is closed",
        client.events.capture { name = "a.b" })
    end)
  end
end)
