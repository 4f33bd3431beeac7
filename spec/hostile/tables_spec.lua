-- Tables that nobody would send who wished us well.

local h = require "spec.helper"
local seerstack = require "seerstack"

local jit = rawget(_G, "jit")

local DEEP = ": more than 100 levels of tables"
local LARGE = "event too large: more than 1048576 bytes (max_event_bytes)"

-- A chain of so many tables, one in the other; at the end `last`.
local function chain(levels, last, key)
  local value = last
  for _ = 1, levels do
    value = { [key or "k"] = value }
  end
  return value
end

local function raise()
  error("a metamethod was called")
end

local METAMETHODS = {
  "__index", "__newindex", "__pairs", "__ipairs", "__len", "__tostring",
  "__eq", "__lt", "__le", "__concat", "__call", "__unm", "__name", "__close",
}

-- A metatable in which all of these are `f`.
local function all(f)
  local metatable = {}
  for _, name in ipairs(METAMETHODS) do
    metatable[name] = f
  end
  return metatable
end

-- The message is about size or depth, wherever the event was given up.
local function is_too_much(message)
  return message == LARGE or message:find(DEEP, 1, true) ~= nil
end

describe("a hostile table", function()
  describe("that is deep", function()
    -- Two levels are the event itself and its data, where there is one.
    it("arrives whole with 97 levels of its own", function()
      h.offer.arrives(chain(97, "end"), chain(97, "end"))
      h.offer.arrives(chain(97, 7, 1), chain(97, 7, 1))
    end)

    for _, levels in ipairs { 101, 102, 1000, 100000 } do
      it("is refused by its path with " .. levels .. " levels", function()
        for _, key in ipairs { "k", 1 } do
          local step = key == 1 and "[1]" or ".k"
          local value = chain(levels, "end", key)
          h.offer.everywhere(value, function()
            error "accepted"
          end, function(message, path)
            assert.equal(path .. step, message:sub(1, #path + #step))
            assert.equal(DEEP, message:sub(-#DEEP))
          end)
        end
      end)
    end

    it("is accepted or refused at the same level in each kind of nesting",
      function()
        local function most(make)
          local client, levels = h.offer.client(), 0
          while h.offer.to(client, function()
            return client.events.capture {
              name = "x", data = make(levels + 1),
            }
          end) do
            levels = levels + 1
          end
          return levels
        end
        local objects = most(function(n) return chain(n, 1) end)
        assert.is_true(objects >= 99 and objects <= 100, objects)
        assert.equal(objects, most(function(n)
          return { v = chain(n - 1, 1, 1) }
        end))
        assert.equal(objects, most(function(n)
          return { v = chain(n - 1, 1, 2 ^ 40) }
        end))
        assert.equal(objects, most(function(n)
          local value = 1
          for _ = 2, n do
            value = seerstack.array { value }
          end
          return { v = value }
        end))
      end)
  end)

  describe("that contains itself", function()
    it("is refused as too deep or too large", function()
      local direct, list, pair = {}, {}, { {}, {} }
      direct.k = direct
      list[1], list[2] = 1, list
      pair[1].other, pair[2].other = pair[2], pair[1]
      local fan = {}
      for i = 1, 10 do
        fan[i] = fan
      end
      local mixed = { 1, 2, x = 3 }
      mixed[3], mixed.y = mixed, mixed
      local marked = seerstack.array {}
      marked[3] = marked
      local values = { direct, list, pair[1], pair, fan, mixed, marked }
      for _, value in ipairs(values) do
        h.offer.everywhere(value, function()
          error "accepted"
        end, function(message)
          assert.is_true(is_too_much(message), message:sub(1, 200))
        end, { max_event_bytes = 2 ^ 20 })
      end
    end)

    it("may do so in its metatable, which is not sent", function()
      local value = { a = 1 }
      setmetatable(value, { __index = value, value = value })
      h.offer.arrives(value, { a = 1 })
    end)

    it("cannot be its own key", function()
      local value = {}
      value[value] = 1
      h.offer.is_refused(value, "", ": a table cannot be a key")
    end)
  end)

  describe("with metamethods", function()
    it("is sent as it is when they raise", function()
      local value = setmetatable({ a = 1, b = { 1, 2 } }, all(raise))
      h.offer.arrives(value, { a = 1, b = { 1, 2 } })
    end)

    it("is sent as it is when they yield, within a coroutine", function()
      local value = setmetatable({ a = 1 }, all(coroutine.yield))
      local run = coroutine.wrap(function()
        h.offer.arrives(value, { a = 1 })
        return "finished"
      end)
      assert.equal("finished", run())
    end)

    it("is sent as it is when it is the event, or its options", function()
      local event = setmetatable({ name = "x" }, all(raise))
      local options = setmetatable({ max_retries = 1 }, all(raise))
      local request = h.offer.to(h.offer.client(), function(client)
        return client.events.capture(event, options)
      end)
      assert.equal("x", request.body.name)
      local client = seerstack.new(setmetatable({ test_mode = true },
        all(raise)))
      assert.is_true(client.events.capture { name = "x" })
      assert.equal("x", client:captured()[1].body.name)
    end)

    it("has those of __gc and __close called by nobody but Lua", function()
      local calls = 0
      local function count()
        calls = calls + 1
      end
      local value = setmetatable({ a = 1 }, { __gc = count, __close = count })
      h.offer.arrives(value, { a = 1 })
      collectgarbage()
      assert.equal(0, calls)
      assert.equal(1, value.a)
    end)
  end)

  describe("that changes while it is read", function()
    it("may lose the entries of its weak tables", function()
      for _, mode in ipairs { "k", "v", "kv" } do
        local client = h.offer.client {
          before_send = function(event)
            collectgarbage()
            return event
          end,
        }
        for _ = 1, 20 do
          local weak = setmetatable({}, { __mode = mode })
          for i = 1, 200 do
            weak[i] = { i }
          end
          weak.kept = "kept"
          local request = h.offer.to(client, function()
            return client.events.capture { name = "x", data = { w = weak } }
          end)
          assert.equal("kept", request.body.data.w.kept)
        end
      end
    end)

    it("may be changed by before_send, and by what it keeps of it",
      function()
        local kept = {}
        local client = h.offer.client {
          before_send = function(event)
            for i = 1, 100 do
              kept[#kept + 1] = event
              event["k" .. i] = kept[#kept - 1] and "v" or nil
            end
            for key in pairs(event) do
              if key ~= "name" then
                event[key] = nil
              end
            end
            event.data = { n = { 1, 2 } }
            return event
          end,
        }
        local given = { name = "x", data = { a = 1 } }
        local request = h.offer.to(client, function()
          return client.events.capture(given)
        end)
        assert.same({ n = { 1, 2 } }, request.body.data)
        assert.same({ name = "x", data = { a = 1 } }, given)
      end)

    it("is refused when before_send has made it deep or a cycle", function()
      local client = h.offer.client {
        before_send = function(event)
          if event.name == "cycle" then
            event.data = event
          elseif event.name == "deep" then
            event.data = chain(100000, 1)
          end
          return event
        end,
      }
      for _, name in ipairs { "cycle", "deep" } do
        local request, message = h.offer.to(client, function()
          return client.events.capture { name = name }
        end)
        assert.is_nil(request)
        assert.matches("^data%..*more than 100 levels of tables$", message)
      end
    end)
  end)

  describe("that is sparse", function()
    it("is an object, with each key by its digits", function()
      h.offer.arrives({ [1] = "a", [2 ^ 53] = "b" },
        { ["1"] = "a", ["9007199254740992"] = "b" })
      h.offer.arrives({ [-1] = "a", [0] = "b", [0.5] = "c" },
        { ["-1"] = "a", ["0"] = "b", ["0.5"] = "c" })
    end)

    it("is refused at once when it is marked as an array", function()
      local value = seerstack.array { [2 ^ 53] = "b" }
      h.offer.everywhere(value, function()
        error "accepted"
      end, function(message)
        assert.equal(LARGE, message)
      end)
    end)
  end)

  describe("with a million keys", function()
    -- Instrumented code takes its time.
    local COUNT = os.getenv "SANITIZER" and 5e4 or 1e6
    local SHAPES = {
      ["in a list"] = function(t, i) t[i] = 1 end,
      ["that are names"] = function(t, i) t["k" .. i] = 1 end,
      ["with gaps"] = function(t, i) t[2 * i] = 1 end,
    }

    for name, make in pairs(SHAPES) do
      it(name .. " is refused, or arrives when there is room", function()
        local value = {}
        for i = 1, COUNT do
          make(value, i)
        end
        local place = h.offer.places[1]
        local function give(client)
          return place.give(client, value)
        end
        local request, message = h.offer.to(h.offer.client {
          max_event_bytes = COUNT,
        }, give)
        assert.is_nil(request)
        assert.matches("^event too large: more than %d+ bytes", message)
        request = assert(h.offer.to(h.offer.client {
          max_event_bytes = 2 ^ 26,
        }, give))
        local count = 0
        for _, one in pairs(place.find(request.body)) do
          count = count + one
        end
        assert.equal(COUNT, count)
      end)
    end
  end)

  describe("with keys that are no names", function()
    local REFUSED = {
      ["a boolean"] = true, ["a table"] = {}, ["a function"] = print,
      ["a thread"] = coroutine.create(function() end),
      ["a userdata"] = io.stdout,
    }

    for what, key in pairs(REFUSED) do
      it("is refused for " .. what, function()
        local problem = ": " .. what .. " cannot be a key"
        h.offer.is_refused({ [key] = 1 }, "", problem)
        h.offer.is_refused({ 1, 2, { a = 1, [key] = 1 } }, "[3]", problem)
      end)
    end

    it("is refused for NULL, and for LuaJIT's numbers", function()
      h.offer.is_refused({ [seerstack.null] = 1 }, "", ": a userdata cannot")
      local ffi = jit and require "ffi"
      if ffi then
        h.offer.is_refused({ [ffi.new("int64_t", 1)] = 1 }, "", ": a cdata")
        h.offer.is_refused({ [ffi.new "char[4]"] = 1 }, "", ": a cdata")
      end
    end)

    it("is refused for infinity", function()
      h.offer.is_refused({ [1 / 0] = 1 }, "", ": inf cannot be a key")
      h.offer.is_refused({ [-1 / 0] = 1 }, "", ": -inf cannot be a key")
    end)

    it("is refused when a number and a string collide", function()
      for _, number in ipairs { 1, -7, 0.5, 2 ^ 53, 1e100, 1e-7 } do
        local request = h.offer.to(h.offer.client(), function(client)
          return client:post("/p", { n = { [number] = 1, z = 0 } })
        end)
        -- As it is written, whatever the spelling.
        local text = request.json:match '"([^"]*)":1'
        for _, value in ipairs {
          { [number] = 1, [text] = 2 },
          { a = 1, [text] = 2, [number] = 1 },
        } do
          h.offer.is_refused({ n = value }, ".n", ": the keys " .. text
            .. ' and "' .. text .. '" collide')
        end
      end
    end)

    it("keeps names with any bytes", function()
      local value = { [""] = 1, ["\0"] = 2, ["a\r\n\"\\\0b"] = 3, ["."] = 4 }
      h.offer.arrives(value, value)
    end)
  end)
end)
