local collecting = require "spec.support.collecting"
local h = require "spec.helper"

local new, assert_failure = h.clients.new, h.assert_error
local load = h.load
local newproxy = rawget(_G, "newproxy")
local CLOSE_VARIABLE = load("local x <close> = nil") ~= nil

local api = h.clients.standin()

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

  it("makes them once also when a finalizer is faster", function()
    local client, asked, inner = new(), nil, nil
    local metatable = {
      __gc = function() inner = asked and asked.events or inner end,
    }
    -- In a coroutine, whose stack keeps nothing of it.
    local function leave_garbage()
      if newproxy then
        getmetatable(newproxy(true)).__gc = metatable.__gc
      else
        setmetatable({}, metatable)
      end
    end
    h.collect()
    collecting.always()
    collectgarbage "stop"
    coroutine.wrap(leave_garbage)()
    asked = client
    collectgarbage "restart"
    local events = client.events
    asked = nil
    collecting.at_times()
    assert.is_table(inner)
    assert.equal(inner, events)
    assert.equal(events, client.events)
    assert.is_true(events:capture { name = "a.b" })
    client:close()
  end)

  it("takes little of Lua's memory while it is idle", function()
    local clients = { new() }
    h.collect()
    local before = collectgarbage "count"
    for i = 2, 1001 do
      clients[i] = new()
    end
    h.collect()
    assert.is_true(collectgarbage "count" - before < 450)
    for _, client in ipairs(clients) do
      client:close()
    end
  end)

  it("makes no garbage when it accepts an event", function()
    assert.equal(0, h.garbage([[
      local client = seerstack.new {
        rate_limit = false, exit_timeout = 0, log_level = "off",
      }
      local event = { name = "a.b", user_id = "u", data = { x = 1.5 } }
      local options = { timeout = 5 }
      return function()
        return client.events.capture(event)
          and client.events:capture(event, options)
          and client.users.identify(event)
      end
    ]], h.environment(api.url, "sk_test_standin")))
  end)

  it("is kept alive by its namespaces", function()
    local events = new().events
    h.collect()
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
    h.collect()
    assert.is_nil(next(watched))
    h.wait(function()
      return api:count() == 10
    end)
  end)

  -- It would wait longer than the program may run.
  it("does not wait when it is collected", function()
    local result = h.script.run {
      env = { SEERSTACK_BASE_URL = api.url, SEERSTACK_API_KEY = "sk_x" },
      code = [[
        local listener = assert(socket.bind("127.0.0.1", 0))
        local _, port = listener:getsockname()
        local client = seerstack.new {
          base_url = "http://127.0.0.1:" .. port, exit_timeout = 3600,
          timeout = 3600, log_level = "off",
        }
        client.events.capture { name = "a.b" }
        client = nil
        collectgarbage()
        collectgarbage()
        tell "collected"
        listener:close()
      ]],
    }
    assert.equal(0, result.status, result.stderr)
    assert.equal("collected\n", result.stdout)
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
    local result = h.script.run {
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
        client = seerstack.new()
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
    h.collect()
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
      h.assert_raises("the error", run, client)
      assert.equal(1, api:count())
      assert_failure("ClosedError", "client is closed",
        client.events.capture { name = "a.b" })
    end)
  end
end)
