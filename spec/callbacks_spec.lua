local h = require "spec.helper"
local seerstack = require "seerstack"

local x = h.exchange()

-- Gives the exchange a client that filters.
local function filter(before_send, options)
  return x:use(h.merge({ before_send = before_send }, options))
end

local PATHS = {
  capture = "/capture", identify = "/identify", post = "/some/path?x=1",
}

-- Calls one of the three functions that send.
local function send(name, options)
  if name == "capture" then
    return x.client.events.capture({ name = "a.b" }, options)
  elseif name == "identify" then
    return x.client.users.identify({ user_id = "u", email = "e" }, options)
  end
  return x.client:post(PATHS.post, { any = "thing" }, options)
end

-- Calls f(name, options, path) for each function and each way to call it,
-- but as often as that with a client of its own.
local function each_way(f)
  for _, options in ipairs { {}, { wait = true }, { future = true } } do
    for name, path in pairs(PATHS) do
      f(name, options, path)
    end
  end
end

local function assert_dropped(message, path, ...)
  local result, text, err = ...
  assert.equal(3, select("#", ...))
  assert.is_nil(result)
  assert.equal(message, text)
  assert.equal("DroppedError", err.name)
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
  assert.equal(path, err.path)
  assert.is_nil(err.status)
end

-- So many events were accepted and dropped by before_send, all others
-- delivered.
local function assert_counts(accepted, dropped)
  h.assert_counts(x.client, {
    accepted = accepted, before_send = dropped, dropped = dropped,
    delivered = accepted - dropped,
  })
end

