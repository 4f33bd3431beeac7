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

  local CAPTURE = [[
    local pad = ("x"):rep(20000)
    for i = 1, 2000 do
      assert(client.events.capture { name = "a.b",
        data = { i = i, pad = pad } })
      if i % 50 == 0 then client:persist(0.2) end
    end
  ]]
  local LARGE = "log_level = 'warn', max_queue_events = 100000, "
    .. "max_queue_bytes = 2^28, max_in_flight = 8"

  it("full keeps no event from being delivered, and goes on with room again",
    function()
      assert(mount "24m")
      api:config { fail_status = 503, keep = false }
      local child = disk:start(api, CAPTURE .. [[
        while client:stats().store.state ~= "full" do
          capture(client, 1, 1)
          socket.sleep(0.01)
        end
        tell "full"
        while not io.open(arg[1]) do socket.sleep(0.01) end
        assert(client:flush(60))
        tell(client:stats().accepted)
      ]], { with = LARGE, timeout = 120, args = { disk.directory .. "/go" } })
      h.wait(function() return child:done() or child:stdout():find "full" end,
        60)
      -- Others take what is left: there is still the ballast.
      h.shell.run(("cat /dev/zero >%s/fill 2>/dev/null")
        :format(h.shell.quote(place)))
      api:config { fail_status = false }
      assert.equal(0, h.shell.run(": >" .. disk:path "go"))
      local result = child:wait()
      assert.equal(0, result.status, result.stderr)
      assert.matches("is full", result.stderr)
      local accepted = tonumber(result.stdout:match "(%d+)%s*$")
      assert.equal(0, h.shell.run("mount -o remount,size=64m "
        .. h.shell.quote(place)))
      h.ended_well(disk:drain(api, { with = "log_level = 'error'",
        timeout = 120 }))
      -- What could not be forgotten is sent again.
      assert.is_true(api:count() >= accepted, api:count())
      assert.equal(0, disk:totals().events)
    end)

  it("read-only keeps no event from being delivered", function()
    assert(mount "24m")
    api:config { fail_status = 503 }
    h.ended_well(disk:start(api, "capture(client, 1, 10)",
      { with = "exit_timeout = 0, log_level = 'off'" }))
    assert.equal(10, disk:totals().nobodys)
    assert.equal(0, h.shell.run("mount -o remount,ro "
      .. h.shell.quote(place)))
    api:config { fail_status = false }
    local result = disk:run(api, [[
      capture(client, 11, 60)
      assert(client:flush(10))
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
