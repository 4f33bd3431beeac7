-- Clients that send nothing: enabled = false, and test_mode.

local h = require "spec.helper"
local seerstack = require "seerstack"

local assert_error = h.assert_failure
local x = h.exchange()

-- A client of the server, which must get nothing.
local function new(options)
  return seerstack.new(h.merge({ base_url = x.url, api_key = x.key }, options))
end

local function assert_nothing_came()
  assert.is_nil((x.server:accept(0)))
end

-- Counts that are not named must be 0.
local function assert_counts(expected, client)
  local stats = h.adds_up(client)
  for _, name in ipairs { "accepted", "delivered", "rejected", "dropped",
    "pending", "missed" } do
    assert.equal(expected[name] or 0, stats[name], name)
  end
  for name, count in pairs(stats.dropped_by) do
    assert.equal(expected[name] or 0, count, name)
  end
  assert.is_nil(stats.last_error)
  assert.is_nil(stats.retry_at)
end

-- What a program without a key sees that uses clients in every way.
local function use(options, env)
  env = h.merge({ SEERSTACK_API_KEY = "" }, env)
  return x:child { env = env, code = ([[
    local client = seerstack.new { %s }
    for _ = 1, 3 do
      assert(client.events.capture { name = "a.b" })
      assert(client.users.identify({ user_id = "u" }, { wait = true }))
      assert(client:post("/x", { 1 }, { future = true }):get())
      assert(client:with_options({}):post("/x", nil, { wait = true }))
    end
    seerstack.configure { %s }
    assert(seerstack.capture { name = "a.b" })
    assert(seerstack.flush(10) and client:flush(10) and client:poll() == 0)
    local pipe = io.popen "ls -l /proc/$PPID/fd 2>/dev/null"
    print(client:stats().sender, select(2, pipe:read("*a"):gsub("socket:",
      "")))
    pipe:close()
    assert(seerstack.close() and client:close())
  ]]):format(options, options) }
end