-- The one body that is sent when this event is captured.
local function body_of(event, options)
  local before = #x.requests
  assert.is_true(x.client.events.capture(event, options))
  x:settle()
  assert.equal(before + 1, #x.requests)
  return h.body_of(x.requests[before + 1])
end

describe("before_send", function()
  it("is called with the event and the path", function()
    local calls = {}
    filter(function(...)
      calls[#calls + 1] = { n = select("#", ...), ... }
      return (...)
    end)
    assert.is_true(send "capture")
    assert.is_true(send "identify")
    assert.is_true(send "post")
    assert.same({
      { n = 2, { name = "a.b" }, "/capture" },
      { n = 2, { user_id = "u", email = "e" }, "/identify" },
      { n = 2, { any = "thing" }, "/some/path?x=1" },
    }, calls)
    x:settle()
    assert.equal(3, #x.requests)
    assert_counts(3, 0)
  end)

  it("may change the event", function()
    filter(function(event)
      event.data.secret = nil
      event.data.added = { 1, 2 }
      event.user_id = "changed"
      return event
    end)
    local body = body_of { name = "a.b", data = { secret = 1, kept = 2 } }
    assert.equal("a.b", body.name)
    assert.equal("changed", body.user_id)
    assert.same({ kept = 2, added = { 1, 2 } }, body.data)
  end)

  it("may return another table instead", function()
    filter(function()
      return { name = "other", timestamp = "t" }
    end)
    assert.same({ name = "other", timestamp = "t" },
      body_of { name = "a.b", data = { x = 1 }, user_id = "u" })
    filter(function() return { "a", "b" } end)
    assert.is_true(send "post")
    x:settle()
    assert.equal('["a","b"]', x.requests[#x.requests].body)
  end)

  it("gets a deep copy, and the caller's event stays as it is", function()
    local event = { name = "a.b", data = { list = { { x = 1 } }, y = 2 } }
    local given
    filter(function(copy)
      given = copy
      copy.name, copy.data.y, copy.data.list[1].x = "c.d", 3, 4
      copy.data.list[2] = { x = 5 }
      return copy
    end)
    assert.same({ list = { { x = 4 }, { x = 5 } }, y = 3 },
      body_of(event).data)
    assert.same({ name = "a.b", data = { list = { { x = 1 } }, y = 2 } },
      event)
    assert.not_equal(event, given)
    assert.not_equal(event.data, given.data)
    assert.not_equal(event.data.list[1], given.data.list[1])
  end)

  it("gets copies that are sent as the originals would be", function()
    filter(function(event) return event end)
    assert.is_true(x.client.events.capture {
      name = "a.b", timestamp = "t", data = {
        marked = seerstack.array {}, object = {}, null = seerstack.null,
        list = { 1, { 2 } },
      },
    })
    x:settle()
    local body = x.requests[1].body
    for _, part in ipairs {
      '"marked":[]', '"object":{}', '"null":null', '"list":[1,[2]]',
    } do
      assert.truthy(body:find(part, 1, true), body)
    end
  end)

  it("gets the defaults and extra_body merged in", function()
    local seen = {}
    filter(function(event)
      seen[#seen + 1] = event
      return event
    end, {
      default_data = { app = "web", a = 0 },
      default_attributes = { tier = "free" },
    })
    x.client.events.capture({ name = "a.b", data = { a = 1 } },
      { extra_body = { data = { b = 2 }, user_id = "u" } })
    x.client.users.identify { user_id = "u", attributes = { x = 1 } }
    assert.same({
      { name = "a.b", user_id = "u", data = { app = "web", a = 1, b = 2 } },
      { user_id = "u", attributes = { tier = "free", x = 1 } },
    }, seen)
  end)

  it("may mend what could not be sent", function()
    filter(function(event)
      event.name, event.data = "mended", nil
      return event
    end)
    assert.equal("mended", body_of({ data = { f = print } }).name)
  end)

  it("is called once, however often the event is sent", function()
    local calls = 0
    filter(function(event)
      calls = calls + 1
      return event
    end)
    send "capture"
    x:settle(h.sequence { { 500 }, { 500 } })
    assert.equal(3, #x.requests)
    assert.equal(1, calls)
  end)

  it("may be called in a coroutine", function()
    filter(function(event)
      event.name = "c.d"
      return event
    end)
    assert.is_true(coroutine.wrap(function() return send "capture" end)())
    x:settle()
    assert.same({ "c.d" }, x:names())
  end)

  it("is not called for what goes no further", function()
    local function fail() error "called" end
    filter(fail, { enabled = false })
    assert.is_true(send "capture")
    assert.equal(1, h.adds_up(x.client).dropped_by.disabled)
    filter(fail)
    local _, _, err = x.client:post("no/path", { x = 1 })
    assert.equal("ValidationError", err.name)
    x.client:close()
    _, _, err = send "capture"
    assert.equal("ClosedError", err.name)
    assert.equal(0, x.client:stats().accepted)
  end)

  it("is not called for a post without a body", function()
    filter(function() error "called" end)
    assert.is_true(x.client:post("/nothing"))
    x:settle()
    assert.equal("/nothing", x.requests[1].path)
    assert_counts(1, 0)
  end)

  it("is not asked about an event without end", function()
    filter(function() error "called" end)
    local event = { name = "a.b", data = {} }
    event.data.data = event.data
    local _, message, err = x.client.events.capture(event)
    assert.equal("ValidationError", err.name)
    assert.matches("more than 100 levels", message)
    assert_counts(0, 0)
  end)

  it("is inherited by with_options, which may take it away", function()
    local calls = 0
    local first = filter(function(event)
      calls = calls + 1
      return event
    end)
    x.client = first:with_options {}
    send "capture"
    x:settle()
    assert.equal(1, calls)
    x.client = first:with_options { before_send = false }
    send "capture"
    x:settle()
    assert.equal(1, calls)
    x.client = first:with_options { before_send = function() end }
    assert.is_true(send "capture")
    assert_counts(1, 1)
    assert.equal(1, calls)
  end)

  it("decides in test mode, too", function()
    filter(function(event)
      return event.name ~= "drop" and { name = "kept" } or nil
    end, { test_mode = true })
    assert.is_true(x.client.events.capture { name = "a.b" })
    assert.is_true(x.client.events.capture { name = "drop" })
    local captured = x.client:captured()
    assert.equal(1, #captured)
    assert.equal("kept", captured[1].body.name)
    assert_counts(2, 1)
  end)

  it("that returns an event that cannot be sent has it refused", function()
    filter(function() return { name = "a.b", data = { f = print } } end)
    for _, options in ipairs { {}, { wait = true }, { future = true } } do
      h.assert_error("ValidationError", "data.f: a function cannot be sent",
        x.client.events.capture({ name = "a.b" }, options))
    end
    assert_counts(0, 0)
  end)
end)

describe("before_send that returns nil", function()
  it("drops the event, and true is returned", function()
    for _, drop in ipairs { function() return nil end, function() end } do
      filter(drop)
      for name in pairs(PATHS) do
        assert.same({ true }, { send(name) })
      end
      assert_counts(3, 3)
    end
    assert.is_true(x.client:flush(0))
    assert.equal(0, #x.requests)
  end)

  it("gives who waits nil, message, DroppedError", function()
    filter(function() end)
    for name, path in pairs(PATHS) do
      assert_dropped("dropped by before_send", path,
        send(name, { wait = true }))
      assert_dropped("dropped by before_send", path,
        send(name, { future = true }))
    end
    assert_counts(6, 6)
    assert.equal(0, #x.requests)
  end)

  it("tells a client nothing that waits by its options", function()
    filter(function() end, { wait = true })
    assert_dropped("dropped by before_send", "/capture", send "capture")
    assert.is_true(send("capture", { wait = false }))
    assert_counts(2, 2)
  end)

  it("leaves the other events alone", function()
    filter(function(event)
      return event.name:match "^n%d*[02468]$" and event or nil
    end)
    x:capture_many(10)
    x:settle()
    local names = x:names() -- in any order
    table.sort(names)
    assert.same({ "n10", "n2", "n4", "n6", "n8" }, names)
    assert_counts(10, 5)
  end)
end)

describe("before_send that fails", function()
  local function assert_fails(message, before_send)
    filter(before_send)
    local count = 0
    each_way(function(name, options, path)
      assert_dropped("before_send failed: " .. message, path,
        send(name, options))
      count = count + 1
    end)
    assert_counts(count, count)
    assert.is_true(x.client:flush(0))
    assert.equal(0, #x.requests)
  end

  it("by raising has the event dropped: nil, message, DroppedError",
    function()
      assert_fails("my reason", function() error("my reason", 0) end)
    end)

  it("by returning neither a table nor nil has the event dropped", function()
    for kind, value in pairs {
      boolean = false, number = 5, string = "x", ["function"] = print,
      userdata = seerstack.null, thread = coroutine.create(function() end),
    } do
      assert_fails("a table or nil expected, got " .. kind,
        function() return value end)
    end
    assert_fails("a table or nil expected, got boolean",
      function() return true end)
  end)

  it("says where its code has failed", function()
    filter(function(event) return event.no.such end)
    local _, message = send "capture"
    assert.matches("^before_send failed: .*callbacks_spec%.lua:%d+: .*no",
      message)
    assert_counts(1, 1)
  end)

  it("may raise anything", function()
    local function raise() error "within __tostring" end
    local tricky = setmetatable({}, {
      __tostring = raise, __index = raise, __concat = raise, __len = raise,
    })
    for _, value in ipairs {
      {}, tricky, 5, true, print, io.stdout, seerstack.null, "",
      setmetatable({}, { __tostring = function() return {} end }),
    } do
      filter(function() error(value) end)
      h.assert_error_like("DroppedError", "^before_send failed: ",
        send "capture")
      assert_counts(1, 1)
    end
    filter(function() error() end)
    assert.matches("^before_send failed: ", (select(2, send "capture")))
  end)

  it("may raise a value that has a text", function()
    filter(function()
      error(setmetatable({}, { __tostring = function() return "mine" end }))
    end)
    local _, message = send "capture"
    assert.equal("before_send failed: mine", message)
  end)

  it("may raise a value whose text cannot send either", function()
    local within
    filter(function()
      error(setmetatable({}, { __tostring = function()
        within = h.pack(send "capture")
        return "mine"
      end }))
    end)
    local _, message = send "capture"
    assert.equal("before_send failed: mine", message)
    assert.matches("^before_send cannot send", within[2])
  end)

  it("has a message of some length", function()
    filter(function() error(("x"):rep(1e6), 0) end)
    local _, message = send "capture"
    assert.matches("^before_send failed: x+", message)
    assert.is_true(#message < 1000, #message)
  end)

  it("does not reveal the key in its message", function()
    local client = x:new { api_key = "key+hush" }
    for length = 0, 450 do
      x.client = client:with_options { before_send = function()
        error(("x"):rep(length) .. "key+hush" .. ".", 0)
      end }
      local _, message, err = send "capture"
      assert.matches("^before_send failed: x*%**%.?$", message)
      assert.equal(message, err.message)
    end
  end)

  it("may do so by yielding, and the coroutine goes on", function()
    filter(function(event)
      coroutine.yield(event)
      return event
    end)
    local thread = coroutine.create(function()
      local result, message, err = send "capture"
      coroutine.yield(result, message, err)
      return "over"
    end)
    local ok, result, message, err = coroutine.resume(thread)
    assert.is_true(ok, result)
    assert.is_nil(result)
    assert.matches("^before_send failed: .*yield", message)
    assert.equal("DroppedError", err.name)
    assert.same({ true, "over" }, { coroutine.resume(thread) })
    assert_counts(1, 1)
  end)

  it("may do so by calling itself without end", function()
    local function recurse(event) return { recurse(event) } end
    filter(recurse)
    local _, message, err = send "capture"
    assert.matches("^before_send failed: .*overflow", message)
    assert.equal("DroppedError", err.name)
    assert_counts(1, 1)
  end)

  it("does not fail the next time because of that", function()
    local bad = true
    filter(function(event)
      if bad then
        error "once"
      end
      return event
    end)
    assert.is_nil((send "capture"))
    bad = false
    assert.is_true(send "capture")
    x:settle()
    assert_counts(2, 1)
  end)
end)
