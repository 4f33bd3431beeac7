-- When callbacks hear of what has come up, how much of it is kept until
-- then, and what ends it.

local h = require "spec.helper"

local x = h.exchange()
local calls

local function no()
  return 400, nil, "no"
end

-- Gives the exchange a client whose on_error keeps the names of the events
-- in `calls`.
local function listen(options)
  local all = h.merge({
    log_level = "off", max_in_flight = 1, on_error = function(_, event)
      calls[#calls + 1] = event.name
    end,
  }, options)
  calls = {}
  x:use(all)
  return x.client
end

-- Has events rejected, which nobody hears of yet.
local function lose(count, prefix)
  local before = h.adds_up(x.client).rejected
  x:capture_many(count, prefix)
  assert.equal(before + count, x:settle(no).rejected)
end

local function names(first, last, prefix)
  local list = {}
  for i = first, last do
    list[#list + 1] = (prefix or "n") .. i
  end
  return list
end

-- For programs of their own: settle(client) waits until nothing is pending,
-- without asking for what has come up, and resident() is in KiB.
local SETTLE = [[
  local function settle(client)
    while client:stats().pending > 0 do
      require "socket".sleep(0.002)
    end
  end
]]
local RESIDENT = [[
  local function resident()
    local file = io.open "/proc/self/status"
    local text = file:read "*a"
    file:close()
    return tonumber(text:match "VmRSS:%s*(%d+)")
  end
]]

describe("a loss", function()
  it("is told in poll, in the order in which it came", function()
    local client = listen()
    lose(3)
    assert.same({}, calls)
    assert.equal(3, client:poll())
    assert.same(names(1, 3), calls)
    lose(1, "later")
    assert.equal(1, client:poll())
    assert.equal(0, client:poll())
    assert.same({ "n1", "n2", "n3", "later1" }, calls)
  end)

  it("is told in flush, close, get and where an answer is waited for",
    function()
      local function pending()
        return x:ask("future")
      end
      local ways = {
        flush = function(client) assert.is_true(client:flush(0)) end,
        close = function(client) assert.is_true(client:close(0)) end,
        get = function(_, future) future:get(0) end,
        wait = function(client)
          client.events.capture({ name = "waits" },
            { wait = true, timeout = 0.01, max_retries = 0 })
        end,
      }
      for name, way in pairs(ways) do
        local client = listen()
        lose(2)
        way(client, name == "get" and pending() or nil)
        assert.same(names(1, 2), calls, name)
        assert.equal(0, client:poll(), name)
      end
    end)

  it("is told by a flush that was not long enough", function()
    local client = listen { initial_retry_delay = 40, max_retry_delay = 40 }
    lose(1)
    x:capture "kept"
    local _, _, err = client:flush(0)
    assert.equal("TimeoutError", err.name)
    assert.same({ "n1" }, calls)
  end)

  it("is told by a future that was asked before", function()
    listen()
    local future = x:ask("future")
    x:settle()
    assert.is_table((future:get()))
    lose(1)
    assert.is_table((future:get()))
    assert.same({ "n1" }, calls)
  end)

  it("is told nowhere else", function()
    local client = listen()
    lose(1)
    local future = h.ask(client, "future")
    client.events.capture { name = "a" }
    client.users.identify { user_id = "u" }
    client:post("/p", {})
    client.events.capture { name = "" }
    client.events.capture({ name = "f" }, { future = true })
    future:done()
    client:stats()
    client:captured()
    assert.is_string(tostring(client) .. tostring(future))
    client:with_options {}:poll()
    h.collect()
    assert.same({}, calls)
    assert.equal(2, client:poll())
    assert.same({ "n1", "" }, calls)
  end)

  it("is told after close", function()
    local client = listen()
    x:capture "late"
    client:close(0)
    x:settle(no)
    assert.same({}, calls)
    assert.equal(1, client:poll())
    assert.same({ "late" }, calls)
  end)

  it("is told in a coroutine, too", function()
    local client = listen()
    lose(2)
    local polled = coroutine.wrap(function()
      coroutine.yield(client:poll())
    end)()
    assert.equal(2, polled)
    assert.same(names(1, 2), calls)
  end)

  it("is told by the default client's poll", function()
    local child = x:child({ code = [[
      seerstack.configure {
        log_level = "off", on_error = function(err, event)
          print(event.name, err.message)
        end,
      }
      print(seerstack.poll())
      seerstack.capture { name = "a.b" }
      while seerstack.stats().rejected == 0 do
        require "socket".sleep(0.002)
      end
      print(seerstack.poll())
      print(seerstack.poll())
    ]] }, no)
    assert.equal("0\na.b\t400 no\n1\n0\n", child.stdout)
  end)
end)

describe("unheard losses", function()
  it("are kept up to 64, the newest, and others are counted as missed",
    function()
      local client = listen()
      lose(64)
      assert.equal(0, client:stats().missed)
      lose(36, "more")
      assert.equal(36, client:stats().missed)
      assert.equal(64, client:poll())
      local expected = names(37, 64)
      for _, name in ipairs(names(1, 36, "more")) do
        expected[#expected + 1] = name
      end
      assert.same(expected, calls)
      assert.equal(36, client:stats().missed)
    end)

  it("do not count any more once they are heard", function()
    local client = listen()
    for round = 1, 3 do
      lose(40, "r" .. round .. ".")
      assert.equal(40, client:poll())
    end
    assert.equal(0, client:stats().missed)
    assert.equal(120, #calls)
  end)

  it("are missed by each client on its own", function()
    local client = listen()
    local other = client:with_options {}
    lose(70)
    assert.equal(6, client:stats().missed)
    assert.equal(0, other:stats().missed)
  end)

  it("are not counted where nobody listens", function()
    local client = listen { on_error = false }
    lose(70)
    assert.equal(0, client:stats().missed)
    assert.equal(0, client:poll())
  end)

  it("occupy max_event_bytes at most, or are one", function()
    local client = listen { max_event_bytes = 4000 }
    local function lose_big(name, size)
      x:capture(name, { text = ("x"):rep(size) })
      x:settle(no)
    end
    for i = 1, 5 do
      lose_big("big" .. i, 1200)
    end
    lose_big("small", 10)
    assert.equal(3, client:stats().missed)
    assert.equal(3, client:poll())
    assert.same({ "big4", "big5", "small" }, calls)
    lose_big("all", 3800)
    assert.equal(1, client:poll())
    assert.equal("all", calls[4])
    assert.equal(3, client:stats().missed)
  end)

  it("of an endless stream cost no memory", function()
    local child = x:child({ code = SETTLE .. RESIDENT .. [[
      local client = seerstack.new {
        log_level = "off", rate_limit = false, max_event_bytes = 200000,
        on_error = function() end,
      }
      local event = { name = "a", data = { text = ("x"):rep(50000) } }
      local function lose(count)
        for _ = 1, count do
          assert(client.events.capture(event))
          settle(client)
        end
      end
      lose(20)
      local before = resident()
      lose(100)
      print(client:stats().missed, resident() - before)
    ]] }, no)
    local missed, growth = child.stdout:match "^(%d+)\t(%-?%d+)\n$"
    assert.equal("117", missed)
    -- KiB; of 5,000. A sanitizer keeps what was freed for a while.
    local limit = os.getenv "SANITIZER" and 20000 or 1500
    assert.is_true(tonumber(growth) < limit, growth .. " KiB more")
  end)

  it("are freed with their client", function()
    local child = x:child({ code = SETTLE .. RESIDENT .. [[
      local text = ("x"):rep(100000)
      local function leave(count)
        for _ = 1, count do
          local client = seerstack.new {
            log_level = "debug", rate_limit = false,
            on_error = function() end, logger = function() end,
          }
          for _ = 1, 2 do
            client.events.capture { name = "a", data = { text = text } }
          end
          settle(client)
          client = nil
          collectgarbage()
          collectgarbage()
        end
      end
      leave(10)
      local before = resident()
      leave(60)
      print(resident() - before)
    ]] }, no)
    -- KiB; of 12,000.
    local limit = os.getenv "SANITIZER" and 20000 or 4000
    assert.is_true(tonumber(child.stdout) < limit, child.stdout)
  end)
end)

describe("on_error that raises", function()
  local function run(options, final)
    return x:child({ code = SETTLE .. [[
      local count = 0
      local client = seerstack.new {
        max_in_flight = 1, ]] .. options .. [[,
        on_error = function(err, event)
          count = count + 1
          ]] .. final .. [[
        end,
      }
      for i = 1, 5 do client.events.capture { name = "n" .. i } end
      settle(client)
      print(client:poll(), count)
      client.events.capture { name = "last" }
      print(client:flush(10), count)
      print(client:stats().rejected, client:poll())
    ]] }, no)
  end

  it("is told of once, and called for the other losses", function()
    for final, reason in pairs {
      ["error('my reason', 0)"] = "my reason",
      ["error()"] = _VERSION > "Lua 5.4" and "<no error object>" or "nil",
      ["error(setmetatable({}, { __tostring = error }))"] = "table",
      ["coroutine.yield()"] = "[^\n]*attempt to yield[^\n]*",
    } do
      local child = run('log_level = "warn", logger = print', final)
      assert.matches("^seerstack: warn: on_error failed: " .. reason
        .. "\n$", child.stderr)
      assert.equal("6\t5\ntrue\t6\n6\t0\n",
        (child.stdout:gsub("error\tevent rejected[^\n]*\n", "")))
    end
  end)

  it("is not told of below its level", function()
    for _, level in ipairs { "error", "off" } do
      local child = run('log_level = "' .. level .. '", logger = print',
        "error 'x'")
      assert.equal("", child.stderr)
    end
  end)

  it("does not break the line", function()
    local child = run('log_level = "warn", logger = print',
      [[error("one\ntwo\r" .. ("x"):rep(1e5), 0)]])
    assert.matches("^seerstack: warn: on_error failed: one two x+\n$",
      child.stderr)
    assert.is_true(#child.stderr < 1000)
  end)
end)

describe("the end of a process", function()
  it("is told to nobody", function()
    local child = x:child({ code = [[
      keep = seerstack.new {
        exit_timeout = 0, initial_retry_delay = 40, max_retry_delay = 40,
        on_error = print, logger = print,
      }
      keep.events.capture { name = "a.b" }
      while not keep:stats().last_error do
        require "socket".sleep(0.002)
      end
    ]] }, function() return 500, nil, "ill" end)
    assert.equal("", child.stdout)
    assert.matches("^seerstack: error: 1 event was not delivered before "
      .. "exit: [^\n]+\n$", child.stderr)
  end)
end)

describe("a fork", function()
  it("leaves what is unheard to the parent", function()
    local child = x:child({ env = h.NO_LEAKS, code = [[
      local who, heard = "parent", {}
]] .. SETTLE .. [[
      local client = seerstack.new {
        log_level = "debug", on_error = function(_, event)
          heard[#heard + 1] = event.name
        end,
        logger = function() end,
      }
      for _ = 1, 70 do
        client.events.capture { name = "before" }
      end
      settle(client)
      local missed = client:stats().missed > 0
      socket.sleep(0.1) -- the sender goes to sleep, see fork_spec
      local pid = native.fork()
      if pid == 0 then
        who = "child"
        assert(missed and client:poll() == 0 and #heard == 0)
        assert(client:stats().missed == 0)
        client.events.capture { name = "child" }
        settle(client)
        client:poll()
      else
        assert(native.wait(pid) == 0)
        client:poll()
      end
      print(who, #heard, heard[#heard])
      io.stdout:flush()
      native.exit(0)
    ]] }, no)
    assert.equal("child\t1\tchild\nparent\t64\tbefore\n", child.stdout)
    assert.equal("", child.stderr)
  end)
end)
