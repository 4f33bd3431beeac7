local h = require "spec.helper"
local socket = require "socket"

-- `%d` events captured by a script; what the child is told goes into
-- `options`, and how it ends into `ending`. Its time to deliver grows where
-- all is slow.
local PROGRAM = [[
  local options = { %s }
  options.exit_timeout = (options.exit_timeout or 10) * ]] .. h.slow .. [[

  local client = seerstack.new(options)
  capture(client, 1, %d)
  %s
]]

local function start(url, key, code, env)
  return h.start {
    code = code, env = h.environment(url, key, env), timeout = 60,
  }
end

local function start_capturing(url, count, options, ending)
  return start(url, "sk_test_standin",
    PROGRAM:format(options or "", count, ending or ""))
end

local function capture(...)
  return start_capturing(...):wait()
end

-- The number in the one line that tells of events not delivered; nil without
-- such a line.
local function told_lost(result)
  local found
  for line in result.stderr:gmatch("[^\n]+") do
    local count, verb = line:match(
      "^seerstack: error: (%d+) (events? %l+) not delivered before exit: ")
    if count then
      assert.equal(count == "1" and "event was" or "events were", verb)
      assert.is_nil(found, "told twice")
      found = tonumber(count)
    end
  end
  return found
end

-- For programs that are not this one.
local EXIT_TIMEOUT = "exit_timeout = " .. 10 * h.slow

