-- What Redis, its configuration and the way to it do wrong: delivery goes on,
-- a line tells, and nothing stays behind.

local h = require "spec.helper"

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }
local SILENT = { with = "exit_timeout = 0, log_level = 'off'" }
local BUDGET = "rate_limit = 1000, share_rate_limit = false"
local FAILING = "store: failing, events are kept in memory alone: "

describe("a store in Redis", function()
  local api = h.standin { rate_limit = false }
  local server = h.each(h.redises.new, function(s) s:remove() end)

  -- A program that stores 50 events, waits for the file `go`, captures 50
  -- more, and goes on until the store works again.
  local function start(options)
    local child = server:start(api, [[
      capture(client, 1, 50)
      assert(client:persist(25))
      tell "stored"
      while not io.open(arg[1]) do
        socket.sleep(0.01)
      end
      capture(client, 51, 100)
      while not client:stats().store.error do
        socket.sleep(0.01)
      end
      tell("failed", client:stats().store.state, client:stats().store.error)
      while client:stats().store.state ~= "open" do
        socket.sleep(0.01)
      end
      capture(client, 101, 150)
      assert(client:persist(25))
      assert(client:flush(25))
      tell "done"
    ]], h.merge({ args = { server.directory .. "/go" }, timeout = 60 },
      options))
    return child
  end

  local function await(child, word)
    h.wait(function() return child:done() or child:stdout():find(word) end,
      30)
    assert.matches(word, child:stdout(), 1, true)
  end

  -- Nobody has anything there, and nothing is left but the list of targets,
  -- the empty stream of nobody's, and what was used of the limit of late.
  local function assert_nothing_stranded()
    local totals = server:totals()
    assert.equal(0, totals.events)
    assert.equal(0, totals.owners)
    local keys = server:keys():gsub("^budget ", ""):gsub("^q ", "")
    assert.equal("targets", keys)
    local now = 1000 * tonumber(server:ask "TIME":match "%d+")
    for lease, tail in server:ask("HVALS", server:key "budget")
      :gmatch "%d+ %d+ (%d+) (%d+) %d+" do
      assert.is_true(lease + tail <= now + 90000)
    end
    assert.is_true(tonumber(server:ask("PTTL", server:key "budget")) <= 9e5)
  end

  local function go_on()
    h.shell.write(server.directory .. "/go", "")
  end

  -- All has been sent, and nothing is under way to Redis any more.
  local function await_forgotten(count)
    h.wait(function() return api:count() == count end, 10)
    h.wait(function() return server:totals().events == 0 end, 10)
  end

  -- What happens to Redis while a process has 50 events there, what undoes
  -- it, and a pattern of what a line says.
  local FAULTS = {
    { "that hangs", function(s) s:kill "STOP" end,
      function(s) s:kill "CONT" end, "it does not answer" },
    { "that is killed", function(s) s:kill "KILL" end,
      function(s) s:run() end, "[cC]onnection" },
    { "that has become read-only",
      function(s) s:ask("REPLICAOF", "127.0.0.1", "1") end,
      function(s) s:ask("REPLICAOF", "NO", "ONE") end, "READONLY " },
    { "that wants a password now",
      function(s)
        s:ask("CONFIG", "SET", "requirepass", "secret")
        s:ask("--no-auth-warning", "-a", "secret", "CLIENT", "KILL", "TYPE",
          "normal")
      end,
      function(s) s:ask("--no-auth-warning", "-a", "secret", "CONFIG", "SET",
        "requirepass", "") end,
      "NOAUTH " },
  }

  for _, case in ipairs(FAULTS) do
    it(case[1] .. " keeps no event from being delivered", function()
      local child = start { with = BUDGET }
      await(child, "stored")
      await_forgotten(50)
      case[2](server)
      go_on()
      await(child, "failed")
      h.wait(function() return api:count() == 100 end, 10)
      case[3](server)
      local result = child:wait()
      assert.equal(0, result.status, result.stderr)
      local said = result.stderr
        :gsub("[^\n]*rate limit is not shared[^\n]*\n", "")
      assert.matches("seerstack: warn: " .. FAILING, said, 1, true)
      assert.equal(1, select(2, said:gsub("\n", "\n")))
      assert.matches(case[4], said)
      h.assert_received(api, 150)
      assert_nothing_stranded()
    end)
  end

  it("that was emptied is told of, and filled again", function()
    api:config(OUTAGE)
    local child = start { with = BUDGET }
    await(child, "stored")
    server:ask "FLUSHALL"
    go_on()
    await(child, "it has lost what this process had there")
    api:config(WORKS)
    local result = child:wait()
    assert.equal(0, result.status, result.stderr)
    h.assert_received(api, 150)
    assert_nothing_stranded()
  end)

  it("that began anew without what it had is filled again", function()
    api:config(OUTAGE)
    local child = server:start(api, [[
      capture(client, 1, 50)
      assert(client:persist(25))
      tell "stored"
      while not client:stats().store.error do
        socket.sleep(0.01)
      end
      capture(client, 51, 100)
      assert(client:persist(25))
      tell "again"
      assert(client:flush(25))
    ]], { with = "log_level = 'off', " .. BUDGET, timeout = 60 })
    await(child, "stored")
    child:kill "STOP" -- or it might fill it before that is looked at
    server:kill "KILL"
    server:run()
    assert.equal(0, server:totals().events)
    child:kill "CONT"
    await(child, "again")
    assert.equal(100, server:totals().events)
    api:config(WORKS)
    h.ended_well(child)
    h.assert_received(api, 100)
    assert_nothing_stranded()
  end)

  it("that was emptied gets what is in flight when the process ends",
    function()
      api:config { delay = 30 }
      local child = server:start(api, [[
        capture(client, 1, 50)
        assert(client:persist(25))
        tell "stored"
        while not io.open(arg[1]) do
          socket.sleep(0.01)
        end
        capture(client, 51, 51)
        while client:stats().store.unsaved < 51 do
          socket.sleep(0.01)
        end
        while client:stats().store.state ~= "open" do
          socket.sleep(0.01)
        end
      ]], { args = { server.directory .. "/go" }, with = SILENT.with })
      await(child, "stored")
      h.wait(function() return api:count() == 16 end, 20)
      server:ask "FLUSHALL"
      go_on()
      h.ended_well(child)
      assert.equal(51, server:totals().events)
      api:config { delay = false }
    end)

  it("may forget its scripts, and nobody is told", function()
    local child = server:start(api, [[
      for n = 1, 5 do
        capture(client, 10 * n - 9, 10 * n)
        assert(client:persist(25))
        os.execute("redis-cli -s '" .. arg[1] .. "' SCRIPT FLUSH >/dev/null")
      end
      assert(client:flush(25))
      assert(not client:stats().store.error)
    ]], { args = { server.socket }, with = BUDGET })
    h.ended_well(child)
    h.assert_received(api, 50)
    assert_nothing_stranded()
  end)

  it("may close connections that are idle, and nobody is told", function()
    h.ended_well(server:start(api, [[
      for n = 1, 5 do
        capture(client, 10 * n - 9, 10 * n)
        assert(client:persist(25))
        assert(client:flush(25))
        while assert(redis.totals(place)).events > 0 do
          socket.sleep(0.01) -- what was sent is being forgotten
        end
        os.execute("redis-cli -s '" .. arg[1]
          .. "' CLIENT KILL TYPE normal >/dev/null")
      end
      assert(not client:stats().store.error)
    ]], { args = { server.socket } }))
    h.assert_received(api, 50)
    assert.equal(0, server:totals().events)
  end)

  -- What fills it, and what a line says. Rows of a kind that nobody knows yet
  -- stay there.
  local FULL = {
    { "for maxmemory", "", function(s)
      s:ask("CONFIG", "SET", "maxmemory", "1")
    end, "maxmemory", true },
    { "for max_events", "max_events = 10", function() end, "max_events" },
    { "for max_bytes", "max_bytes = 65536", function(s)
      s:ask("EVAL", [[for _ = 1, 70 do
        redis.call("XADD", KEYS[1], "*", "k", "9", "s", "", "u",
          ("u"):rep(16), "t", "1", "n", "0", "b", ("x"):rep(1000))
      end]], "1", s:key "q")
    end, "max_bytes" },
  }

  for _, case in ipairs(FULL) do
    it("that is full " .. case[1] .. " takes nothing more, and forgets",
      function()
        local child = server:start(api, [[
          capture(client, 1, 5)
          assert(client:persist(25))
          tell "stored"
          while not io.open(arg[1]) do
            socket.sleep(0.01)
          end
          capture(client, 6, 50)
          while client:stats().store.state ~= "full" do
            socket.sleep(0.01)
          end
          tell "full"
          assert(client:flush(25))
          assert(client:stats().pending == 0)
        ]], { open = case[2], args = { server.directory .. "/go" },
          with = "exit_timeout = 0" })
        api:config(OUTAGE)
        await(child, "stored")
        case[3](server)
        go_on()
        await(child, "full")
        api:config(WORKS)
        local result = child:wait()
        assert.equal(0, result.status, result.stderr)
        assert.matches("store: full, events are kept in memory alone: "
          .. server.socket .. ": it is full: " .. case[4] .. "\n",
          result.stderr, 1, true)
        h.assert_received(api, 50)
        for _, row in ipairs(server:rows()) do
          assert.equal(9, row.kind)
        end
        if case[5] then
          assert_nothing_stranded()
        end
      end)
  end

  it("that is full for one key has all that there is of another", function()
    api:config(OUTAGE)
    local result = server:start(api, [[
      options.api_key = "sk_test_other"
      local other = seerstack.new(options)
      for i = 1, 500 do
        capture(client, i, i)
        if i % 100 == 0 then
          capture(other, 500 + i, 500 + i)
        end
      end
      while client:stats().store.state == "open"
        or other:stats().store.unsaved > 0 do
        socket.sleep(0.01)
      end
      capture(other, 1001, 1001)
      capture(client, 501, 550)
      capture(other, 1002, 1002)
      assert(other:persist(25))
    ]], { open = "max_events = 10", timeout = 60,
      with = "exit_timeout = 0, share_rate_limit = false" }):wait()
    assert.equal(0, result.status, result.stderr)
    assert.matches("store: full, events are kept in memory alone: "
      .. server.socket .. ": it is full: max_events\n", result.stderr, 1, true)
    assert.is_nil(result.stderr:find("failing", 1, true))
    local found = {}
    for _, row in ipairs(server:rows()) do
      local i = tonumber(row.body:match '"i":(%d+)')
      if i > 550 then -- of the others a few may have come by themselves
        found[#found + 1] = i
      end
    end
    table.sort(found)
    assert.same({ 600, 700, 800, 900, 1000, 1001, 1002 }, found)
  end)

  it("that is full gives up the oldest of nobody's, where they may go",
    function()
      api:config(OUTAGE)
      for n = 1, 3 do
        h.ended_well(server:start(api, ([[
          capture(client, %d, %d)
          client:persist(10)
        ]]):format(1000 * n + 1, 1000 * n + 1000), {
          open = "max_events = 1500",
          with = "exit_timeout = 0, log_level = 'off', "
            .. "overflow = 'drop_oldest'",
        }))
      end
      local newest = 0
      for _, row in ipairs(server:rows()) do
        newest = math.max(newest, tonumber(row.body:match '"i":(%d+)'))
      end
      assert.equal(4000, newest)
      local events = server:totals().events
      assert.is_true(events >= 1500 and events < 2600, events)
    end)

  it("whose policy may throw events away is told of once", function()
    server:ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    local result = server:start(api, [[
      capture(client, 1, 10)
      assert(client:persist(25))
      while assert(redis.totals(place)).events > 0 do
        socket.sleep(0.01) -- what was sent is being forgotten
      end
      os.execute("redis-cli -s '" .. arg[1]
        .. "' CLIENT KILL TYPE normal >/dev/null")
      capture(client, 11, 20)
      assert(client:persist(25))
      assert(client:flush(25))
    ]], { args = { server.socket } }):wait()
    assert.equal("seerstack: warn: store: " .. server.socket .. ": it may "
      .. "throw away events, for its maxmemory-policy is allkeys-lru\n",
      result.stderr)
    h.assert_received(api, 20)
  end)

  it("that hangs holds up no exit", function()
    api:config(OUTAGE)
    local child = server:start(api, [[
      capture(client, 1, 20)
      assert(client:persist(25))
      tell "stored"
      while not io.open(arg[1]) do
        socket.sleep(0.01)
      end
      capture(client, 21, 40)
    ]], { args = { server.directory .. "/go" }, with = SILENT.with })
    await(child, "stored")
    server:kill "STOP"
    go_on()
    local result = h.ended_well(child)
    h.assert_in_time(result, 15)
    server:kill "CONT"
    server:end_leases()
    api:config(WORKS)
    h.ended_well(server:drain(api))
    assert.is_true(api:count() >= 20)
    assert.equal("", server:ask("KEYS", "*:o:*"))
  end)

  it("that is not there keeps no event from being delivered", function()
    for url, said in pairs {
      ["redis://127.0.0.1:1"] = "127.0.0.1:1: Connection refused",
      ["redis://[::1]:1/3"] = "::1:1: ",
      ["unix:///no/such/socket"] =
        "/no/such/socket: No such file or directory",
    } do
      api:reset()
      local result = server:start(api, [[
        capture(client, 1, 20)
        assert(client:flush(25))
        assert(client:stats().delivered == 20)
      ]], { url = url }):wait()
      assert.equal(0, result.status, result.stderr)
      assert.matches("seerstack: warn: " .. FAILING .. said, result.stderr, 1,
        true)
      assert.equal(1, select(2, result.stderr:gsub("\n", "\n")))
      h.assert_received(api, 20)
    end
  end)

  it("goes on with a process that was taken for dead", function()
    api:config(OUTAGE)
    local child = start { with = "log_level = 'off'" }
    await(child, "stored")
    child:kill "STOP"
    server:end_leases()
    api:config(WORKS)
    h.ended_well(server:drain(api))
    h.assert_received(api, 50)
    child:kill "CONT"
    go_on()
    await(child, "has not heard of it for as long as the lease")
    h.ended_well(child)
    local keys, count = {}, 0
    for _, event in ipairs(api:events()) do
      local number = h.body_of(event).data.i
      local key = event.headers["idempotency-key"]
      assert.is_true(keys[number] == nil or keys[number] == key)
      count = count + (keys[number] and 0 or 1)
      keys[number] = key
    end
    assert.equal(150, count)
    assert.equal(0, server:totals().events)
    assert.equal("", server:ask("KEYS", "*:o:*"))
  end)

  it("in which somebody else has written keeps what is no event", function()
    api:config(OUTAGE)
    server:leave(api, 1, 20)
    local uuid = ("u"):rep(16)
    for _, words in ipairs {
      { "k", "-1", "s", "", "u", uuid, "t", "1", "n", "0", "b", "{}" },
      { "k", "x", "s", "", "u", uuid, "t", "1", "n", "0", "b", "{}" },
      { "k", "4294967296", "s", "", "u", uuid, "t", "1", "n", "0", "b", "{}" },
      { "k", "0", "s", "", "u", "short", "t", "1", "n", "0", "b", "{}" },
      { "k", "0", "s", "", "u", uuid, "t", "1", "n", "0", "b", "" },
      { "hello", "world" },
    } do
      for i, word in ipairs { "XADD", server:key "q", "*" } do
        table.insert(words, i, word)
      end
      server:ask(words)
    end
    for _, age in ipairs { "-1e300", "nan", "1e300", "x" } do
      server:ask("XADD", server:key "q", "*", "k", "0", "s", "", "u", uuid,
        "t", age, "n", "-7", "b", '{"name":"a.b","data":{"i":0}}')
    end
    api:config(WORKS)
    h.ended_well(server:start(api, [[
      assert(client:persist(25))
      while client:stats().store.adopted < 24 do
        socket.sleep(0.01)
      end
      assert(client:flush(25))
    ]], { with = "log_level = 'off', max_age = 1e6" }))
    assert.equal(6, server:totals().events)
    assert.is_true(#server:rows() >= 4)
    assert.equal(6, server:totals().nobodys)
  end)
end)
