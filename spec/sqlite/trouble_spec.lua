-- What a process has in memory stays its own in the directory, whatever goes
-- wrong there: nobody else sends it as well.

local h = require "spec.helper"

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }

describe("a store in a directory", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local function started(code, options)
    api:config(OUTAGE)
    local child = disk:start(api, code, options)
    h.says(child, "stored", 20)
    return child
  end

  local function says(child, word)
    h.says(child, word, 20)
  end

  -- Asks for the trouble, which comes with the next call of this kind.
  local function troubled(call, env)
    return { timeout = 60,
      args = { disk.parents .. "/go", disk.parents .. "/trouble" },
      env = h.merge({
        LD_PRELOAD = h.preload "troubled", SEER_TROUBLE_CALL = call,
        SEER_TROUBLE = disk.parents .. "/trouble",
      }, env) }
  end

  -- In the middle of a commit that puts what has this text; without one, of
  -- the first.
  local function lasting(text, env)
    return troubled("pwrite64", h.merge({
      SEER_TROUBLE_END = disk.parents .. "/end", SEER_TROUBLE_TEXT = text,
    }, env))
  end

  local function end_trouble()
    h.shell.write(disk.parents .. "/end", "")
  end

  local PRELUDE = "local SLOW = " .. h.slow .. [[

    local function wait_for(condition)
      local deadline = socket.gettime() + 20 * SLOW
      while not condition() do
        assert(socket.gettime() < deadline, "in vain")
        socket.sleep(0.01)
      end
    end
    local function wait_for_go()
      tell "stored"
      wait_for(function() return io.open(arg[1]) end)
    end
    local function wait_for_state(state)
      wait_for(function() return client:stats().store.state == state end)
    end
  ]]

  local function go()
    h.shell.write(disk.parents .. "/go", "")
  end

  for _, size in ipairs { 0, 3, 32767 } do
    it("of which the index is cut to " .. size .. " bytes goes on", function()
      local child = started(PRELUDE .. [[
        capture(client, 1, 50)
        assert(client:persist(25))
        wait_for_go()
        capture(client, 51, 100)
        assert(client:persist(25))
        tell "again"
        assert(client:flush(25))
      ]], { args = { disk.parents .. "/go" } })
      h.shell.run(("truncate -s %d %s"):format(size,
        disk:path "queue.db-shm"))
      go()
      says(child, "again")
      assert.equal("1", disk:sql "SELECT count(DISTINCT owner) FROM event")
      api:config(WORKS)
      assert.equal(0, child:wait().status, child:stderr())
      assert.is_nil(child:stderr():find "store:")
      h.assert_received(api, 100)
      assert.equal(0, disk:totals().events)
    end)
  end

  it("of which the index is cut short is left by who ends", function()
    local child = started(PRELUDE .. [[
      capture(client, 1, 50)
      assert(client:persist(25))
      wait_for_go()
    ]], { args = { disk.parents .. "/go" },
      with = "exit_timeout = 0, log_level = 'off'" })
    h.shell.run("truncate -s 0 " .. disk:path "queue.db-shm")
    go()
    assert.equal(0, child:wait().status, child:stderr())
    assert.equal(50, disk:totals().nobodys)
  end)

  it("that cannot be looked at for a moment keeps its rows", function()
    api:config(OUTAGE)
    disk:leave(api, 1, 50)
    for at = 1, 4 do
      h.ended_well(disk:start(api, [[
        capture(client, 51, 51)
        client:persist(0.2)
      ]], { with = "exit_timeout = 0, log_level = 'off'", env = {
        LD_PRELOAD = h.preload "failing", SEER_FAULT_ERRNO = 5,
        SEER_FAULT_DIRECTORY = disk.directory .. "/queue.db",
        SEER_FAULT_AT = at, SEER_FAULT_ON = at + 1,
      } }))
      assert.equal("50", disk:sql("SELECT count(*) FROM event "
        .. "WHERE json_extract(body, '$.data.i') <= 50"))
    end
  end)

  -- Trouble begins between the first events and the last, and ends.
  local INTO_TROUBLE = PRELUDE .. [[
    capture(client, 1, 50)
    assert(client:persist(25))
    wait_for_go()
    capture(client, 51, 60)
    wait_for_state "failing"
  ]]
  local OUT_OF_IT = [[
    wait_for_state "open"
    assert(client:persist(25))
    tell "again"
    assert(client:flush(25))
  ]]

  -- EIO, of which SQLite says that the database is corrupt, and ESTALE.
  for _, errno in ipairs { 5, 116 } do
    it("that cannot be read for a moment, error " .. errno
      .. ", leaves its rows to their owner", function()
      local child = started(INTO_TROUBLE .. OUT_OF_IT .. [[
        wait_for(function() return client:stats().store.pending == 0 end)
      ]], troubled("pread64", { SEER_TROUBLE_ERRNO = errno }))
      local owner = disk:sql "SELECT DISTINCT owner FROM event"
      -- Who finds that another has written reads again what it knew.
      disk:sql("UPDATE total SET n = n + 1; UPDATE total SET n = n - 1", true)
      h.shell.write(disk.parents .. "/trouble", "")
      go()
      says(child, "again")
      assert.equal(owner .. " 60", disk:sql
        "SELECT DISTINCT owner || ' ' || count(*) FROM event")
      api:config(WORKS)
      assert.equal(0, child:wait().status, child:stderr())
      assert.matches("disk I/O error\n", child:stderr())
      assert.equal("", h.shell.output("cd " .. h.shell.quote(disk.directory)
        .. " && ls | grep corrupt; true"))
      h.assert_received(api, 60)
      assert.equal(0, disk:totals().events)
    end)
  end

  -- What is in the place of the directory for a while.
  local AWAY = {
    { "a file", "touch %s", "Not a directory" },
    { "a link to itself", "ln -s events %s", "symbolic links" },
  }

  for _, case in ipairs(AWAY) do
    it("of which the path leads to " .. case[1] .. " for a while keeps its "
      .. "rows", function()
      local directory = h.shell.quote(disk.directory)
      local child = started(INTO_TROUBLE .. [[
        tell "failing"
      ]] .. OUT_OF_IT, { args = { disk.parents .. "/go" }, timeout = 60 })
      local owner = disk:sql "SELECT DISTINCT owner FROM event"
      h.shell.output(("mv %s %s.away && " .. case[2]):format(directory,
        directory, directory))
      go()
      says(child, "failing")
      h.shell.output(("rm %s && mv %s.away %s"):format(directory, directory,
        directory))
      says(child, "again")
      assert.equal(owner .. " 60", disk:sql
        "SELECT DISTINCT owner || ' ' || count(*) FROM event")
      api:config(WORKS)
      assert.equal(0, child:wait().status, child:stderr())
      assert.matches("failing, events are kept in memory alone: "
        .. disk.directory .. ": [^\n]*" .. case[3] .. "\n", child:stderr())
      h.assert_received(api, 60)
      assert.equal(0, disk:totals().events)
    end)
  end

  it("in which a commit takes so long that events go on without it leaves "
    .. "none of these to others", function()
    local child = started(PRELUDE .. [[
      capture(client, 1, 512)
      assert(client:persist(25))
      wait_for_go()
      capture(client, 513, 600)
      wait_for_state "failing"
      tell "failing"
      socket.sleep(100)
    ]], lasting('"i":513', { SEER_TROUBLE_POLITE = 1 }))
    h.shell.write(disk.parents .. "/trouble", "")
    -- Is inside when the commit is over, before anything else is done.
    local holder = h.start { code = [[
      tell "ready"
      while io.open(arg[2]) do
        socket.sleep(0.01)
      end
      native.hold_byte(arg[1])
      tell "held"
      socket.sleep(100)
    ]], args = { disk.directory .. "/lock", disk.parents .. "/trouble" },
      env = h.environment("", "") }
    says(holder, "ready")
    go()
    says(child, "failing")
    end_trouble()
    says(holder, "held")
    assert.is_true(tonumber(disk:sql "SELECT count(*) FROM event") > 512)
    assert.equal("0",
      disk:sql "SELECT count(*) FROM event WHERE owner >= 1 << 62")
    holder:finish()
    child:finish()
  end)

  it("that another shortens in the middle of a commit has the room for it "
    .. "again", function()
      local function size()
        return tonumber(h.shell.output("stat -c %s " .. disk:path "queue.db"))
      end
      local child = started(PRELUDE .. [[
        capture(client, 1, 1)
        assert(client:persist(25))
        wait_for_go()
        assert(client.events.capture { name = "a.b",
          data = { pad = ("x"):rep(300000) } })
        socket.sleep(100)
      ]], lasting(("x"):rep(1000)))
      local before = size()
      h.shell.write(disk.parents .. "/trouble", "")
      go()
      h.wait(function()
        return not h.shell.read(disk.parents .. "/trouble")
      end, 20)
      assert.is_true(size() > before + 300000)
      h.shell.run(("truncate -s %d %s"):format(before, disk:path "queue.db"))
      end_trouble()
      h.wait(function()
        return disk:sql "SELECT seq FROM sqlite_sequence" == "2"
      end, 20)
      h.wait(function()
        return size() >= tonumber(disk:sql "PRAGMA page_count")
          * tonumber(disk:sql "PRAGMA page_size")
      end, 5) -- the next commit does it, too, after ten seconds
      child:finish()
    end)

  -- What a program does until the keeper is in the middle of something, and
  -- what it writes then.
  local BUSY = {
    ["in the middle of a commit"] = { [[
      capture(client, 1, 50)
      assert(client:persist(25))
      assert(client:flush(25))
      wait_for_go()
      capture(client, 51, 60)
    ]], '"i":51' },
    ["while it is opened"] = { [[
      wait_for_go()
      capture(client, 1, 60)
    ]] },
  }

  for when, busy in pairs(BUSY) do
    it("has no child of a fork " .. when .. " take part", function()
      local child = disk:start(api, PRELUDE .. busy[1] .. [[
        wait_for(function() return not io.open(arg[2]) end)
        local pid = native.fork()
        if pid == 0 then
          capture(client, 61, 70)
          assert(client:stats().store.state == "barred")
          assert(client:flush(25))
          native.exit(0)
        end
        assert(native.wait(pid) == 0)
        wait_for_state "failing"
        tell "failing"
        wait_for_state "open"
        capture(client, 71, 80)
        assert(client:persist(25))
        assert(client:flush(25))
      ]], lasting(busy[2], h.NO_LEAKS))
      says(child, "stored")
      h.shell.write(disk.parents .. "/trouble", "")
      go()
      says(child, "failing")
      end_trouble()
      local result = child:wait()
      assert.equal(0, result.status, result.stderr)
      assert.matches("not used: the process was forked while the store was "
        .. "busy", result.stderr, 1, true)
      h.assert_received(api, 80)
      assert.equal(0, disk:totals().events)
      assert.equal("ok", disk:sql "PRAGMA integrity_check")
    end)
  end

  -- The lock is the parent's and the child's.
  it("has no child of a fork while it is opened keep the rows of a parent "
    .. "that has died", function()
    api:config(OUTAGE)
    local child = disk:start(api, PRELUDE .. [[
      wait_for_go()
      capture(client, 1, 60)
      wait_for(function() return not io.open(arg[2]) end)
      if native.fork() == 0 then
        socket.sleep(100)
        native.exit(0)
      end
      tell "forked"
      assert(client:persist(25 * SLOW))
      tell "kept"
      socket.sleep(100)
    ]], lasting())
    says(child, "stored")
    h.shell.write(disk.parents .. "/trouble", "")
    go()
    says(child, "forked")
    end_trouble()
    says(child, "kept")
    assert.equal(0, disk:totals().nobodys)
    local children = ("/proc/%d/task/%d/children"):format(child:pid(),
      child:pid())
    local fork = h.shell.read(children):match "%d+"
    child:kill "KILL"
    api:config(WORKS)
    assert.equal(0, disk:drain(api).status)
    assert.is_true(h.shell.alive(fork))
    h.shell.run("kill -KILL " .. fork)
    h.assert_received(api, 60)
  end)
end)