describe("at exit", function()
  local server = h.standin()

  describe("900 events are delivered once each", function()
    -- The process ends as soon as they are, not after its exit_timeout.
    local function check(options, ending, status, meanwhile)
      local child = start_capturing(server.url, 900,
        "exit_timeout = 15, " .. (options or ""), ending)
      if meanwhile then
        meanwhile(child)
      end
      local result = child:wait()
      assert.equal(status or 0, result.status)
      h.assert_in_time(result, 12)
      h.assert_received(server, 900)
      return result.stderr
    end

    it("when the script just ends", function()
      assert.equal("", check())
    end)

    it("when it ends by an error", function()
      assert.matches("the script's own", check("", 'error "the script\'s own"',
        1))
    end)

    it("by os.exit(0)", function()
      assert.equal("", check("", "os.exit(0)"))
    end)

    it("by os.exit(0, true), which closes the state where Lua can", function()
      assert.equal("", check("", "os.exit(0, true)"))
    end)

    it("by os.exit(3), and keeps the exit code", function()
      assert.equal("", check("", "os.exit(3)", 3))
    end)

    it("when the client was collected before", function()
      assert.equal("", check("", "client = nil collectgarbage() "
        .. "collectgarbage()"))
    end)

    -- The API is slow until then, or all might be delivered before.
    it("when the client was closed without waiting", function()
      server:config { delay = 0.5 }
      assert.equal("", check("", [[
        assert(not client:close(0.001))
        tell "closed"
        os.exit(0)
      ]], 0, function(child)
        h.says(child, "closed", 20)
        server:config { delay = false }
      end))
    end)
  end)

  it("delivers thousands of events without a rate limit", function()
    -- memcheck has no time for more.
    local count = os.getenv "SANITIZER" == "valgrind" and 1500 or 5000
    h.ended_well(capture(server.url, count,
      "rate_limit = false, exit_timeout = 40"))
    h.assert_received(server, count)
  end)

  it("delivers what the default client has", function()
    local result = start(server.url, "sk_test_standin", [[
      seerstack.configure { ]] .. EXIT_TIMEOUT .. [[ }
      for i = 1, 900 do
        assert(seerstack.capture { name = "a.b", data = { i = i } })
      end
    ]]):wait()
    assert.equal("", result.stderr)
    h.assert_received(server, 900)
  end)

  it("delivers what several clients have", function()
    local result = start(server.url, "sk_test_standin", [[
      for i = 1, 90 do
        local client = seerstack.new { ]] .. EXIT_TIMEOUT .. [[ }
        assert(client.events.capture { name = "a.b", data = { i = i } })
      end
    ]]):wait()
    assert.equal("", result.stderr)
    h.assert_received(server, 90)
  end)

  it("delivers what is captured in a finalizer when the state closes",
    function()
      local result = start(server.url, "sk_test_standin", [[
        local client
        local function finalize()
          assert(client.events.capture { name = "a.b", data = { i = 1 } })
          print(client:stats().accepted)
        end
        -- Finalizers run in the reverse order of their making, so this one
        -- runs before the client's.
        client = seerstack.new()
        if rawget(_G, "newproxy") then
          last = newproxy(true)
          getmetatable(last).__gc = finalize
        else
          last = setmetatable({}, { __gc = finalize })
        end
      ]]):wait()
      assert.equal("", result.stderr)
      assert.equal("1\n", result.stdout)
      h.assert_received(server, 1)
    end)

  it("refuses what a finalizer captures after the client's own", function()
    local result = start(server.url, "sk_test_standin", [[
      local client
      local function finalize()
        print(client.events.capture { name = "a.b" })
      end
      if rawget(_G, "newproxy") then
        last = newproxy(true)
        getmetatable(last).__gc = finalize
      else
        last = setmetatable({}, { __gc = finalize })
      end
      client = seerstack.new()
      assert(client.events.capture { name = "a.b", data = { i = 1 } })
    ]]):wait()
    assert.equal("", result.stderr)
    assert.matches("^nil\tclient is closed\t", result.stdout)
    h.assert_received(server, 1)
  end)

  describe("with a dead port", function()
    local bound, url

    -- Bound and not listening: it refuses, and nobody else can take it.
    setup(function()
      bound = assert(socket.tcp())
      assert(bound:bind("127.0.0.1", 0))
      local _, port = bound:getsockname()
      url = "http://127.0.0.1:" .. port
    end)

    teardown(function()
      bound:close()
    end)

    -- The promise is a second; who waited would take ten. The start of the
    -- interpreter on a machine that does other things is granted some.
    it("ends within a second and tells how many were not delivered",
      function()
        local result = capture(url, 900)
        assert.equal(0, result.status)
        h.assert_in_time(result, 5)
        assert.equal(900, told_lost(result))
      end)

    it("says why, and tells of the first trouble once at most", function()
      local stderr = capture(url, 1).stderr
      assert.matches("seerstack: error: 1 event was not delivered "
        .. "before exit: Failed to connect to [^\n]*\n$", stderr)
      local _, lines = stderr:gsub("\n", "")
      assert.is_true(lines <= 2)
    end)

    it("keeps the exit code", function()
      assert.equal(3, capture(url, 1, "", "os.exit(3)").status)
    end)

    it("tells of all clients in one line", function()
      local result = start(url, "sk_test_x", [[
        for i = 1, 9 do
          local client = seerstack.new { api_key = "sk_test_" .. i }
          assert(client.events.capture { name = "a.b" })
        end
      ]]):wait()
      h.assert_in_time(result, 5)
      assert.equal(9, told_lost(result))
    end)

    it("ends as soon after a long back-off", function()
      local result = capture(url, 10, "initial_retry_delay = 60, "
        .. "max_retry_delay = 60",
        "while not client:stats().retry_at do end")
      h.assert_in_time(result, 5)
      assert.equal(10, told_lost(result))
    end)
  end)

  it("does not wait with exit_timeout = 0", function()
    server:config { delay = 10 }
    local result = capture(server.url, 5, "exit_timeout = 0")
    h.assert_in_time(result, 5)
    assert.equal(5, told_lost(result))
  end)

  it("waits as long as the longest exit_timeout says", function()
    server:config { delay = 1.5 }
    local result = start(server.url, "sk_test_standin", [[
      local client = seerstack.new { exit_timeout = 0 }
      assert(client.events.capture { name = "a.b", data = { i = 2 } })
      client = seerstack.new { ]] .. EXIT_TIMEOUT .. [[ }
      assert(client.events.capture { name = "a.b", data = { i = 1 } })
    ]]):wait()
    assert.is_true(result.seconds >= 1.5)
    h.assert_in_time(result, 8)
    assert.equal("", result.stderr)
    h.assert_received(server, 2)
  end)

  it("gives an established connection that never answers all of "
    .. "exit_timeout, then tells", function()
      local silent = h.server.new()
      local child = start_capturing(silent.url, 7, "exit_timeout = 3")
      assert(silent:serve {
        handler = function() return "hold" end,
        until_ = function() return child:done() end,
        deadline = 20,
      })
      silent:close()
      local result = child:wait()
      assert.equal(7, told_lost(result))
      assert.is_true(result.seconds >= 3 * h.slow)
      h.assert_in_time(result, 6)
      assert.equal(7, #silent.requests)
    end)

  -- A queue of one connection that nobody accepts: the system drops the
  -- packets of all further ones.
  local function capture_in_vain(...)
    local listener = assert(socket.bind("127.0.0.1", 0, 0))
    local _, port = listener:getsockname()
    local first = assert(socket.connect("127.0.0.1", port))
    local second = socket.tcp()
    second:settimeout(0.1)
    assert.same({ nil, "timeout" }, { second:connect("127.0.0.1", port) })
    local result = capture("http://127.0.0.1:" .. port, ...)
    second:close()
    first:close()
    listener:close()
    return result
  end

  it("gives up after 2 s when no connection can be established", function()
    local result = capture_in_vain(7)
    assert.equal(7, told_lost(result))
    assert.is_true(result.seconds >= 2)
    h.assert_in_time(result, 5)
  end)

  -- It would be sent again after 15 s.
  it("gives what was connecting before it no more than exit_connect_timeout",
    function()
      local result = capture_in_vain(1, "thread = false, connect_timeout = 1, "
        .. "initial_retry_delay = 20, max_retry_delay = 20, "
        .. "exit_timeout = 40, log_level = 'debug'", "client:pump(0)")
      assert.equal(1, told_lost(result))
      assert.equal(1, select(2, result.stderr:gsub("debug: POST ", "")),
        result.stderr)
    end)

  it("waits for a slow resolver as long as exit_connect_timeout says",
    function()
      local result = start("http://api.test:" .. server.url:match("%d+$"),
        "sk_test_standin",
        PROGRAM:format("exit_connect_timeout = 15, exit_timeout = 15", 3,
          ""), {
          LD_PRELOAD = h.preload "resolver", SEER_RESOLVER_DELAY = 4,
          http_proxy = false, all_proxy = false, ALL_PROXY = false,
        }):wait()
      assert.is_nil(told_lost(result))
      h.assert_received(server, 3)
    end)

  it("ends early when the rate limit holds the rest too long", function()
    local result = capture(server.url, 300, "rate_limit = 100")
    assert.equal(205, told_lost(result))
    h.assert_in_time(result, 5)
    assert.equal(95, server:count())
  end)

  it("tells in one line that the key is wrong, and ends in time", function()
    server:config { key = "sk_test_other" }
    local result = capture(server.url, 20, "exit_timeout = 3")
    assert.equal(20, told_lost(result))
    assert.matches("before exit: 401 [^\n]*\n$", result.stderr)
    h.assert_in_time(result, 6)
    assert.equal(0, server:count())
  end)

  it("tries again what failed while there is time", function()
    local ill, count = h.server.new(), 0
    local child = start_capturing(ill.url, 30)
    assert(ill:serve {
      handler = function()
        count = count + 1
        return count <= 10 and 503 or 200, nil, "{}"
      end,
      until_ = function() return child:done() end,
      deadline = 20,
    })
    ill:close()
    local result = child:wait()
    assert.is_nil(told_lost(result))
    assert.equal(40, #ill.requests)
  end)

  describe("where threads are refused", function()
    local CAPTURE = PROGRAM:format("", 20, "%s")

    local function run(refused, ending)
      return start(server.url, server.key, CAPTURE:format(ending or ""), {
        LD_PRELOAD = h.preload "threads",
        SEER_THREADS_REFUSED = refused,
      }):wait()
    end

    it("delivers on the thread that ends the process", function()
      local result = run(1000)
      assert.equal("", result.stderr)
      h.assert_received(server, 20)
    end)

    it("flushes, whether or not one is granted meanwhile", function()
      h.ended_well(run(2, "assert(client:flush(10))"))
      h.assert_received(server, 20)
    end)

    it("delivers when one is granted at last", function()
      local result = run(1, "assert(client:stats().sender == 'none')")
      assert.equal("", result.stderr)
      h.assert_received(server, 20)
    end)
  end)

  it("tells what failed last, not of the rate limit", function()
    server:config { fail_status = 500 }
    local failed = "while not client:stats().last_error do end"
    local result = capture(server.url, 1, "exit_timeout = 1", failed)
    assert.matches(
      "^seerstack: error: 1 event was not delivered before exit: 500 ",
      result.stderr:match("[^\n]+\n$"))
    result = capture(server.url, 300, "rate_limit = 100, exit_timeout = 1",
      failed)
    assert.equal(300, told_lost(result))
    assert.matches("before exit: 500 ", result.stderr)
  end)

  it("tries at once what is backing off", function()
    local ill = h.server.new()
    local child = start_capturing(ill.url, 1,
      "initial_retry_delay = 60, max_retry_delay = 60", [[
        while not client:stats().retry_at do end
        for i = 2, 30 do
          assert(client.events.capture { name = "a.b", data = { i = i } })
        end
      ]])
    assert(ill:serve {
      handler = function()
        return #ill.requests == 1 and 401 or 200, nil, "{}"
      end,
      until_ = function() return child:done() end,
      deadline = 20,
    })
    ill:close()
    assert.is_nil(told_lost(child:wait()))
    assert.equal(31, #ill.requests)
  end)

  it("delivers what another thread's client captures first", function()
    local directory, held = h.shell.temporary_directory "exit", nil
    local ill = h.server.new()
    finally(function() h.shell.remove(directory) end)
    local child = start(ill.url, "sk_test_standin", [[
      native.thread [=[
        local client = require "seerstack".new { api_key = "sk_other" }
        io.open(os.getenv "DIRECTORY" .. "/ready", "w"):close()
        while not io.open(os.getenv "DIRECTORY" .. "/go") do
          require "socket".sleep(0.005)
        end
        client.events.capture { name = "late" }
      ]=]
      local client = seerstack.new {
        initial_retry_delay = 60, max_retry_delay = 60, ]] .. EXIT_TIMEOUT
      .. [[

      }
      capture(client, 1, 1)
      while not client:stats().retry_at
          or not io.open(os.getenv "DIRECTORY" .. "/ready") do
        socket.sleep(0.005)
      end
    ]], { DIRECTORY = directory })
    -- The second comes from the exit, which waits for its answer.
    assert(ill:serve {
      handler = function(_, peer)
        if #ill.requests == 2 then
          held = peer
          h.shell.write(directory .. "/go", "")
          return "hold"
        elseif #ill.requests == 3 then
          held:respond(200, nil, "{}")
        end
        return #ill.requests == 1 and 401 or 200, nil, "{}"
      end,
      until_ = function() return child:done() end,
      deadline = 20,
    })
    ill:close()
    assert.is_nil(told_lost(child:wait()))
    assert.equal(3, #ill.requests)
  end)

  it("waits for nothing when nothing is left", function()
    local result = capture(server.url, 5, "", "assert(client:flush(10))")
    h.assert_in_time(result, 5)
    assert.equal("", result.stderr)
  end)
end)
