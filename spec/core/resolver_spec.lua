local h = require "spec.helper"
local socket = require "socket"

-- A host whose address must be asked for: "localhost" would need not.
local NAMED = "http://api.test"

-- 1,000 captures, all of them before any has been sent.
local CAPTURE = [[
  local client = seerstack.new { %s }
  capture(client, 1, 1000)
  assert(client:stats().pending == 1000)
  tell "captured"
]]

-- What nobody waits for takes longer than a program may.
local LONG, LONGEST = 60 * h.slow, 30

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
      timeout = LONGEST,
    }
  end

  local function assert_captured(result)
    assert.equal(0, result.status, result.stderr)
    assert.matches("^captured\n", result.stdout)
  end

  local function assert_told(result, count)
    local _, lines = result.stderr:gsub("not delivered before exit", "")
    assert.equal(1, lines)
    assert.matches("seerstack: error: " .. count
      .. " events were not delivered before exit: ", result.stderr)
  end

  it("returns before the server has answered anything", function()
    local server = h.server.new()
    local child = start(server.url, CAPTURE:format("exit_timeout = 0")
      .. "while client:stats().pending == 1000 do socket.sleep(0.01) end")
    assert(server:serve {
      handler = h.hold,
      until_ = function()
        return #server.requests == 16 and child:stdout() ~= ""
      end,
      deadline = 20,
    })
    assert.is_false(child:done())
    for _, peer in ipairs(server.connections) do
      peer:respond(h.ok())
      peer.busy = false
    end
    assert(server:serve {
      handler = h.ok, until_ = function() return child:done() end,
      deadline = 20,
    })
    server:close()
    assert_captured(child:wait())
  end)

  it("returns at once while the resolver hangs", function()
    local child = start(NAMED, CAPTURE:format("exit_timeout = 0"), LONG)
    local result = child:wait()
    assert_captured(result)
    assert_told(result, 1000)
  end)

  it("returns at once after the resolver has hung for a while", function()
    -- If each waited as long as a connection may take, they would take longer
    -- than the program may.
    local child = start(NAMED, [[
      local client = seerstack.new {
        exit_timeout = 0, connect_timeout = 0.5, initial_retry_delay = 0.01,
      }
      repeat
        capture(client, 1, 1)
        socket.sleep(0.01)
      until client:stats().last_error
      for _ = 1, 100 do
        capture(client, 1, 1)
        socket.sleep(0.01)
      end
      tell "captured"
    ]], LONG)
    assert_captured(child:wait())
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
      local client = seerstack.new { exit_connect_timeout = 10 }
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
      for i = 1, 20 do
        local pid = native.fork()
        if pid == 0 then
          assert(client.events.capture { name = "a.b" })
          native.exit(0)
        end
        assert(native.wait(pid) == 0)
      end
    ]], LONG)
    local result = child:wait()
    assert_captured(result)
    assert_told(result, 1000)
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
    assert_captured(result)
    assert_told(result, 1000)
  end)
end)
