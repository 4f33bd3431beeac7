local h = require "spec.helper"
local socket = require "socket"

-- A host whose address must be asked for: "localhost" would need not.
local NAMED = "http://api.test"

-- 1,000 captures, timed as a whole.
local CAPTURE = [[
  local client = seerstack.new { %s }
  local begun = socket.gettime()
  capture(client, 1, 1000)
  print(socket.gettime() - begun)
  io.stdout:flush()
]]

describe("capture", function()
  local function start(url, code, delay)
    return h.start {
      code = code,
      env = h.environment(url, "sk_test_x", h.merge(h.NO_LEAKS, {
        LD_PRELOAD = delay and h.preload "resolver",
        SEER_RESOLVER_DELAY = delay,
        http_proxy = false,
        all_proxy = false,
        ALL_PROXY = false,
      })),
      timeout = 30,
    }
  end

  local function seconds_of(child)
    return tonumber(h.wait(function()
      return child:stdout():match("^(%S+)\n")
    end, 10))
  end

  local function assert_told(result, count)
    local _, lines = result.stderr:gsub("not delivered before exit", "")
    assert.equal(1, lines)
    assert.matches("seerstack: error: " .. count
      .. " events were not delivered before exit: ", result.stderr)
  end

  -- Each answer takes 5 s, so that one wait of 1,000 would show.
  it("returns at once while the server takes 5 s to answer", function()
    local server = h.server.new()
    local child = start(server.url, CAPTURE:format("exit_timeout = 0")
      .. "assert(client:stats().pending == 1000)\n"
      .. "while client:stats().pending == 1000 do socket.sleep(0.01) end")
    assert(server:serve {
      handler = function() return "delay", 5, 200, nil, "{}" end,
      until_ = function() return child:done() end,
      deadline = 20,
    })
    server:close()
    local result = child:wait()
    assert.is_true(seconds_of(child) < h.slow)
    assert.is_true(result.seconds >= 5)
    assert.is_true(#server.requests >= 16)
  end)

  it("returns at once while the resolver hangs", function()
    local child = start(NAMED, CAPTURE:format("exit_timeout = 0"), 20)
    local result = child:wait()
    assert.is_true(seconds_of(child) < h.slow)
    assert_told(result, 1000)
    h.assert_in_time(result, 3)
  end)

  it("returns at once after the resolver has hung for a while", function()
    local child = start(NAMED, [[
      local client = seerstack.new {
        exit_timeout = 0, connect_timeout = 0.5, initial_retry_delay = 0.01,
      }
      local slowest, last = 0, socket.gettime() + 3
      while socket.gettime() < last do
        local begun = socket.gettime()
        assert(client.events.capture { name = "a.b" })
        slowest = math.max(slowest, socket.gettime() - begun)
        socket.sleep(0.01)
      end
      assert(client:stats().last_error)
      print(slowest)
    ]], 20)
    local result = child:wait()
    assert.equal(0, result.status)
    assert.is_true(seconds_of(child) < h.slow)
    h.assert_in_time(result, 6)
  end)

  it("and exit give a hanging resolver 2 s, then tell", function()
    local child = start(NAMED, CAPTURE:format("exit_timeout = 10"), 20)
    local result = child:wait()
    assert_told(result, 1000)
    assert.is_true(result.seconds >= 2)
    h.assert_in_time(result, 5)
  end)

  it("and exit deliver when the resolver is merely slow", function()
    local server = h.server.new()
    local child = start(NAMED .. ":" .. server.port, [[
      local client = seerstack.new()
      assert(client.events.capture { name = "a.b" })
    ]], 1)
    assert(server:serve {
      handler = function() return 200, nil, "{}" end,
      until_ = function() return child:done() end,
      deadline = 20,
    })
    server:close()
    local result = child:wait()
    assert.not_matches("not delivered", result.stderr)
    assert.is_true(result.seconds >= 1)
    assert.equal(1, #server.requests)
    assert.equal("api.test:" .. server.port,
      server.requests[1].headers["host"])
  end)

  it("and fork return at once while the resolver hangs", function()
    local child = start(NAMED, CAPTURE:format("exit_timeout = 0.2") .. [[
      begun = socket.gettime()
      for i = 1, 20 do
        local pid = native.fork()
        if pid == 0 then
          assert(client.events.capture { name = "a.b" })
          native.exit(0)
        end
        assert(native.wait(pid) == 0)
      end
      print(socket.gettime() - begun)
    ]], 20)
    local result = child:wait()
    assert.equal(0, result.status)
    local forked = tonumber(result.stdout:match("\n(%S+)\n"))
    assert.is_true(forked < 10 * h.slow)
    assert_told(result, 1000)
    h.assert_in_time(result, 15)
  end)

  it("does not wait for a server that accepts no connection", function()
    local listener = assert(socket.bind("127.0.0.1", 0, 0))
    local _, port = listener:getsockname()
    local first = assert(socket.connect("127.0.0.1", port))
    local child = start("http://127.0.0.1:" .. port,
      CAPTURE:format("exit_timeout = 0"))
    local result = child:wait()
    first:close()
    listener:close()
    assert.is_true(seconds_of(child) < h.slow)
    assert_told(result, 1000)
  end)
end)
