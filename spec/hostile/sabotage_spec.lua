-- A Lua state whose own parts are broken, and calls from odd places. What is
-- not promised: anything after debug.setmetatable has given a client's
-- metatable to something else, or debug.setuservalue, setupvalue and
-- getregistry have replaced what is the module's.

local h = require "spec.helper"
local seerstack = require "seerstack"

local jit = rawget(_G, "jit")

describe("a state", function()
  local api = h.standin()

  -- A program that is sabotaged before or after the module is loaded. It must
  -- send, wait, refuse and end as ever.
  local function run(before, after)
    return h.script.run {
      code = before .. "\n" .. [[
        local assert, print, write = assert, print, io.write
        local seerstack = require "seerstack"
      ]] .. after .. "\n" .. [[
        local failed
        local client = seerstack.new {
          rate_limit = false, default_data = { d = 1 }, log_level = "off",
          before_send = function(event) return event end,
          on_error = function(err, event) failed = err.status end,
        }
        assert(client.events.capture {
          name = "one", data = { v = { 1, 2.5, "x" } },
        })
        assert(client.users.identify { user_id = 7, name = "n" })
        local response, http = client.events.capture({ name = "two" },
          { wait = true })
        assert(http and http.status == 200, http)
        local ok, message, err = client.events.capture {
          name = "x", data = { f = print },
        }
        assert(not ok and err.name == "ValidationError")
        ok, message, err = client:post("/none", {}, { wait = true,
          max_retries = 0 })
        assert(not ok and err.status == 404)
        assert(client.events.capture({ name = "f" },
          { future = true }):get(20))
        assert(client.events.capture { name = "x", timestamp = "none" })
        assert(client:flush(20))
        assert(failed == 400)
        local stats = client:stats()
        assert(stats.delivered == 4 and stats.rejected == 2)
        assert(client:close(20))
        write "well"
      ]],
      env = h.environment(api.url, api.key),
    }
  end

  local function assert_well(before, after)
    local result = run(before, after)
    assert.equal("", result.stderr)
    assert.equal("well", result.stdout)
    assert.equal(0, result.status)
    assert.equal(4, api:count())
  end

  local BROKEN = {
    ["the libraries are gone"] = [[
      for _, name in ipairs { "string", "table", "math", "os", "coroutine" } do
        _G[name] = nil
        package.loaded[name] = nil
      end
    ]],
    ["the functions of the libraries raise"] = [[
      local function raise() error "called" end
      local spared = { require = 1, error = 1 }
      local pairs = pairs
      for _, library in pairs { string, table, math, os, _G } do
        for name in pairs(library) do
          if not spared[name] then
            library[name] = raise
          end
        end
      end
    ]],
    ["the functions of strings raise"] = [[
      local function raise() error "called" end
      -- The loader of modules itself needs gsub on some versions.
      for name in pairs(string) do
        if name ~= "gsub" then string[name] = raise end
      end
    ]],
    ["strings have another metatable"] = [[
      local function raise() error "called" end
      local metatable = { __index = raise, __tostring = raise, __len = raise,
        __concat = raise, __eq = raise, __name = 7 }
      debug.setmetatable("", metatable)
    ]],
    ["nil, booleans, numbers and functions have metatables"] = [[
      local function raise() error "called" end
      local metatable = { __index = raise, __newindex = raise,
        __tostring = raise, __len = raise, __eq = raise, __gc = raise,
        __close = raise, __name = {}, __metatable = 1 }
      for _, value in ipairs { true, 7, print } do
        debug.setmetatable(value, metatable)
      end
      debug.setmetatable(nil, metatable)
    ]],
    ["the global table has a metatable that raises"] = [[
      local function raise() error "called" end
      setmetatable(_G, { __index = raise, __newindex = raise })
    ]],
  }

  for what, code in pairs(BROKEN) do
    it("in which " .. what .. " is served as ever", function()
      assert_well("", code)
    end)
  end

  for _, what in ipairs {
    "the functions of strings raise", "strings have another metatable",
    "nil, booleans, numbers and functions have metatables",
  } do
    it("in which " .. what .. " before can load it", function()
      assert_well(BROKEN[what], "")
    end)
  end

  it("that loses lua-cjson and require afterwards is served as ever",
    function()
      assert_well("", [[
        local cjson = package.loaded.cjson
        for name in pairs(cjson) do
          cjson[name] = function() error "called" end
        end
        package.loaded.cjson = nil
        package.preload.cjson = function() error "no cjson" end
        require = nil
        collectgarbage()
      ]])
    end)

  -- `require` raises, and says of what.
  local BAD_CJSON = {
    ["missing"] = [[package.preload.cjson = function() error "none" end]],
    ["a number"] = "package.loaded.cjson = 7",
    ["a string"] = "package.loaded.cjson = 'cjson'",
    ["an empty table"] = "package.loaded.cjson = {}",
    ["without a working new"] =
      "package.loaded.cjson = { new = function() end }",
    ["one that raises"] = [[package.loaded.cjson = setmetatable({}, {
      __index = function() error "none" end })]],
    ["a function that yields"] =
      "package.loaded.cjson = { new = coroutine.yield }",
  }

  for what, code in pairs(BAD_CJSON) do
    it("in which lua-cjson is " .. what .. " gets an error", function()
      local result = h.script.run {
        code = "package.loaded.cjson = nil\n" .. code .. [[

          print(pcall(require, "seerstack"))
          package.loaded.cjson, package.preload.cjson = nil, nil
          package.loaded.seerstack = nil -- a mark of Lua 5.1
          print(type(require "seerstack"))
        ]],
        env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
      }
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
      assert.matches("^false\t.*\ntable\n$", result.stdout)
    end)
  end

  it("in which lua-cjson decodes to rubbish gets the text, or an error",
    function()
      for _, decode in ipairs {
        "function() end", "function() return print end",
        "function() error {} end", "7", "{}", "coroutine.yield",
        "function() return setmetatable({}, { __index = error }) end",
        "function() return ('x'):rep(2 ^ 20) end",
      } do
        local result = h.script.run {
          code = [[
            package.loaded.cjson = {
              new = function()
                return {
                  decode_max_depth = function() end,
                  decode = ]] .. decode .. [[

                }
              end,
            }
            local client = require "seerstack".new { rate_limit = false }
            local n = select("#", pcall(client.events.capture,
              { name = "a" }, { wait = true }))
            assert(n > 1)
            assert(client:stats().delivered == 1)
            local ok, message = pcall(client.post, client, "/none", { 1 },
              { wait = true })
            assert(client:stats().rejected == 1)
            assert(client:close(20))
            io.write "well"
          ]],
          env = h.environment(api.url, api.key),
        }
        assert.equal("", result.stderr)
        assert.equal("well", result.stdout)
      end
    end)
end)

