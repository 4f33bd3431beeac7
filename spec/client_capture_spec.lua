local cjson = require "cjson"
local h = require "spec.helper"

local new, with_silent_server = h.clients.new, h.clients.with_silent_server
local assert_failure, assert_raises = h.assert_error, h.assert_raises
local assert_adds_up = h.clients.assert_adds_up
local newproxy = rawget(_G, "newproxy")

local api = h.clients.standin()

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
      h.assert_counts(client, { accepted = 2, pending = 2 })
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
      local stats = h.assert_counts(client, {
        accepted = 10, pending = 3, displaced = 7,
      })
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
    h.collect()
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
    h.assert_error_like("ValidationError", "^user_id",
      client.users.identify { name = "A" })
    assert.equal(0, client:stats().accepted)
    client:close()
  end)
end)
