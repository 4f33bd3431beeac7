-- The deep copy of an event that before_send gets: nothing that it does to
-- that is seen outside, and what it leaves alone is sent as it was given.

local h = require "spec.helper"
local seerstack = require "seerstack"

local array = seerstack.array

local function assert_refused(...)
  h.assert_error_like("ValidationError", ...)
end

-- A client whose before_send is f, and a list of what that was given.
local function new(f, options)
  local seen = {}
  options = options or {}
  options.test_mode = true
  options.before_send = function(event, path)
    seen[#seen + 1] = event
    return f(event, path)
  end
  return seerstack.new(options), seen
end

local function same(event)
  return event
end

-- Changes all there is in a table, down to its last.
local function spoil(t)
  for key, value in pairs(t) do
    if type(value) == "table" then
      spoil(value)
    end
    t[key] = "spoilt"
  end
  t.added = "spoilt"
end

describe("before_send", function()
  it("cannot reach the caller's tables, however deep", function()
    local event = { name = "a", data = { n = { { { x = 1 } } } } }
    local inner = event.data.n[1][1]
    local client = new(function(copy)
      spoil(copy)
      return { name = "b", user_id = "b" }
    end)
    assert(client.events.capture(event))
    assert(client.users.identify { user_id = "u", attributes = event.data })
    assert(client:post("/x", { event, event.data }))
    assert.same({ name = "a", data = { n = { { { x = 1 } } } } }, event)
    assert.equal(inner, event.data.n[1][1])
    assert.equal("b", client:captured()[1].body.name)
  end)

  it("cannot reach the defaults, nor the caller's extra_body", function()
    local defaults, extra = { n = { x = 1 } }, { more = { y = { z = 1 } } }
    local spoils = true
    local client = new(function(copy)
      local answer = spoils and { name = "b" } or copy
      if spoils then
        spoil(copy)
      end
      return answer
    end, { default_data = defaults })
    assert(client.events.capture({ name = "a" }, { extra_body = extra }))
    assert.same({ n = { x = 1 } }, defaults)
    assert.same({ more = { y = { z = 1 } } }, extra)
    spoils = false
    assert(client.events.capture { name = "a" })
    assert.same({ n = { x = 1 } }, client:captured()[2].body.data)
  end)

  it("is called with a new copy each time", function()
    local event = { name = "a", data = { x = {} } }
    local client, seen = new(same)
    assert(client.events.capture(event))
    assert(client.events.capture(event))
    assert.not_equal(seen[1], seen[2])
    assert.not_equal(seen[1].data.x, seen[2].data.x)
    assert.same(event, seen[2])
  end)

  it("is called for a post whose body is extra_body's", function()
    local client, seen = new(same)
    assert(client:post("/x"))
    assert.same({}, seen)
    assert(client:post("/x", nil, { extra_body = { a = 1 } }))
    assert.same({ { a = 1 } }, seen)
    assert.equal('{"a":1}', client:captured()[2].json)
  end)

  it("leaves arrays arrays, and objects objects", function()
    local client = new(same)
    for body, text in pairs {
      [{ v = array {} }] = '{"v":[]}', [{ v = {} }] = '{"v":{}}',
      [{ v = { 1, { 2, {} } } }] = '{"v":[1,[2,{}]]}',
      [{ v = array { 1, nil, 3 } }] = '{"v":[1,null,3]}',
      [{ v = { array { array {} } } }] = '{"v":[[[]]]}',
      [array {}] = "[]", [array { nil, 2 }] = "[null,2]", [{ {} }] = "[{}]",
      [{ [2] = "x" }] = '{"2":"x"}', [{}] = "{}",
      [{ v = seerstack.null }] = '{"v":null}',
    } do
      assert(client:post("/x", body))
      assert.equal(text, client:captured()[1].json)
    end
  end)

  it("gets keys and values as they are", function()
    local thread = coroutine.create(function() end)
    local keys = { [1] = 1, [2.5] = 2, [true] = 3, [thread] = 4, x = 5 }
    local client, seen = new(function()
      return { name = "b" }
    end)
    assert(client.events.capture {
      name = "a", data = { f = print, thread = thread, file = io.stdout,
        client = client, keys = keys, nan = 1 / 0 },
    })
    local data = seen[1].data
    assert.equal(print, data.f)
    assert.equal(thread, data.thread)
    assert.equal(io.stdout, data.file)
    assert.equal(client, data.client)
    assert.same(keys, data.keys)
    assert.not_equal(keys, data.keys)
    assert.equal(1 / 0, data.nan)
  end)

  it("gets integers as integers", function()
    local client, seen = new(same)
    local tointeger = rawget(math, "tointeger")
    local large = tointeger and tointeger(2 ^ 53) + 1 or 2 ^ 53
    assert(client.events.capture { name = "a", data = { n = large } })
    assert.equal(large, seen[1].data.n)
    assert.matches('"n":' .. (tointeger and "9007199254740993"
      or "9007199254740992"), client:captured()[1].json)
  end)

  it("makes copies without calling metamethods", function()
    local client = new(function(event)
      return { name = rawget(event, "name") }
    end)
    local function fail() error("a metamethod was called") end
    local function raw(fields)
      return setmetatable(fields, {
        __index = fail, __newindex = fail, __pairs = fail, __len = fail,
        __eq = fail, __tostring = fail,
      })
    end
    assert(client.events.capture(raw {
      name = "a", data = raw { x = raw { 1 } },
    }))
    assert.equal("a", client:captured()[1].body.name)
  end)

  it("makes no second object of a finalizer's", function()
    local calls = 0
    local client = seerstack.new {
      test_mode = true, before_send = function() return { name = "b" } end,
    }
    local owner = setmetatable({ x = 1 }, {
      __gc = function() calls = calls + 1 end,
    })
    assert(client.events.capture { name = "a", data = { owner = owner } })
    collectgarbage()
    collectgarbage()
    assert.equal(0, calls)
    assert.equal(1, owner.x)
  end)
end)

describe("a copy for before_send", function()
  it("has as many levels as an event may have", function()
    local function fail() error "called" end
    for _, levels in ipairs { 1, 50, 99, 100 } do
      local client, seen = new(same)
      assert(client.events.capture { name = "a", data = h.nest(levels) })
      assert.same(h.nest(levels), seen[1].data)
      assert(client:post("/x", h.nest(levels)))
      assert.equal(2, #client:captured())
    end
    for _, levels in ipairs { 101, 150, 5000 } do
      local client = new(fail)
      assert_refused("^data%..*more than 100 levels of tables$",
        client.events.capture { name = "a", data = h.nest(levels) })
      assert_refused("^other%..*more than 100 levels of tables$",
        client.users.identify { user_id = "u", other = h.nest(levels) })
      assert.equal(0, client:stats().accepted)
    end
  end)

  it("ends when the event is within itself", function()
    local function fail() error "called" end
    local client = new(fail)
    local event = { name = "a", data = {}, list = {} }
    event.data.event = event
    event.list[1], event.list[2] = event.list, event.data
    assert_refused("more than 100 levels", client.events.capture(event))
    assert_refused("more than 100 levels", client:post("/x", event))
    assert_refused("more than 100 levels", client:post("/x", nil,
      { extra_body = event }))
    assert.equal(event, event.data.event)
    assert.equal(0, client:stats().accepted)
  end)

  it("takes no time without end for a table that is there often", function()
    local often = { x = 1 }
    for _ = 1, 60 do
      often = { often, often, a = often }
    end
    local client, seen = new(function() return { name = "b" } end)
    assert(client.events.capture { name = "a", data = { often = often } })
    assert.equal(1, #seen)
    assert.equal(1, #client:captured())
  end)

  it("may be wide", function()
    local wide = {}
    for i = 1, 20000 do
      wide[i] = { i }
    end
    local client, seen = new(same)
    assert(client.events.capture { name = "a", data = { wide = wide } })
    local sent = client:captured()[1].body.data.wide
    for _, copy in ipairs { seen[1].data.wide, sent } do
      assert.equal(#wide, #copy)
      for i, list in ipairs(copy) do
        assert(#list == 1 and list[1] == i)
      end
    end
  end)
end)

describe("what lua-cjson has for arrays", function()
  -- Debian's lua-cjson has no marks: they are put there before the first
  -- require. OpenResty's empty_array is light userdata.
  local EMPTY_ARRAYS = { ["a table"] = "{}" }
  if rawget(debug, "upvalueid") then
    EMPTY_ARRAYS["light userdata"] = "(function(up) "
      .. "return debug.upvalueid(function() return up end, 1) end)()"
  end

  local function run_with_marks(empty_array, code)
    local result = h.script.run { code = ([[
      local array_mt, empty_array_mt, empty_array = {}, {}, %s
      cjson.array_mt, cjson.empty_array_mt = array_mt, empty_array_mt
      cjson.empty_array = empty_array
      local client = seerstack.new {
        test_mode = true, default_attributes = { list = empty_array },
        log_level = "off",
        before_send = function(event) return event end,
      }
      %s
      for _, request in ipairs(client:captured()) do
        print(request.json)
      end
    ]]):format(empty_array, code) }
    assert.equal("", result.stderr)
    return result.stdout
  end

  for what, empty_array in pairs(EMPTY_ARRAYS) do
    it("is copied as that, if empty_array is " .. what,
      function()
        assert.equal([=[
{"v":[]}
{"v":[null,2]}
{"v":[]}
{"v":[1]}
{"v":{"a":1}}
{"v":[]}
{"v":[[]]}
{"user_id":"u","attributes":{"list":[]}}
[]
]=], run_with_marks(empty_array, [[
          for _, value in ipairs {
            setmetatable({}, array_mt), setmetatable({ [2] = 2 }, array_mt),
            setmetatable({}, empty_array_mt),
            setmetatable({ 1 }, empty_array_mt),
            setmetatable({ a = 1 }, empty_array_mt), empty_array,
            { empty_array },
          } do
            assert(client:post("/x", { v = value }))
          end
          assert(client.users.identify { user_id = "u" })
          assert(client:post("/x", setmetatable({}, array_mt)))
        ]]))
      end)

    it("is refused for attributes where there are defaults, too, if "
      .. "empty_array is " .. what, function()
      assert.equal("", run_with_marks(empty_array, [[
        for _, own in ipairs {
          setmetatable({}, array_mt), setmetatable({ 1 }, array_mt),
          setmetatable({}, empty_array_mt), empty_array,
        } do
          local ok, message, err = client.users.identify {
            user_id = "u", attributes = own,
          }
          if ok or err.name ~= "ValidationError" then
            print("accepted", own == empty_array, getmetatable(own) ==
              empty_array_mt, message)
          end
        end
      ]]))
    end)
  end
end)
