-- The collector at every moment at which it can run, and what finalizers do
-- then.

local h = require "spec.helper"

describe("the collector", function()
  local api = h.standin()

  -- All that the module does, in one program.
  local SCENARIO = [=[
    local hungry = ...
    local seerstack = require "seerstack"
    local long = ("x\255\n"):rep(500) -- by a buffer that gives up at once
    hungry(true)
    local url, key = os.getenv "SEERSTACK_BASE_URL",
      os.getenv "SEERSTACK_API_KEY"
    local told, failed = 0, 0
    local client = seerstack.new {
      api_key = key, base_url = url, rate_limit = false,
      headers = { ["X-A"] = "b", ["X-C"] = 7 },
      query = { a = 1 }, default_data = { d = { 1 } },
      default_attributes = { plan = "p" }, log_level = "debug",
      logger = function(level, message, fields)
        told = told + 1
        assert(level .. message .. fields.url)
      end,
      on_error = function(err, event, body)
        failed = failed + 1
        assert(err.name == "BadRequestError", err.name)
        assert(event.data ~= nil and #body > 0)
      end,
      before_send = function(event)
        event.extra = { #tostring(event) > 0 }
        return event
      end,
    }
    local deep = { "end" }
    for i = 1, 50 do
      deep = { deep, k = i, [i + 0.5] = "f", ["1e5" .. i] = false }
    end
    local shapes = {
      {}, { a = 1 }, { v = { 1, 2, 3 } }, { v = deep },
      { v = seerstack.array {} }, { v = seerstack.null, w = 0.1 },
      { v = long, [7] = 1, [-2.5] = { {} } },
      { v = { 1, 2, { 3, [5] = 1 }, x = true } },
    }
    for i = 1, 3 do
      for j, data in ipairs(shapes) do
        assert(client.events.capture {
          name = "e" .. i .. "." .. j, user_id = 7 * j, data = data,
          timestamp = j % 2 == 0 and 1e9 + 0.5 or nil, other = { j },
        })
      end
      assert(client.users.identify {
        user_id = "u", email = "e", name = "n", attributes = { i = i },
      })
    end
    for _, data in ipairs { { f = print }, { [true] = 1 }, { v = { print } },
      { [1] = 1, ["1"] = 2 } } do
      local ok, message, err = client.events.capture {
        name = "x", data = data,
      }
      assert(ok == nil and message == err.message and tostring(err))
      assert(err.name == "ValidationError")
    end
    assert(not pcall(seerstack.new, { flushat = 1 }))
    assert(not pcall(client.events.capture, 1))
    local response, http = assert(client.events.capture({ name = "w" },
      { wait = true, headers = { ["X-B"] = "c" }, query = { q = 1 },
        extra_body = { data = { more = {} } } }))
    assert(response.success and http.status == 200 and http.headers.date)
    local future = client:post("/capture", { name = "f" }, { future = true })
    assert(tostring(future) and (future:done() or true))
    assert(future:get(60).success)
    local nothing, message, err = client:post("/none", { 1 },
      { wait = true, max_retries = 0 })
    assert(nothing == nil and err.status == 404 and err.headers, message)
    assert(client.events.capture { name = "bad", timestamp = "no time" })
    assert(client:flush(60))
    local other = client:with_options { default_data = { o = 1 } }
    assert(other.events.capture { name = "other" })
    assert(other:close(60))
    client:poll()
    assert(told > 0, "nothing was told")
    assert(failed == 5, "on_error was called " .. failed .. " times")
    local stats = client:stats()
    assert(stats.accepted == 31 and stats.pending == 0 and
      stats.delivered == 29 and stats.rejected == 2,
      stats.accepted .. " " .. stats.delivered .. " " .. stats.rejected)
    local test = seerstack.new { test_mode = true }
    assert(test.events.capture { name = "x", data = shapes[4] })
    assert(test:captured()[1].body.data.v)
    seerstack.configure { api_key = key, base_url = url, headers = { A = 1 } }
    assert(seerstack.capture { name = "default" })
    assert(seerstack.identify { user_id = 1 })
    assert(seerstack.flush(60) and seerstack.stats().delivered == 2)
    local abandoned = seerstack.new { api_key = key, base_url = url }
    assert(abandoned.events.capture({ name = "a" }, { future = true }))
    abandoned.events.capture { name = "b" }
    abandoned = nil
    collectgarbage()
    assert(seerstack.close(60) and client:close(60))
  ]=]

  local function run(code)
    local result = h.script.run {
      code = code,
      env = h.environment(api.url, api.key),
      timeout = 300,
    }
    assert.equal("", (result.stderr:gsub("seerstack: [^\n]*\n", "")))
    assert.equal(0, result.status)
    return result
  end

  -- In Lua 5.1 there is no memory for a state whose allocator has none at
  -- once, in 5.2 none for its finalizers; there the collector is made to run
  -- whenever it looks whether to.
  if _VERSION < "Lua 5.3" then
    it("may run whenever it may", function()
      local result = run("assert((loadstring or load)([==[" .. SCENARIO
        .. [=[]==]))(require "spec.support.collecting".always)
      print "well"]=])
      assert.equal("well\n", result.stdout)
      assert.equal(34, api:count())
    end)
  else
    it("may run at every allocation", function()
      local result = run("print(require 'seer_spec_starved'.run [==["
        .. SCENARIO .. "]==])")
      assert.is_true(tonumber(result.stdout) > 2000, result.stdout)
      assert.equal(34, api:count())
    end)
  end

  it("may run a finalizer that captures, and test mode keeps both", function()
    local result = run [=[
      local seerstack = require "seerstack"
      local collecting = require "spec.support.collecting"
      local function attack(n)
        local client = seerstack.new { test_mode = true }
        client.events.capture { name = "first" }
        local steps = 0
        local stop = collecting.at_each_step(function()
          steps = steps + 1
          if steps == n then client.events.capture { name = "nested" } end
        end)
        client.events.capture { name = "outer" }
        stop()
        local delivered, kept = client:stats().delivered, #client:captured()
        assert(delivered == kept, n .. ": " .. delivered .. ", " .. kept)
        return steps >= n
      end
      local n = 1
      while n < 200 and attack(n) do n = n + 1 end
      print(n)
    ]=]
    assert.is_true(tonumber(result.stdout) > 1)
  end)

  it("may run a finalizer that ends the client that is being made", function()
    local result = run [=[
      local seerstack = require "seerstack"
      local collecting = require "spec.support.collecting"
      -- Ends the clients among what the functions that run have in hand.
      local function search(level)
        local found, i = 0, 1
        local name, value = debug.getlocal(level, i)
        while name do
          local metatable = type(value) == "userdata" and getmetatable(value)
          if metatable and metatable.__name == "seerstack.client" then
            metatable.__gc(value)
            found = found + 1
          end
          i = i + 1
          name, value = debug.getlocal(level, i)
        end
        return found
      end
      local function attack(n)
        local steps, found = 0, 0
        local stop = collecting.at_each_step(function()
          steps = steps + 1
          local level = 2
          while steps == n and debug.getinfo(level, "S") do
            found = found + search(level)
            level = level + 1
          end
        end)
        local client = seerstack.new { log_level = "info" }
        stop()
        tostring(client)
        return steps >= n, found
      end
      local n, total, more, found = 0, 0, true, nil
      while more and n < 200 do
        n = n + 1
        more, found = attack(n)
        total = total + found
      end
      print(total)
    ]=]
    -- The collector of Lua 5.2 cannot be made to take a step each time.
    assert.is_true(_VERSION == "Lua 5.2" or tonumber(result.stdout) > 0)
  end)

  local DEEDS = { "finalizes", "closes", "captures", "abandons", "polls" }
  for _, deed in ipairs(DEEDS) do
    it("may run a finalizer that " .. deed .. " at any step of a call",
      function()
        local result = run("print(require 'spec.support.attack'('" .. deed
          .. "'))")
        -- The collector of Lua 5.2 cannot be made to take a step each time.
        local least = (_VERSION == "Lua 5.2" or os.getenv "SANITIZER")
          and 100 or 300
        assert.is_true(tonumber(result.stdout) > least, result.stdout)
      end)
  end
end)
