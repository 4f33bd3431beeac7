-- Forks of a process with a store: rows and events are the parent's.

local h = require "spec.helper"

-- The allocator of a sanitizer, unlike the system's, is broken in the child
-- when another thread was in it.
local it_unsanitized = os.getenv "SANITIZER" and pending or it

describe("the child of a fork", function()
  local api = h.standin { rate_limit = false }
  local file = h.each(h.stores.new, function(f) f:remove() end)

  it("has a store of its own, and none of its parent's events", function()
    h.ended_well(file:start(api, [[
      capture(client, 1, 100)
      assert(client:persist(5))
      local child = native.fork()
      if child == 0 then
        assert(client:stats().pending == 0)
        capture(client, 101, 200)
        assert(client:persist(5))
        assert(client:stats().store.state == "open")
        assert(client:flush(10))
        assert(client:stats().delivered == 100)
        native.exit(0)
      end
      capture(client, 201, 300)
      assert(native.wait(child) == 0)
      assert(client:flush(10))
      assert(client:stats().delivered == 200)
    ]]))
    h.assert_received(api, 300)
    assert.same({}, file:rows())
  end)

  -- The children are as good as killed, and what each has adopted of those
  -- before it dies with it: so the last ones are sent one at a time.
  it_unsanitized("may be one of many that die", function()
    h.ended_well(file:start(api, [[
      for i = 1, 30 do
        capture(client, 10 * i - 9, 10 * i - 1)
        local child = native.fork()
        if child == 0 then
          capture(client, 10 * i, 10 * i)
          assert(client:persist(5))
          native.exit(0)
        end
        assert(native.wait(child) == 0)
      end
      assert(client:flush(10))
    ]]))
    h.ended_well(file:start(api, [[
      local rows = require "seer_spec_store".rows
      assert(client:flush(10))
      while #rows(disk_path) > 0 do
        socket.sleep(0.01)
      end
    ]]))
    local seen, count = {}, 0
    for _, event in ipairs(api:events()) do
      local number = h.body_of(event).data.i
      count = count + (seen[number] and 0 or 1)
      seen[number] = true
    end
    assert.equal(300, count)
  end)

  it("has no store where that hung at the fork, and says so", function()
    file:be "hang"
    local child = file:start(api, [[
      capture(client, 1, 10)
      while not io.open(disk_path .. ".control.hangs") do
        socket.sleep(0.002)
      end
      local child = native.fork()
      if child == 0 then
        capture(client, 11, 20)
        assert(client:stats().store.state == "barred")
        assert(client:flush(10))
        assert(client:stats().delivered == 10)
        native.exit(0)
      end
      assert(native.wait(child) == 0)
      assert(client:flush(10))
      tell "delivered"
    ]])
    h.says(child, "delivered", 10)
    file:be(nil)
    local result = child:wait()
    assert.matches("seerstack: warn: store: not used: the process was forked "
      .. "while the store was busy; this child has none\n", result.stderr, 1,
      true)
    assert.equal(0, result.status)
    h.assert_received(api, 20)
  end)

  it("leaves to its parent what was on its way", function()
    file:be "slow 100"
    h.ended_well(file:start(api, [[
      capture(client, 1, 50)
      local child = native.fork()
      if child == 0 then
        native.exit(0)
      end
      assert(native.wait(child) == 0)
      capture(client, 51, 100)
      assert(client:flush(10))
      assert(client:stats().delivered == 100)
    ]]))
    h.assert_received(api, 100)
    assert.same({}, file:rows())
  end)
end)