describe("a call", function()
  local x = h.exchange()

  local WRONG = {
    nil, true, 7, "client", {}, print, coroutine.create(function() end),
    io.stdout, seerstack.null,
  }

  it("with a wrong self raises, and harms nothing", function()
    local future = x.client.events.capture({ name = "a" }, { future = true })
    local holder = getmetatable(x.client)
    WRONG[10], WRONG[11] = future, seerstack
    for i = 1, 11 do
      local wrong = WRONG[i]
      for _, name in ipairs {
        "flush", "close", "poll", "pump", "stats", "post", "captured",
        "with_options",
      } do
        local ok, message = pcall(x.client[name], wrong, "/x", {})
        assert.is_false(ok)
        assert.is_string(message)
      end
      for _, name in ipairs {
        "__index", "__gc", "__tostring", "__close",
      } do
        assert.is_false((pcall(holder[name], wrong, "x")))
      end
      for _, f in ipairs { future.done, future.get,
        getmetatable(future).__gc, getmetatable(future).__tostring } do
        if wrong ~= future then
          assert.is_false((pcall(f, wrong)))
          assert.is_false((pcall(f, x.client)))
        end
      end
      if wrong ~= nil then
        local ok = pcall(x.client.events.capture, wrong)
        assert.is_false(ok and type(wrong) ~= "table")
      end
    end
    x:settle()
  end)

  it("without any argument raises", function()
    local methods = { "flush", "close", "poll", "pump", "stats", "post",
      "captured", "with_options" }
    for _, name in ipairs(methods) do
      assert.is_false((pcall(x.client[name])))
    end
    assert.is_false((pcall(x.client.events.capture)))
    assert.is_false((pcall(x.client.users.identify)))
  end)

  it("from a finalizer is as good as any other", function()
    local results = {}
    local function finalize()
      results[#results + 1] = x.client.events.capture { name = "gc" }
      results[#results + 1] = x.client:stats().accepted
      results[#results + 1] = tostring(x.client)
    end
    if rawget(_G, "newproxy") then
      getmetatable(rawget(_G, "newproxy")(true)).__gc = finalize
    else
      setmetatable({}, { __gc = finalize })
    end
    collectgarbage()
    collectgarbage()
    assert.same({ true, 1, tostring(x.client) }, results)
    x:serve_requests(1)
  end)

  it("from a debug hook, within a call of the same client, is as good",
    function()
      if jit then
        jit.off()
      end
      local inside, calls = false, 0
      debug.sethook(function()
        if not inside and calls < 200 then
          inside = true
          calls = calls + 1
          assert(x.client.events.capture { name = "hook" })
          inside = false
        end
      end, "crl", 1)
      for _ = 1, 20 do
        x.client.events.capture { name = "a", data = { 1, k = { 2 } } }
        x.client.users.identify { user_id = 1 }
        x.client:stats()
        x.client:poll()
      end
      debug.sethook()
      if jit then
        jit.on()
      end
      assert.is_true(calls > 50)
      assert.equal(calls + 40, x:settle().delivered)
    end)

  it("from a hook that raises leaves the client as it was", function()
    if jit then
      jit.off()
    end
    local accepted = 0
    for n = 1, 60 do
      local left = n
      pcall(function()
        debug.sethook(function()
          left = left - 1
          if left == 0 then
            debug.sethook()
            error("hook", 0)
          end
        end, "crl", 1)
        if x.client.events.capture { name = "a", data = { b = { n } } } then
          accepted = accepted + 1
        end
        debug.sethook()
      end)
    end
    if jit then
      jit.on()
    end
    local stats = x:settle()
    assert.is_true(stats.delivered >= accepted)
    assert.is_true(x.client.events.capture { name = "after" })
    x:settle()
    assert.equal("after", x:names()[#x.requests])
  end)

  it("from a metamethod of a comparison, a sort or a gsub is as good",
    function()
      local capture = x.client.events.capture
      local list = {}
      for i = 1, 20 do
        list[i] = { i = (i * 7) % 20 }
      end
      table.sort(list, function(a, b)
        assert(capture { name = "sort" })
        return a.i < b.i
      end)
      local count = x.client:stats().accepted;
      ("abc"):gsub(".", function(c)
        assert(capture { name = c })
      end)
      local shown = tostring(setmetatable({}, {
        __tostring = function()
          assert(capture { name = "shown" })
          return "shown"
        end,
      }))
      assert.equal("shown", shown)
      assert.equal(count + 4, x:settle().delivered)
    end)

  it("deep in the stack of C or Lua is accepted, or refused with an error",
    function()
      local accepted, refused = 0, 0
      local function go(depth)
        local ok, result, message = pcall(x.client.events.capture,
          { name = "deep", data = { a = { { 1 } } } })
        if ok and result then
          accepted = accepted + 1
        else
          refused = refused + 1
          assert(type(ok and message or result) == "string")
        end
        if depth > 0 then
          pcall(string.gsub, "x", "x", function() go(depth - 1) end)
        end
      end
      go(190)
      local function down(depth)
        if depth > 0 then
          return 1 + down(depth - 1)
        end
        return x.client.events.capture { name = "down" } and 0 or 0
      end
      assert.equal(15000, down(15000))
      pcall(function()
        local function over(depth)
          if depth % 1000 == 0 then
            x.client.events.capture { name = "over" }
          end
          return 1 + over(depth + 1)
        end
        return over(1)
      end)
      local stats = x.client:stats()
      assert.is_true(stats.accepted >= accepted + 1)
      assert.is_true(refused == 0 or accepted > 0)
      assert.is_true(x.client.events.capture { name = "after" })
      assert.equal(stats.accepted + 1, x:settle().delivered)
    end)
end)
