local cjson = require "cjson"
local h = require "spec.helper"

-- The allocator of a sanitizer, unlike the system's, is broken in the child
-- when another thread was in it. So the sender has time to go to sleep before
-- a fork, and what is about a busy one is left out.
local it_unsanitized = os.getenv "SANITIZER" and pending or it

-- capture(who, first, last) captures events that tell who and which they are.
local PREAMBLE = [[
  local client = seerstack.new { rate_limit = false }
  local function capture(who, first, last)
    for i = first, last do
      assert(client.events.capture {
        name = "a.b", user_id = who, data = { i = i },
      })
    end
  end
  local fork = native.fork
  if os.getenv "SANITIZER" then
    fork = function()
      socket.sleep(0.1)
      return native.fork()
    end
  end
  local function tell(...)
    io.stdout:write(table.concat({ ... }, " "), "\n")
    io.stdout:flush()
  end
  -- Until the specs have seen enough of this process.
  local function stay(seconds)
    local deadline = socket.gettime() + (seconds or 20)
    while not io.open(os.getenv "SEER_GO") do
      assert(socket.gettime() < deadline)
      socket.sleep(0.005)
    end
  end
]]

describe("a fork", function()
  local server, directory, go

  setup(function()
    server = h.start_standin()
    directory = h.shell.temporary_directory("fork")
  end)

  teardown(function()
    server:stop()
    h.shell.remove(directory)
  end)

  before_each(function()
    go = directory .. "/go"
    os.remove(go)
    server:config { delay = false }
    server:reset()
  end)

  local function start(url, code, env)
    local changes = h.merge({ SEER_GO = go }, h.NO_LEAKS, env)
    return h.start {
      code = PREAMBLE .. code, timeout = 60,
      env = h.environment(url, server.key, changes),
    }
  end

  local function run(...)
    return h.ended_well(start(...))
  end

  -- Each received once, under a key of its own; `counts` says how many whose.
  local function assert_received(counts, bodies)
    local events, keys, received = {}, {}, {}
    for _, body in ipairs(bodies) do
      local event = cjson.decode(body.body)
      local name = event.user_id .. " " .. event.data.i
      local key = body.headers["idempotency-key"]
      assert.is_nil(events[name], name .. " was received twice")
      assert.is_nil(keys[key], "a key was used twice")
      events[name], keys[key] = true, true
      received[event.user_id] = (received[event.user_id] or 0) + 1
    end
    assert.same(counts, received)
  end

  -- Answers all requests of a program, which has to end well.
  local function serve(scripted, child, received)
    assert(scripted:serve {
      handler = function(request)
        received[#received + 1] = request
        return h.ok()
      end,
      until_ = function() return child:done() end,
      deadline = 20,
    })
    scripted:close()
    h.ended_well(child)
  end

  local FAMILY = [[
    capture("parent", 1, 50)
    local pid = fork()
    if pid == 0 then
      capture("child", 1, 50)
    else
      tell("forked")
      capture("parent", 51, 100)
      assert(native.wait(pid) == 0)
    end
  ]]

  it("leaves what is queued and in flight to the parent alone", function()
    server:config { delay = 0.3 }
    run(server.url, FAMILY)
    assert_received({ parent = 100, child = 50 }, server:events())
    assert.equal(150, server:status().requests)
  end)

  it("does so while the server accepts nothing yet", function()
    local scripted, received = h.server.new(), {}
    local child = start(scripted.url, FAMILY)
    h.says(child, "forked", 10)
    serve(scripted, child, received)
    assert_received({ parent = 100, child = 50 }, received)
  end)

  it("may follow a fork", function()
    server:config { delay = 0.2 }
    run(server.url, [[
      capture("parent", 1, 20)
      local child = fork()
      if child == 0 then
        capture("child", 1, 20)
        local grandchild = fork()
        if grandchild == 0 then
          capture("grandchild", 1, 20)
        else
          assert(native.wait(grandchild) == 0)
        end
      else
        assert(native.wait(child) == 0)
      end
    ]])
    assert_received({ parent = 20, child = 20, grandchild = 20 },
      server:events())
  end)

  it("gives each of many children keys of their own", function()
    run(server.url, [[
      capture("parent", 1, 1)
      local children = {}
      for i = 1, 20 do
        children[i] = fork()
        if children[i] == 0 then
          capture("child " .. i, 1, 5)
          os.exit(0)
        end
      end
      for i = 1, 20 do
        assert(native.wait(children[i]) == 0)
      end
    ]])
    local counts = { parent = 1 }
    for i = 1, 20 do
      counts["child " .. i] = 5
    end
    assert_received(counts, server:events())
  end)

  it_unsanitized("hangs nobody while the sender is busy, 50 times", function()
    run(server.url, [[
      for round = 1, 50 do
        capture("parent", round * 100 - 99, round * 100)
        local child = fork()
        if child == 0 then
          capture("child", round, round)
          os.exit(0)
        end
        assert(native.wait(child) == 0)
      end
    ]])
    assert_received({ parent = 5000, child = 50 }, server:events())
  end)

  it_unsanitized("hangs nobody while a slow server has requests", function()
    server:config { delay = 0.05 }
    run(server.url, [[
      for round = 1, 20 do
        capture("parent", round * 16 - 15, round * 16)
        local child = fork()
        if child == 0 then
          capture("child", round, round)
          assert(client:flush(10))
          native.exit(0)
        end
        assert(native.wait(child) == 0)
      end
    ]])
    assert_received({ parent = 320, child = 20 }, server:events())
  end)

  it("may come between a client and its first event, which each has",
    function()
      run(server.url, [[
        local other = seerstack.new { api_key = os.getenv
          "SEERSTACK_API_KEY" }
        local pid = fork()
        local who = pid == 0 and "child" or "parent"
        for i, client in ipairs { client, other } do
          assert(client:flush(0))
          assert(client.events.capture {
            name = "a.b", user_id = who, data = { i = i },
          })
          assert(client:flush(10))
          assert(client:stats().delivered == 1)
        end
        if pid == 0 then
          native.exit(0)
        end
        assert(native.wait(pid) == 0)
      ]])
      assert_received({ parent = 2, child = 2 }, server:events())
    end)

  it("leaves the child with all counts at zero and no thread", function()
    local result = run(server.url, [[
      capture("parent", 1, 9)
      assert(client:flush(10))
      capture("parent", 10, 12)
      local child = fork()
      if child == 0 then
        local stats = client:stats()
        tell(stats.accepted, stats.delivered, stats.rejected, stats.dropped,
          stats.pending, stats.sender, tostring(stats.last_error))
        native.exit(0)
      end
      native.wait(child)
    ]])
    assert.equal("0 0 0 0 0 none nil", (result.stdout:gsub("%.0", "")
      :gsub("\n", "")))
  end)

  it_unsanitized("waits until the thread is outside of libcurl", function()
    local result = run(server.url, [[
      local pids, count = {}, 100
      capture("parent", 1, 100)
      while client:stats().delivered == 0 do socket.sleep(0.001) end
      for i = 1, 20 do
        if client:stats().pending < 30 then -- so that there is a send()
          capture("parent", count + 1, count + 40)
          count = count + 40
        end
        pids[i] = fork()
        if pids[i] == 0 then
          native.exit(native.sending() and 1 or 0)
        end
      end
      for i = 1, 20 do
        assert(native.wait(pids[i]) == 0, "a child came from within send()")
      end
      tell(count)
    ]], { LD_PRELOAD = h.preload "slow_send" })
    assert_received({ parent = tonumber(result.stdout) }, server:events())
  end)

  it("does not make a child send that captures nothing", function()
    server:config { delay = 0.2 }
    run(server.url, [[
      capture("parent", 1, 20)
      local child = fork()
      if child == 0 then
        os.exit(7)
      end
      assert(native.wait(child) == 7)
    ]])
    assert_received({ parent = 20 }, server:events())
    assert.equal(20, server:status().requests)
  end)

  it("has flush and close in the child wait for nothing of the parent's",
    function()
      local silent, received = h.server.new(), {}
      local child = start(silent.url, [[
        capture("parent", 1, 5)
        local child = fork()
        if child == 0 then
          assert(client:flush(10))
          assert(client:close(10))
          tell("flushed")
          os.exit(0)
        end
        assert(native.wait(child) == 0)
      ]])
      h.says(child, "flushed", 20) -- when nothing has been answered yet
      serve(silent, child, received)
      assert_received({ parent = 5 }, received)
    end)

  it("lets parent and child each wait for answers of its own", function()
    local result = run(server.url, [[
      capture("parent", 1, 1)
      local child = fork()
      local who = child == 0 and "child" or "parent"
      local response = assert(client.events.capture(
        { name = "a.b", user_id = who, data = { i = 2 } }, { wait = true }))
      assert(response.success == true)
      if child ~= 0 then
        assert(native.wait(child) == 0)
        tell("answered")
      end
    ]])
    assert.equal("answered\n", result.stdout)
    assert_received({ parent = 2, child = 1 }, server:events())
  end)

  -- The parent's connection stays in use whatever a child does.
  local CONNECTED = [[
    local one = seerstack.new { max_in_flight = 1 }
    local function send(who, i)
      assert(one.events.capture {
        name = "a.b", user_id = who, data = { i = i },
      })
      assert(one:flush(10))
    end
    send("parent", 1)
    for i = 1, 3 do
      local child = fork()
      if child == 0 then
        %s
      end
      assert(native.wait(child) == 0)
      send("parent", i + 1)
    end
  ]]

  local function assert_one_connection(url, env)
    for _, ending in ipairs { "os.exit(0)", "native.exit(0)",
        "send('child', i) os.exit(0)" } do
      server:reset()
      run(url, CONNECTED:format(ending), env)
      local connection, count = nil, 0
      for _, event in ipairs(server:events()) do
        if cjson.decode(event.body).user_id == "parent" then
          connection = connection or event.connection
          assert.equal(connection, event.connection)
          count = count + 1
        else
          assert.not_equal(connection, event.connection)
        end
      end
      assert.equal(4, count)
    end
  end

  it("does not disturb the parent's connection", function()
    assert_one_connection(server.url)
  end)

  it("does not disturb the parent's TLS connection", function()
    assert_one_connection(server.tls_url, { SSL_CERT_FILE = server.ca_file })
  end)

  it("leaves no connection open in the child", function()
    local child = start(server.url, [[
      capture("parent", 1, 1)
      assert(client:flush(10))
      local pid = fork()
      if pid == 0 then -- and is behind all that a fork does in it
        tell(string.format("%d", native.pid()))
        stay()
        native.exit(0)
      end
      assert(native.wait(pid) == 0)
    ]])
    local pid = h.wait(function()
      return child:stdout():match("(%d+)\n")
    end, 10)
    local parents = #h.process.tcp_sockets(child:pid())
    local childs = #h.process.tcp_sockets(pid)
    h.shell.write(go, "")
    assert.equal("", child:wait().stderr)
    assert.equal(1, parents)
    assert.equal(0, childs)
  end)

  it("by popen hands no connection to the other program", function()
    local result = run(server.url, [[
      capture("parent", 1, 1)
      assert(client:flush(10))
      local pipe = io.popen("exec 2>/dev/null; ls -l /proc/self/fd; echo =; "
        .. "ls -l /proc/$PPID/fd; echo =; cat /proc/self/net/tcp")
      tell(pipe:read("*a"))
      pipe:close()
    ]])
    local other, own, tcp = result.stdout:match("^(.-)=\n(.-)=\n(.*)$")
    assert.equal(1, #h.process.tcp_among(own, tcp))
    assert.equal(0, #h.process.tcp_among(other, tcp))
  end)
end)
