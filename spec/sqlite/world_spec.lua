-- A store in surroundings that are not the usual ones: other threads and
-- forks, namespaces, clocks, systems and hosts that refuse something.

local h = require "spec.helper"

local OUTAGE = { fail_status = 503 }
-- After many forks of several threads these hang by themselves.
local it_unsanitized = os.getenv "SANITIZER" and pending or it
local WORKS = { fail_status = false }

describe("a store in a directory", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local function await(child, word)
    h.says(child, word, 60)
  end

  -- What is there arrives, each event once, and then nothing is left.
  local function all_arrive(count, options)
    api:config(WORKS)
    h.ended_well(disk:drain(api, h.merge({ timeout = 60 }, options)))
    h.assert_received(api, count)
    assert.equal("ok", disk:sql "PRAGMA integrity_check")
  end

  it("is not used where the host has put SQLite into single-thread mode",
    function()
      local result = disk:run(api, [[
        capture(client, 1, 50)
        assert(client:flush(25))
      ]], { env = { LD_PRELOAD = h.preload "single_thread" } })
      assert.equal(0, result.status, result.stderr)
      assert.equal("seerstack: warn: store: failing, events are kept in "
        .. "memory alone: the host has put SQLite into single-thread mode\n",
        result.stderr)
      h.assert_received(api, 50)
    end)

  local function refusing(count)
    return { env = {
      LD_PRELOAD = h.preload "threads", SEER_THREADS_REFUSED = count,
    } }
  end

  it("is not used where the system grants no thread", function()
    h.ended_well(disk:start(api, [[
      capture(client, 1, 50)
      assert(client:flush(25))
      local store = client:stats().store
      assert(store.state == "closed")
      assert(store.error == "the system grants no thread")
      capture(client, 51, 60)
    ]], refusing(1000)))
    h.assert_received(api, 60)
  end)

  it("is used when the system grants a thread at last", function()
    h.ended_well(disk:start(api, [[
      local last = 0
      repeat
        last = last + 1
        capture(client, last, last)
        assert(client:flush(25))
        socket.sleep(0.05)
      until client:stats().store.state == "open"
      capture(client, last + 1, last + 1)
      assert(client:persist(25))
    ]], refusing(4)))
    assert.is_true(api:count() > 1)
    h.assert_received(api, api:count())
  end)

  -- Where the disk takes long the child of a fork has none, and another is
  -- made.
  it_unsanitized("has what one leaves that forks a hundred times while "
    .. "another thread captures", function()
    api:config(OUTAGE)
    local child = disk:start(api, [[
      capture(client, 1, 1)
      native.thread(([=[
        local socket = require "socket"
        local client = require "seerstack".new {
          rate_limit = false, log_level = "off",
          store = require "seerstack.sqlite".open { directory = %q },
        }
        for i = 101, 400 do
          assert(client.events.capture { name = "a.b", data = { i = i } })
          socket.sleep(0.005)
        end
        assert(client:persist(25))
        assert(io.open(%q, "w")):close()
        socket.sleep(100)
      ]=]):format(arg[1], arg[2]))
      for i = 2, 100 do
        local status
        repeat
          local pid = native.fork()
          if pid == 0 then
            if client:stats().store.state == "barred" then
              native.exit(9)
            end
            capture(client, i, i)
            assert(client:persist(25))
            native.exit(0)
          end
          status = native.wait(pid)
        until status ~= 9
        assert(status == 0)
      end
      assert(client:persist(25))
      while not io.open(arg[2]) do
        socket.sleep(0.01)
      end
      tell "stored"
      socket.sleep(100)
    ]], { timeout = 90, env = h.NO_LEAKS, with = "log_level = 'off'",
      args = { disk.directory, disk.parents .. "/done" } })
    await(child, "stored")
    child:kill "KILL"
    child:wait()
    assert.equal(400, disk:totals().nobodys)
    all_arrive(400)
  end)

  it("goes on in the child of a process that makes itself a daemon",
    function()
      api:config(OUTAGE)
      local parent = disk:start(api, [[
        capture(client, 1, 50)
        assert(client:persist(25))
        if native.fork() ~= 0 then
          native.exit(0)
        end
        capture(client, 51, 100)
        assert(client:persist(25))
        assert(io.open(arg[1], "w")):close()
        while client:stats().store.delivered < 50 do
          socket.sleep(0.01)
        end
        assert(client:flush(25))
      ]], { args = { disk.parents .. "/daemon" }, env = h.NO_LEAKS,
        with = "log_level = 'off'" })
      assert.equal(0, parent:wait().status)
      h.wait(function()
        return h.shell.read(disk.parents .. "/daemon")
      end, 20)
      api:config(WORKS)
      h.wait(function()
        local totals = disk:totals()
        return totals.events == 0 and totals.owners == 0
      end, 60)
      h.assert_received(api, 100)
    end)

  it("is left alone by a child that was made without handlers of fork",
    function()
      api:config(OUTAGE)
      local child = disk:start(api, [[
        capture(client, 1, 50)
        assert(client:persist(25))
        local pid = native.raw_fork()
        if pid == 0 then
          os.exit(0, true)
        end
        assert(native.wait(pid) == 0)
        capture(client, 51, 100)
        assert(client:persist(25))
        tell "stored"
        socket.sleep(100)
      ]], { env = h.NO_LEAKS, with = "log_level = 'off'" })
      await(child, "stored")
      assert.equal(1, disk:totals().owners)
      assert.equal(0, disk:totals().nobodys)
      child:kill "KILL"
      child:wait()
      all_arrive(100)
    end)

  it("may be used by two copies of the module in a process", function()
    api:config(OUTAGE)
    local copy = disk.parents .. "/copy.so"
    assert.equal(0, h.shell.run("cp "
      .. h.shell.join { h.library "seerstack/sqlite", copy }))
    local child = disk:start(api, [[
      local copy = assert(package.loadlib(arg[2],
        "luaopen_seerstack_sqlite"))("seerstack.sqlite")
      local other = client:with_options {
        store = copy.open { directory = arg[1] },
      }
      for i = 1, 100 do
        capture(i % 2 == 0 and client or other, i, i)
      end
      assert(client:persist(25) and other:persist(10))
      tell "stored"
      socket.sleep(100)
    ]], { args = { disk.directory, copy },
      with = "log_level = 'off'" })
    await(child, "stored")
    assert.equal(2, disk:totals().owners)
    child:kill "KILL"
    child:wait()
    all_arrive(100)
  end)

  -- As in two containers that share a volume: in each the program has the
  -- same number, and sees no process of the other.
  it("knows who lives over namespaces of processes and mounts", function()
    api:config(OUTAGE)
    local apart = { prefix = h.apart
      "-p -m -f --kill-child --propagation unchanged",
      with = "log_level = 'off'", env = h.NO_LEAKS }
    local first = disk:hold(api, 50, apart)
    h.ended_well(disk:start(api, [[
      assert(native.pid() == 1)
      capture(client, 51, 100)
      assert(client:persist(25))
      assert(client:stats().store.adopted == 0)
    ]], h.merge(apart, { with = "exit_timeout = 0, log_level = 'off'" })))
    assert.equal(50, disk:totals().nobodys)
    assert.equal(1, disk:totals().owners)
    first:kill "KILL"
    first:wait()
    h.wait(function() return disk:totals().nobodys == 100 end, 10)
    all_arrive(100)
  end)

  for what, seconds in pairs { forward = "86400", back = "-86400" } do
    it("loses nothing to a clock that is set a day " .. what, function()
      local clock = disk.parents .. "/clock"
      local set = { LD_PRELOAD = h.preload "wall_clock",
        SEER_CLOCK_FILE = clock }
      api:config(OUTAGE)
      local child = disk:hold(api, 50,
        { env = set, with = "log_level = 'off', max_age = 3600" })
      h.shell.write(clock, seconds)
      disk:leave(api, 51, 100, { env = set })
      assert.is_true(disk:totals().oldest < 1000)
      all_arrive(100, { with = "max_age = 3600, log_level = 'off'" })
      child:finish()
    end)
  end
end)
