local h = require "spec.helper"
local seerstack = require "seerstack"

local upvalueid = rawget(debug, "upvalueid")

local INVALID = "\239\191\189" -- U+FFFD

local function nested(levels)
  local outermost = {}
  local table_ = outermost
  for _ = 2, levels do
    table_.a = {}
    table_ = table_.a
  end
  return outermost
end

describe("a value that JSON has not", function()
  it("is refused, by its path and its type", function()
    assert.equal("data.callback: a function cannot be sent",
      h.bodies.problem { callback = print })
    assert.equal("data.items[3].callback: a function cannot be sent",
      h.bodies.problem { items = { 1, {}, { callback = print } } })
    assert.equal("data[1].x: a thread cannot be sent",
      h.bodies.problem { { x = coroutine.create(function() end) } })
    assert.equal("data.file: a userdata cannot be sent",
      h.bodies.problem { file = io.stdout })
  end)

  if upvalueid then
    it("is refused also when it is a light userdata", function()
      local light = upvalueid(function() return h end, 1)
      assert.equal("data.light: a userdata cannot be sent",
        h.bodies.problem { light = light })
    end)
  end

  it("has its path shown in a way that can be printed", function()
    assert.equal('data["two words"]["\\u0000\\n' .. INVALID
      .. '"][1]: a function cannot be sent',
      h.bodies.problem { ["two words"] = { ["\0\n\255"] = { print } } })
    assert.equal('data[""]["1st"].end: a function cannot be sent',
      h.bodies.problem { [""] = { ["1st"] = { ["end"] = print } } })
    assert.equal("data[-1][1.5]: a function cannot be sent",
      h.bodies.problem { [-1] = { [1.5] = print } })
  end)

  it("has long names in its path cut, between characters", function()
    local name = ("\195\188"):rep(30)
    assert.equal('data["' .. name:sub(1, 40) .. '"...]: a function cannot '
      .. "be sent", h.bodies.problem { [name] = print })
    name = "x" .. name
    assert.equal('data["' .. name:sub(1, 39) .. '"...]: a function cannot '
      .. "be sent", h.bodies.problem { [name] = print })
  end)

  it("has the middle of a long path left out", function()
    assert.equal("data.a.b.c.d.e: a function cannot be sent",
      h.bodies.problem { a = { b = { c = { d = { e = print } } } } })
    assert.equal("data.a.b.c ... .e.f: a function cannot be sent",
      h.bodies.problem { a = { b = { c = { d = { e = { f = print } } } } } })
  end)

  it("is refused in an array that began well", function()
    assert.equal("data.list[4]: a function cannot be sent",
      h.bodies.problem { list = { 1, 2, 3, print } })
  end)
end)

