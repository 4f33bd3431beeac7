local h = require "spec.helper"
local socket = require "socket"

local PREAMBLE = [[
  local client = seerstack.new { %s }
  local function capture(first, last)
    for i = first, last do
      assert(client.events.capture { name = "a.b", data = { i = i } })
    end
  end
]]

local server = h.standin()

local function start(options, code, env, prefix)
  return h.start {
    code = PREAMBLE:format(options) .. code, prefix = prefix,
    env = h.environment(server.url, server.key, h.merge({
      http_proxy = false,
      all_proxy = false,
      ALL_PROXY = false,
    }, env)),
  }
end

local function run(...)
  return h.ended_well(start(...)).stdout
end

describe("where the system refuses threads", function()
  -- None is granted until `refused` were asked for; all names are this
  -- machine's.
  local function env(refused, more)
    return h.merge({
      LD_PRELOAD = h.preload "threads" .. ":" .. h.preload "resolver",
      SEER_THREADS_REFUSED = refused or 1000000,
    }, more)
  end

  local function named(more)
    more = more or {}
    more.SEERSTACK_BASE_URL = "http://api.test:" .. server.port
    return env(nil, more)
  end

  it("the end of the process delivers", function()
    run("", "capture(1, 20)", env())
    h.assert_received(server, 20)
  end)

  it("flush delivers, and close", function()
    assert.equal("none\n", run("", [[
      capture(1, 20)
      assert(client:flush(20))
      tell(client:stats().sender)
      capture(21, 40)
      assert(client:close(20))
    ]], env()))
    h.assert_received(server, 40)
  end)

  it("pump delivers", function()
    run("", [[
      capture(1, 20)
      while client:pump() > 0 do end
      assert(client:stats().sender == "none")
    ]], env())
    h.assert_received(server, 20)
  end)

  it("who waits for an answer gets it", function()
    run("", [[
      local event = { name = "a.b", data = { i = 1 } }
      assert(client.events.capture(event, { wait = true }).success)
      event.data.i = 2
      local future = client.events.capture(event, { future = true })
      while not future:done() do end
      assert(future:get().success)
      event.data.i = 3
      future = client.events.capture(event, { future = true })
      assert(future:get(20).success)
    ]], env())
    h.assert_received(server, 3)
  end)

  it("one is asked for again after a while", function()
    run("rate_limit = false", [[
      capture(1, 1)
      assert(client:stats().sender == "none")
      local deadline = os.time() + 20
      while client:stats().sender ~= "running" do
        assert(os.time() < deadline)
        capture(2, 2)
        assert(client:flush(20))
      end
    ]], env(1))
  end)

  -- While the file is there, the resolver knows no name.
  local function unknown()
    local path = os.tmpname()
    h.shell.write(path, "0 -2")
    return h.merge(named(), { SEER_RESOLVER_FILE = path })
  end

  for _, thread in ipairs { "true", "false" } do
    it("a host that was not found is looked up again, thread = " .. thread,
      function()
        run("thread = " .. thread .. ", log_level = 'off'", [[
          capture(1, 1)
          repeat client:flush(0.05) until client:stats().last_error
          os.remove(os.getenv "SEER_RESOLVER_FILE")
          assert(client:flush(20))
        ]], unknown())
        h.assert_received(server, 1)
      end)
  end

  it("a new client has what its own look-up found", function()
    run("thread = false, log_level = 'off'", [[
      os.remove(os.getenv "SEER_RESOLVER_FILE")
      local fresh = seerstack.new {
        thread = false, max_retries = 0, log_level = "off",
      }
      assert(fresh.events.capture({ name = "a.b", data = { i = 1 } },
        { wait = true }))
    ]], unknown())
    h.assert_received(server, 1)
  end)

  -- The resolver hangs once the client is made.
  for _, call in ipairs {
    "client:pump(0)", "client:pump(0.2)", "client:flush(0.2)",
    "local f = client.events.capture({ name = 'a' }, { future = true })\n"
      .. "while not f:done() do end",
    "client.events.capture({ name = 'a' }, { wait = true, timeout = 1 })",
    "client:close(0.2)", "",
  } do
    it("nothing waits for a resolver: " .. (call:match "%((.*)" or "the exit"),
      function()
        local path = os.tmpname()
        h.shell.write(path, "0 -2")
        local result = start("log_level = 'error', exit_timeout = 3", [[
          local file = io.open(os.getenv "SEER_RESOLVER_FILE", "w")
          file:write "60 0"
          file:close()
          capture(1, 1)
        ]] .. call, h.merge(named(), { SEER_RESOLVER_FILE = path })):wait()
        os.remove(path)
        assert.matches("no thread could be started to look up api%.test",
          result.stderr)
        h.assert_in_time(result, 12)
      end)
  end

  it("a client without a thread looks its host up when it is made", function()
    run("thread = false, log_level = 'error'", [[
      capture(1, 20)
      assert(client:flush(20))
      capture(21, 30)
    ]], named())
    h.assert_received(server, 30)
  end)

  it("and does so once", function()
    local log = os.tmpname()
    run("thread = false, log_level = 'error'", [[
      capture(1, 1)
      assert(client:flush(20))
      local other = client:with_options { rate_limit = false }
      assert(other.events.capture { name = "a.b", data = { i = 2 } })
      assert(other:flush(20))
    ]], named { SEER_RESOLVER_LOG = log })
    h.assert_received(server, 2)
    -- Once more for `other`, which is a new client.
    assert.equal(2, select(2, h.shell.read(log):gsub("api%.test ", "")))
    os.remove(log)
  end)

  it("a client without a thread looks its proxy up, too", function()
    run("thread = false, log_level = 'error', exit_timeout = 2", [[
      capture(1, 20)
    ]], named { http_proxy = "http://proxy.test:" .. server.port })
    h.assert_received(server, 20)
  end)

  it("a client that would have one delivers to a host by name", function()
    run("log_level = 'error', exit_timeout = 2", "capture(1, 20)", named())
    h.assert_received(server, 20)
  end)
end)

