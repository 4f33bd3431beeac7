local h = require "spec.helper"
local socket = require "socket"

-- capture(first, last, client) captures numbered events; tell(...) prints a
-- line at once; stay() keeps the process there until it is killed. The time to
-- deliver grows where all is slow.
local PREAMBLE = [[
  local options = { thread = false, %s }
  options.exit_timeout = (options.exit_timeout or 10) * ]] .. h.slow .. [[

  local client = seerstack.new(options)
  local function capture(first, last, other)
    for i = first, last do
      assert((other or client).events.capture {
        name = "a.b", data = { i = i },
      })
    end
  end
  local function stay() while true do end end
]]

describe("a process without a thread", function()
  local server = h.standin()
  local children

  before_each(function()
    server:config {
      delay = false, fail_status = false, fail_count = false,
      key = "sk_test_standin",
    }
    server:reset()
    children = {}
  end)

  after_each(function()
    for _, child in ipairs(children) do
      child:finish()
    end
  end)

  local function start(options, code, env, prefix)
    local child = h.start {
      code = PREAMBLE:format(options) .. code, timeout = 25, prefix = prefix,
      env = h.environment(server.url, "sk_test_standin", env),
    }
    children[#children + 1] = child
    return child
  end

  local function run(...)
    return h.ended_well(start(...))
  end

  local function wait_for_line(child, line)
    h.wait(function()
      return ("\n" .. child:stdout()):find("\n" .. line .. "\n", 1, true)
    end, 10, 0.005, line)
  end

  it("has none while it sends, nor before, nor after", function()
    server:config { delay = 0.5 }
    local child = start("", [[
      tell "before"
      capture(1, 20)
      assert(client:flush(20))
      tell "after"
      stay()
    ]])
    wait_for_line(child, "before")
    assert.same({}, h.process.threads(child:pid()))
    h.wait(function() return server:status().requests > 0 end, 10)
    assert.same({}, h.process.threads(child:pid()))
    assert.is_true(#h.process.tcp_sockets(child:pid()) > 0)
    wait_for_line(child, "after")
    assert.same({}, h.process.threads(child:pid()))
    h.assert_received(server, 20)
  end)

  describe("delivers 900 events, once each, at its end", function()
    local function check(ending, status)
      local result = start("exit_timeout = 15", "capture(1, 900)\n"
        .. (ending or "")):wait()
      assert.equal(status or 0, result.status)
      h.assert_in_time(result, 12)
      h.assert_received(server, 900)
      return result.stderr
    end

    it("when the script just ends", function()
      assert.equal("", check())
    end)

    it("when it ends by an error", function()
      assert.matches("the script's own", check('error "the script\'s own"', 1))
    end)

    it("by os.exit(3), and keeps the exit code", function()
      assert.equal("", check("os.exit(3)", 3))
    end)

    it("by os.exit(0, true), which closes the state where Lua can", function()
      assert.equal("", check("os.exit(0, true)"))
    end)

    it("when the client was collected before", function()
      assert.equal("", check("client = nil collectgarbage() "
        .. "collectgarbage()"))
    end)

    it("when some are in flight, and some delivered", function()
      assert.equal("", check("while client:pump() > 500 do end"))
    end)
  end)

  it("delivers thousands of events at its end without a rate limit", function()
    -- memcheck has no time for more.
    local count = os.getenv "SANITIZER" == "valgrind" and 1500 or 5000
    run("rate_limit = false, exit_timeout = 20", ("capture(1, %d)")
      :format(count))
    h.assert_received(server, count)
  end)

  it("delivers what is on the default client", function()
    run("", [[
      seerstack.configure { thread = false }
      for i = 1, 40 do
        assert(seerstack.capture { name = "a.b", data = { i = i } })
      end
      while seerstack.pump() > 20 do end
      assert(seerstack.stats().sender == "none")
    ]])
    h.assert_received(server, 40)
  end)

  describe("ends in time", function()
    local function lost(result)
      return tonumber(result.stderr:match("error: (%d+) events? w%l+ not "
        .. "delivered before exit: "))
    end

    it("when the rate limit holds the rest too long", function()
      local result = start("rate_limit = 100", "capture(1, 300)"):wait()
      assert.equal(205, lost(result))
      assert.matches("the rate limit allows no more", result.stderr)
      h.assert_in_time(result, 5)
      h.assert_received(server, 95)
    end)

    it("when nobody listens", function()
      local bound = assert(socket.tcp())
      assert(bound:bind("127.0.0.1", 0))
      local _, port = bound:getsockname()
      local result = start("", "capture(1, 50)",
        { SEERSTACK_BASE_URL = "http://127.0.0.1:" .. port }):wait()
      bound:close()
      assert.equal(50, lost(result))
      h.assert_in_time(result, 5)
    end)

    it("when the key is wrong", function()
      server:config { key = "sk_test_other" }
      local result = start("", "capture(1, 20)"):wait()
      assert.equal(20, lost(result))
      assert.matches("before exit: 401 ", result.stderr)
      h.assert_in_time(result, 6)
    end)

    it("when it is not to wait at all", function()
      server:config { delay = 10 }
      local result = start("exit_timeout = 0", "capture(1, 5)"):wait()
      assert.equal(5, lost(result))
      h.assert_in_time(result, 5)
    end)

    it("when the server never answers", function()
      local silent = h.server.new()
      local child = start("exit_timeout = 1", "capture(1, 7)",
        { SEERSTACK_BASE_URL = silent.url })
      assert(silent:serve {
        handler = function() return "hold" end,
        until_ = function() return child:done() end,
        deadline = 20,
      })
      silent:close()
      local result = child:wait()
      assert.equal(7, lost(result))
      assert.equal(7, #silent.requests)
      assert.is_true(result.seconds >= h.slow)
      h.assert_in_time(result, 6)
    end)
  end)

  describe("gets one from a client that has nothing against it", function()
    it("which then sends for the others, too", function()
      server:config { delay = 0.3 }
      local child = start("", [[
        capture(1, 20)
        client:pump() -- begins
        capture(21, 30, seerstack.new())
        assert(client:stats().sender == "running")
        while client:stats().pending > 0 do end
        assert(client:pump(20) == 0)
        tell "delivered"
        stay()
      ]])
      wait_for_line(child, "delivered")
      assert.equal(1, #h.process.threads(child:pid()))
      h.wait(function() return server:count() == 30 end, 10)
      h.assert_received(server, 30)
    end)

    it("also when that came first", function()
      local child = start("", [[
        capture(1, 10, seerstack.new())
        capture(11, 30)
        while client:stats().pending > 0 do client:pump() end
        tell "delivered"
        stay()
      ]])
      wait_for_line(child, "delivered")
      assert.equal(1, #h.process.threads(child:pid()))
      h.wait(function() return server:count() == 30 end, 10)
      h.assert_received(server, 30)
    end)
  end)

  describe("that forks", function()
    it("delivers what it has queued itself, and the child its own", function()
      run("", [[
        capture(1, 20)
        local pid = native.fork()
        if pid == 0 then
          assert(client:stats().accepted == 0 and client:pump(20) == 0)
          capture(41, 60)
          os.exit(0)
        end
        capture(21, 40)
        assert(native.wait(pid) == 0)
      ]])
      h.assert_received(server, 60)
    end)

    it("goes on with what is in flight, of which the child has nothing",
      function()
        server:config { delay = 1 }
        run("", [[
          local future = client.events.capture(
            { name = "a.b", data = { i = 1 } }, { future = true })
          capture(2, 20)
          client:pump(0.1) -- 16 are in flight now
          local pid = native.fork()
          if pid == 0 then
            assert(select(3, future:get()).name == "ClosedError")
            assert(client:stats().pending == 0)
            -- What the sanitizer's thread opens may be closed meanwhile.
            local sockets = io.popen("ls -l /proc/" .. native.pid()
              .. "/fd 2>/dev/null")
            local listing = sockets:read("*a")
            local own = io.open("/proc/self/net/tcp"):read("*a")
            for inode in listing:gmatch("socket:%[(%d+)%]") do
              assert(not own:find(" " .. inode .. " ", 1, true), listing)
            end
            capture(21, 30)
            assert(client:flush(20))
            os.exit(0)
          end
          assert(native.wait(pid) == 0)
          assert(future:get(20).success)
          assert(client:flush(20))
        ]])
        h.assert_received(server, 30)
      end)
  end)
end)