describe("depth and size", function()
  local TOO_LARGE =
    "event too large: more than 1048576 bytes (max_event_bytes)"

  it("may be 100 levels of tables, data being the first", function()
    local event = { name = "x", timestamp = "t", data = nested(100) }
    assert.equal('{"name":"x","timestamp":"t","data":'
      .. ('{"a":'):rep(99) .. "{}" .. ("}"):rep(100), h.bodies.one(event))
  end)

  it("may not be 101 levels", function()
    assert.equal("data.a.a.a ... .a.a: more than 100 levels of tables",
      h.bodies.problem(nested(101)))
  end)

  it("ends every cycle", function()
    local object, list = {}, {}
    object.a = object
    list[1] = list
    assert.equal("data.a.a.a ... .a.a: more than 100 levels of tables",
      h.bodies.problem(object))
    assert.equal(
      "data.l[1][1] ... [1][1]: more than 100 levels of tables",
      h.bodies.problem { l = list })
  end)

  it("ends tables that are shared exponentially, and soon", function()
    local bombs = {}
    for i, grow in ipairs {
      function(t) return { t, t } end,
      function(t) return { a = t, b = t } end,
      function(t) return { t, t, x = t } end,
      function(t) return { 1, 2, t, x = t } end,
      function(t) return seerstack.array { t, t } end,
    } do
      local bomb = {}
      for _ = 1, 60 do
        bomb = grow(bomb)
      end
      bombs[i] = bomb
    end
    assert.is_true(h.seconds(function()
      for _, bomb in ipairs(bombs) do
        assert.equal(TOO_LARGE, h.bodies.problem { bomb = bomb })
      end
    end) < (os.getenv "SANITIZER" == "valgrind" and 100 or 3))
  end)

  it("ends long tables that contain themselves, and soon", function()
    local list, object = {}, {}
    for i = 1, 300000 do
      list[i], object[i] = i, i
    end
    list[1], object[1], object.x = list, object, 1
    assert.is_true(h.seconds(function()
      assert.equal(TOO_LARGE, h.bodies.problem { list = list })
      assert.equal(TOO_LARGE, h.bodies.problem { object = object })
    end) < 3)
  end)

  it("may be exactly max_event_bytes", function()
    local event = { name = "x", timestamp = "t", data = { s = "" } }
    local least = #h.bodies.one(event)
    event.data.s = ("y"):rep(1000 - least)
    assert.equal(1000,
      #h.bodies.one(event, "capture", { max_event_bytes = 1000 }))
    local message, err =
      h.bodies.refused(event, "capture", { max_event_bytes = 999 })
    assert.equal("event too large: more than 999 bytes (max_event_bytes)",
      message)
    assert.equal("ValidationError", err.name)
  end)

  it("may not be more at any place of the event", function()
    local event = {
      name = "some.name", user_id = "user_1", timestamp = "t",
      data = { a = { 1, 2.5, "x" } }, extra = { true },
    }
    local length = #h.bodies.one(event)
    for limit = 1, length - 1 do
      assert.equal("event too large: more than " .. limit
        .. " bytes (max_event_bytes)",
        (h.bodies.refused(event, "capture", { max_event_bytes = limit })))
    end
  end)

  it("may be reached by an event after one that was refused", function()
    h.bodies.during(function(send)
      assert.is_nil((send { name = "x", data = { print } }))
      assert.is_nil((send { name = "x", data = { s = ("x"):rep(2000000) } }))
      assert.is_true(send { name = "x", data = { s = ("x"):rep(900000) } })
    end)
  end)
end)

describe("the encoder", function()
  it("is not disturbed by a locale with another decimal point", function()
    local directory = h.shell.temporary_directory "locale"
    for _, name in ipairs { "de_DE", "ps_AF" } do
      assert.equal(0, h.shell.run("localedef -i " .. name .. " -f UTF-8 "
        .. h.shell.quote(directory .. "/" .. name .. ".UTF-8")))
    end
    local output = h.run([[
      local bodies = require "spec.support.bodies"
      local values = {
        0.5, 19.99, 0.1 + 0.2, 1e-7, 1.7976931348623157e308,
        123456789.12345679, { [1.5] = 1 }, { [1 / 3] = { 2.5 } },
      }
      local expected = table.concat(bodies.values(values), " ")
      for _, name in ipairs { "de_DE.UTF-8", "ps_AF.UTF-8" } do
        assert(os.setlocale(name), "no locale " .. name)
        local texts = table.concat(bodies.values(values), " ")
        assert(texts == expected, texts)
        print(bodies.problem { [1 / 3] = 1, ["0.3333333333333333"] = 2 })
        print(bodies.problem { [2.5] = 1, ["2.5"] = 2 })
        print(bodies.problem { [2.5] = print })
        print(bodies.value { [2.5] = 1, ["2,5"] = 2 } ~= nil)
        assert(os.setlocale(nil) == name)
      end
      print(expected)
    ]], { LOCPATH = directory })
    h.shell.remove(directory)
    assert.equal(([[
data: the keys 0.3333333333333333 and "0.3333333333333333" collide
data: the keys 2.5 and "2.5" collide
data[2.5]: a function cannot be sent
true
]]):rep(2) .. '0.5 19.99 0.30000000000000004 1e-07 '
      .. "1.7976931348623157e+308 123456789.12345679 "
      .. '{"1.5":1} {"0.3333333333333333":[2.5]}\n', output)
  end)

  it("makes no garbage", function()
    assert.equal(0, h.garbage([[
      local client = seerstack.new {
        base_url = "http://127.0.0.1:1", api_key = "sk_x",
        log_level = "off", exit_timeout = 0,
      }
      local event = {
        name = "invoice.paid", user_id = 12345, timestamp = 1700000000.5,
        extra = 1, [7] = "seven",
        data = {
          amount = 19.99, count = 7, paid = true, none = seerstack.null,
          list = { 1, 2, { 3 } }, [5] = "five", ["6"] = "six", [1.5] = 1 / 3,
          empty = {}, marked = seerstack.array { nil, 2 }, text = "\255\n",
        },
      }
      return function()
        return client.events.capture(event)
      end
    ]]))
  end)

  it("needs no more of the Lua stack than it asks for", function()
    local function deep(levels)
      if levels == 0 then
        return h.bodies.value(nested(99))
      end
      return (deep(levels - 1))
    end
    assert.equal(('{"a":'):rep(98) .. "{}" .. ("}"):rep(98), deep(150))
  end)
end)