for _, options in ipairs { "enabled = false", "test_mode = true",
  "enabled = false, test_mode = true, before_send = print" } do
  describe("a client with " .. options, function()
    it("needs no key, has no thread, and opens no socket", function()
      local result = use(options)
      assert.equal("", result.stderr)
      assert.equal("none\t0\n", result.stdout)
      assert.equal(0, #x.requests)
      assert.equal(0, #x.server.connections)
    end)
  end)
end

describe("a client that is switched on", function()
  it("needs a key, has a thread, and opens sockets", function()
    local result = use("enabled = true", { SEERSTACK_API_KEY = x.key })
    local sockets = result.stdout:match "^running\t(%d+)\n$"
    assert.is_true(tonumber(sockets) > 0, result.stdout)
    assert.equal(13, #x.requests)
  end)
end)

describe("a client that sends nothing", function()
  it("wants a right key and URL in the environment, if there are any",
    function()
      for _, option in ipairs { "enabled = false", "test_mode = true" } do
        for _, env in ipairs {
          { SEERSTACK_BASE_URL = "ftp://h", SEERSTACK_API_KEY = false },
          { SEERSTACK_BASE_URL = false, SEERSTACK_API_KEY = "sk_\1" },
        } do
          local result = h.script.run {
            code = "print((pcall(require 'seerstack'.new, {" .. option
              .. "})))",
            env = env,
          }
          assert.equal("", result.stderr)
          assert.equal("false\n", result.stdout)
        end
      end
    end)
end)

describe("enabled = false", function()
  it("takes events and discards them", function()
    local client = new { enabled = false, max_queue_events = 2 }
    for _ = 1, 5 do
      assert.same({ true }, { client.events.capture { name = "a.b" } })
    end
    assert.is_true(client.users.identify { user_id = "u" })
    assert.is_true(client:post("/x", { 1 }))
    assert.is_true(client:post("/x"))
    assert_counts({ accepted = 8, dropped = 8, disabled = 8 }, client)
    assert.is_true(client:flush(0))
    assert.is_true(client:close(0))
    assert.same({}, client:captured())
    assert_nothing_came()
  end)

  it("gives who waits an empty response", function()
    local client = new { enabled = false, wait = true }
    for _, options in ipairs { {}, { wait = true }, { future = true } } do
      local results = { client.events.capture({ name = "a.b" }, options) }
      if options.future then
        assert.is_true(results[1]:done())
        assert.equal("seerstack.future (done)", tostring(results[1]))
        results = { results[1]:get() }
      end
      assert.same({ {}, { status = 204, headers = {} } }, results)
    end
    assert_counts({ accepted = 3, dropped = 3, disabled = 3 }, client)
  end)

  it("does not look at events, but at what is misused", function()
    local client = new { enabled = false }
    local capture = client.events.capture
    for _, event in ipairs { {}, { name = 5 }, { name = "", data = print },
      { data = { f = print } }, { x = ("x"):rep(2000000) } } do
      assert.is_true(capture(event))
      assert.is_true(client.users.identify(event))
      assert.is_true(client:post("/x", event))
    end
    assert_counts({ accepted = 15, dropped = 15, disabled = 15 }, client)
    h.assert_raises("bad argument #1 to 'capture' (table expected, got nil)",
      capture)
    h.assert_raises("bad argument #2 to 'capture' (unknown option 'wiat')",
      capture, {}, { wiat = true })
    h.assert_raises("bad argument #2 to 'capture' (option 'future': cannot be "
      .. "given together with 'wait')", capture, {},
      { wait = true, future = true })
    h.assert_raises("bad argument #1 to 'post' (string expected, got nil)",
      client.post, client)
    assert.equal(15, client:stats().accepted)
  end)

  it("calls no callback", function()
    local called = 0
    local function count() called = called + 1 end
    local client = new {
      enabled = false, before_send = count, on_error = count, logger = count,
      log_level = "debug",
    }
    client:poll() -- it tells that the client was made
    called = 0
    client.events.capture { name = "a.b" }
    client.events.capture({ name = "a.b" }, { wait = true })
    client:flush()
    assert.equal(0, client:poll())
    client:close()
    assert.equal(0, called)
  end)

  it("ends with the client", function()
    local client = new { enabled = false }
    assert.is_true(client:close())
    for _, options in ipairs { {}, { wait = true }, { future = true } } do
      assert.equal("client is closed", assert_error("ClosedError",
        client.events.capture({ name = "a.b" }, options)))
    end
    assert_counts({}, client)
  end)

  it("may be switched by with_options", function()
    local off = x.client:with_options { enabled = false }
    local on = off:with_options { enabled = true }
    assert.is_true(off.events.capture { name = "off" })
    assert.is_true(on.events.capture { name = "on" })
    x.client = on
    x:settle()
    assert.same({ "on" }, x:names())
    assert_counts({ accepted = 1, dropped = 1, disabled = 1 }, off)
    assert_counts({ accepted = 1, delivered = 1 }, on)
  end)
end)

describe("test_mode", function()
  it("counts events as delivered, and answers who waits", function()
    local client = new { test_mode = true }
    local success = {
      { success = true }, { status = 200, headers = {} },
    }
    assert.same({ true }, { client.events.capture { name = "a.b" } })
    assert.same(success, {
      client.users.identify({ user_id = "u" }, { wait = true }),
    })
    local future = client:post("/x", nil, { future = true })
    assert.is_true(future:done())
    assert.same(success, { future:get() })
    assert.same(success, { future:get(0) })
    assert_counts({ accepted = 3, delivered = 3 }, client)
    assert.is_true(client:flush(0))
    assert.equal(0, client:poll())
    assert_nothing_came()
  end)

  it("refuses what could not be sent", function()
    local client = new { test_mode = true, max_event_bytes = 100 }
    for _, event in ipairs { {}, { name = "" }, { name = 5 },
      { name = "a.b", data = { f = print } }, { name = ("x"):rep(100) },
    } do
      for _, options in ipairs { {}, { wait = true }, { future = true } } do
        assert_error("ValidationError", client.events.capture(event, options))
      end
    end
    assert_error("ValidationError", client.users.identify { name = "U" })
    assert_error("ValidationError", client:post("//evil", {}))
    assert_error("ValidationError", client:post("/x", { f = print }))
    h.assert_raises("bad argument #1 to 'capture' (table expected, got nil)",
      client.events.capture)
    h.assert_raises("bad argument #2 to 'capture' (unknown option 'wiat')",
      client.events.capture, { name = "a.b" }, { wiat = true })
    assert_counts({}, client)
    assert.same({}, client:captured())
  end)

  it("ends with the client, but not what was captured", function()
    local client = new { test_mode = true }
    assert.is_true(client.events.capture { name = "a.b" })
    assert.is_true(client:close())
    for _, options in ipairs { {}, { wait = true }, { future = true } } do
      assert_error("ClosedError",
        client.events.capture({ name = "a.b" }, options))
    end
    assert_counts({ accepted = 1, delivered = 1 }, client)
    assert.equal(1, #client:captured())
  end)

  it("may be switched by with_options, each with a list of its own",
    function()
      local tests = x.client:with_options { test_mode = true }
      local more = tests:with_options {}
      local real = tests:with_options { test_mode = false }
      for name, client in pairs { tests = tests, more = more, real = real } do
        assert.is_true(client.events.capture { name = name })
      end
      x.client = real
      x:settle()
      assert.same({ "real" }, x:names())
      assert.equal("tests", tests:captured()[1].body.name)
      assert.equal("more", more:captured()[1].body.name)
      assert.same({}, real:captured())
      assert_counts({ accepted = 1, delivered = 1 }, tests)
      assert_counts({ accepted = 1, delivered = 1 }, real)
    end)

  it("cannot be switched off without a key", function()
    local result = x:child { env = { SEERSTACK_API_KEY = "" }, code = [[
      for _, name in ipairs { "test_mode", "enabled" } do
        local client = seerstack.new { [name] = name == "test_mode" }
        print(pcall(client.with_options, client,
          { [name] = name ~= "test_mode" }))
        assert(client:with_options {}.events.capture { name = "a.b" })
      end
    ]] }
    assert.equal(("false\tbad argument #1 to 'with_options' (the client has "
      .. "no key)\n"):rep(2), result.stdout)
  end)

  it("is outdone by enabled = false", function()
    local client = new { enabled = false, test_mode = true }
    assert.is_true(client.events.capture { name = "" })
    assert_counts({ accepted = 1, dropped = 1, disabled = 1 }, client)
    assert.same({}, client:captured())
  end)
end)
