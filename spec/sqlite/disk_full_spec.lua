-- A file system that is full, or read-only: of its own, so it takes root.

local h = require "spec.helper"

local function may_mount()
  return h.shell.run("d=$(mktemp -d) && mount -t tmpfs -o size=1m none $d "
    .. "2>/dev/null && umount $d && rmdir $d") == 0
end

describe("a store on a disk of its own", function()
  local api = h.standin { rate_limit = false }
  local place, disk

  before_each(function()
    place = h.shell.temporary_directory("mount")
    disk = h.disks.new(place)
  end)

  after_each(function()
    h.shell.run("umount " .. h.shell.quote(place) .. " 2>/dev/null")
    h.shell.remove(place)
  end)

  local function mount(options)
    return h.shell.run(("mount -t tmpfs -o size=%s none %s"):format(options,
      h.shell.quote(place))) == 0
  end

  if not may_mount() then
    pending "is full, or read-only: only root may mount one"
    return
  end

  -- Without an answer events are stored until there is no room.
  local FILL = [[
    local pad = ("x"):rep(tonumber(arg[2]))
    repeat
      for i = 1, 50 do
        assert(client.events.capture { name = "a.b",
          data = { i = i, pad = pad } })
      end
      client:persist(0.2)
    until client:stats().store.state == "full"
    tell "full"
    while not io.open(arg[1] .. "/go") do socket.sleep(0.01) end
    assert(client:flush(60))
    local seen
    repeat
      seen = require "seerstack.sqlite".totals(arg[1]) -- nil: it is busy
      socket.sleep(0.05)
    until seen and seen.events == 0
    tell(client:stats().accepted)
  ]]
  local LARGE = "log_level = 'warn', max_queue_events = 100000, "
    .. "max_queue_bytes = 2^28, max_in_flight = 8"

  -- What a program has said, but for the line about tmpfs, which is there.
  local function said(result)
    assert.equal(0, result.status, result.stderr)
    local rest, count = result.stderr:gsub("seerstack: warn: store: [^\n]* is "
      .. "on tmpfs: it is gone with the container or the machine\n", "")
    assert.equal(1, count, result.stderr)
    return rest
  end

  local function occupy()
    h.shell.run(("cat /dev/zero >%s/fill 2>/dev/null")
      :format(h.shell.quote(place)))
  end

  -- Starts a program that has filled the store, of events so large.
  local function fill(size)
    api:config { fail_status = 503, keep = false }
    local child = disk:start(api, FILL, { with = LARGE, timeout = 120,
      args = { disk.directory, size } })
    h.says(child, "full", 60)
    return child
  end

  -- Who has taken the last of the room, and how large events are.
  local FULL = {
    { "by itself", 20000, function() end },
    { "by itself, with small events", 1000, function() end },
    { "and by others, to the last byte", 20000, occupy },
    { "and by others, with small events", 1000, occupy },
  }

  for _, case in ipairs(FULL) do
    it("that it has filled " .. case[1] .. " forgets what was sent",
      function()
        assert(mount "24m")
        local child = fill(case[2])
        case[3]()
        api:config { fail_status = false }
        -- There is room for its name, but not for a byte in it.
        assert.equal(0, h.shell.run(": >" .. disk:path "go"))
        local result = child:wait()
        assert.matches("^[^\n]*503[^\n]*\nseerstack: warn: store: full, "
          .. "events are kept in memory alone: [^\n]* is full\n$",
          said(result))
        local accepted = tonumber(result.stdout:match "(%d+)%s*$")
        assert.equal(accepted, api:count())
        h.ended_well(disk:drain(api, { with = "log_level = 'error'" }))
        assert.equal(accepted, api:count())
      end)

    it("that it has filled " .. case[1] .. " is drained by the next",
      function()
        assert(mount "24m")
        local child = fill(case[2])
        child:kill "KILL"
        child:wait()
        case[3]()
        local stored = disk:totals().events
        assert.is_true(stored > 500)
        api:config { fail_status = false }
        for _ = 1, 2 do -- the second finds nothing
          h.ended_well(disk:drain(api, { with = "log_level = 'error'",
            timeout = 120 }))
          assert.equal(stored, api:count())
        end
      end)
  end

  it("that others have filled keeps no event from being delivered",
    function()
      assert(mount "24m")
      assert.equal("", said(disk:run(api, [[
        capture(client, 1, 10)
        assert(client:flush(25))
      ]])))
      occupy()
      local result = disk:run(api, [[
        capture(client, 11, 600)
        assert(client:flush(25))
      ]])
      assert.equal(0, result.status, result.stderr)
      h.assert_received(api, 600)
      assert.equal(0, disk:totals().events)
    end)

  -- The last event that may stay in memory is stored, and the keeper waits for
  -- company: that are 173 as a rule, whose pages and then their owners do not
  -- fit into the log together. On the disk is room for the former.
  it("that others fill while a commit takes so long that events go on without "
    .. "it leaves none of these to others", function()
      assert(mount "24m")
      api:config { fail_status = 503, keep = false }
      local beside = h.shell.temporary_directory "trouble"
      local trouble, ended = beside .. "/trouble", beside .. "/end"
      local child = disk:start(api, [[
        local pad = ("x"):rep(20000)
        local function await(condition)
          while not condition(client:stats()) do end
        end
        for _ = 1, 199 do
          assert(client.events.capture({ name = "a.b" }, { timeout = 9 }))
        end
        capture(client, 1, 1)
        await(function(stats) return stats.store.unsaved == 199 end)
        io.open(arg[1], "w"):close()
        for i = 1, 173 do
          assert(client.events.capture { name = "a.b",
            data = { i = i, pad = pad } })
        end
        await(function(stats) return stats.store.state == "failing" end)
        tell "failing"
        socket.sleep(100)
      ]], { with = "log_level = 'off', max_queue_events = 400", timeout = 60,
        args = { trouble }, env = {
          LD_PRELOAD = h.preload "troubled", SEER_TROUBLE = trouble,
          SEER_TROUBLE_CALL = "pwrite64", SEER_TROUBLE_END = ended,
          SEER_TROUBLE_TEXT = ("x"):rep(1000), SEER_TROUBLE_POLITE = 1,
        } })
      h.says(child, "failing", 30)
      local holder = h.start { code = [[
        tell "ready"
        native.hold_byte(arg[1])
        tell "held"
        socket.sleep(100)
      ]], args = { disk.directory .. "/lock" }, env = h.environment("", "") }
      h.says(holder, "ready", 20)
      h.shell.run(("head -c 3650000 /dev/zero >%s/rest")
        :format(h.shell.quote(place)))
      occupy()
      h.shell.run(("rm %s/rest"):format(h.shell.quote(place)))
      h.shell.write(ended, "")
      h.says(holder, "held", 30)
      assert.is_true(tonumber(disk:sql "SELECT count(*) FROM event") > 1)
      assert.equal("0",
        disk:sql "SELECT count(*) FROM event WHERE owner >= 1 << 62")
      holder:finish()
      child:finish()
      h.shell.remove(beside)
    end)

  it("read-only keeps no event from being delivered", function()
    assert(mount "24m")
    api:config { fail_status = 503 }
    disk:leave(api, 1, 10)
    assert.equal(10, disk:totals().nobodys)
    assert.equal(0, h.shell.run("mount -o remount,ro "
      .. h.shell.quote(place)))
    api:config { fail_status = false }
    local result = disk:run(api, [[
      capture(client, 11, 60)
      assert(client:flush(25))
    ]])
    assert.equal(0, result.status, result.stderr)
    assert.matches("failing, events are kept in memory alone: [^\n]*"
      .. "Read%-only file system\n$", result.stderr)
    assert.equal(50, api:count())
    assert.equal(0, h.shell.run("mount -o remount,rw "
      .. h.shell.quote(place)))
    h.ended_well(disk:drain(api, { with = "log_level = 'error'" }))
    h.assert_received(api, 60)
  end)
end)