describe("a signal", function()
  local child

  after_each(function()
    child:finish()
  end)

  -- Ends the process, which would wait for 20 s, by SIGTERM.
  local function terminate(code)
    server:config { delay = 30 }
    child = start("thread = false", "capture(1, 1)\n" .. code)
    h.wait(function() return server:status().requests > 0 end, 10)
    child:kill("TERM")
    local result = child:wait()
    assert.equal(15, result.signal)
    h.assert_in_time(result, 15)
  end

  it("reaches a program that pumps", function()
    terminate "client:pump(20)"
  end)

  it("reaches a program that waits for a flush", function()
    terminate "client:flush(20)"
  end)

  it("reaches a program that waits for an answer", function()
    terminate "client.events.capture({ name = 'b' }, { wait = true })"
  end)

  it("reaches a program that waits for its exit", function()
    terminate ""
  end)
end)

describe("a connection that the server resets", function()
  -- A way to the server's TLS port that can be cut.
  local function new_way()
    local way = { listener = assert(socket.bind("127.0.0.1", 0)), other = {} }
    local _, port = way.listener:getsockname()
    way.url = "https://localhost:" .. port

    local function link(near)
      local far = assert(socket.connect("127.0.0.1", server.tls_port))
      way.other[near], way.other[far] = far, near
      near:settimeout(0)
      far:settimeout(0)
    end

    local function forward(from)
      local bytes, problem, partial = from:receive(65536)
      local to = way.other[from]
      if to and #(bytes or partial) > 0 then
        to:send(bytes or partial)
      elseif to and problem == "closed" then
        way.other[from], way.other[to] = nil, nil
        from:close()
        to:close()
      end
    end

    function way.step()
      local readers = { way.listener }
      for one in pairs(way.other) do
        readers[#readers + 1] = one
      end
      for _, one in ipairs((socket.select(readers, nil, 0.01))) do
        if one == way.listener then
          link(one:accept())
        else
          forward(one)
        end
      end
    end

    function way.cut()
      for one in pairs(way.other) do
        one:setoption("linger", { on = true, timeout = 0 })
        one:close()
      end
      way.other = {}
    end
    return way
  end

  -- luasocket ignores SIGPIPE for its process and its children, so it is as
  -- usual only without it. libcurl's own writes cannot raise it in the
  -- versions there are now, so they are made able to.
  local function start_with_pipe(way, options, code)
    return start(options .. ", log_level = 'off'", code, {
      SEERSTACK_BASE_URL = way.url, SSL_CERT_FILE = server.ca_file,
      LD_PRELOAD = h.preload "pipes",
    }, "env --default-signal=PIPE")
  end

  local function serve(way, condition)
    local deadline = socket.gettime() + 20
    while not condition() do
      assert.is_true(socket.gettime() < deadline)
      way.step()
    end
  end

  local function check(options, ending)
    local way = new_way()
    local child = start_with_pipe(way, options, [[
      capture(1, 1)
      assert(client:flush(20))
      tell "delivered"
      while not io.read "*l" do
        io.stdin:seek("set")
      end
      capture(2, 2)
    ]] .. ending)
    serve(way, function() return child:stdout() == "delivered\n" end)
    way.cut()
    local file = assert(io.open(child.directory .. "/stdin", "w"))
    file:write("go on\n")
    file:close()
    serve(way, function() return child:done() end)
    way.cut()
    way.listener:close()
    return child:wait()
  end

  it("does not kill by SIGPIPE who sends on this thread", function()
    local result = check("thread = false", [[
      while client:pump(1) > 0 do end
      tell "again"
    ]])
    assert.equal("delivered\nagain\n", result.stdout)
    assert.equal(0, result.status)
    h.assert_received(server, 2)
  end)

  it("does not kill by SIGPIPE who delivers at the end", function()
    assert.equal(0, check("thread = false", "").status)
    h.assert_received(server, 2)
  end)

  it("does not kill by SIGPIPE where there is a thread", function()
    assert.equal(0, check("thread = true", "").status)
    h.assert_received(server, 2)
  end)

  it("leaves SIGPIPE as it was for the program's own pipes", function()
    local result = check("thread = false", [[
      assert(client:flush(20))
      local pipe = io.popen("exec true", "w")
      for _ = 1, 100 do
        pipe:write(("x"):rep(100000))
        pipe:flush()
      end
    ]])
    assert.equal(13, result.signal)
  end)
end)
