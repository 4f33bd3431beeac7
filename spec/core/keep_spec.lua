-- Events that outlive their process: what is in a store is sent once more by
-- whoever comes next. The store is that of spec/support/store.c.

local h = require "spec.helper"

local OUTAGE = { fail_status = 503 }

describe("a client with a store", function()
  local api = h.standin { rate_limit = false }
  local file = h.each(h.stores.new, function(f) f:remove() end)

  local function all_arrive(count)
    h.wait(function() return api:count() >= count end, 10)
    h.assert_received(api, count)
  end

  it("has nothing left there when all is delivered", function()
    h.ended_well(file:start(api, [[
      capture(client, 1, 50)
      assert(client:flush(10))
      local stats = client:stats()
      assert(stats.delivered == 50 and stats.stored == 0)
    ]]))
    h.assert_received(api, 50)
    assert.same({}, file:rows())
  end)

  it("has nothing left there when a flush is over, which waits for it",
    function()
      file:be "slow 100"
      h.ended_well(file:start(api, [[
        capture(client, 1, 50)
        assert(client:flush(10))
        native.exit(0)
      ]]))
      h.assert_received(api, 50)
      assert.same({}, file:rows())
    end)

  it("is not waited for by a flush where it has what others have left",
    function()
      api:config(OUTAGE)
      h.ended_well(file:start(api, "capture(client, 1, 300)",
        { with = "exit_timeout = 0, log_level = 'off'" }))
      api:config { fail_status = false, delay = 0.05 }
      h.ended_well(file:start(api, [[
        capture(client, 301, 301)
        assert(client:flush(10))
        local stats = client:stats()
        assert(stats.delivered == 1)
        assert(stats.store.delivered < 300)
      ]], { with = "exit_timeout = 0, log_level = 'off', max_in_flight = 1" }))
    end)

  it("leaves to it what is not delivered at exit, and says nothing",
    function()
      api:config(OUTAGE)
      local result = h.ended_well(file:start(api, [[
        capture(client, 1, 1000)
      ]], { with = "exit_timeout = 0, log_level = 'error'" }))
      h.assert_in_time(result, 5)
      assert.equal(1000, file:count(false))
      api:config { fail_status = false }
      h.ended_well(file:start(api, [[
        capture(client, 1001, 1001)
        assert(client:persist(5))
        while client:stats().store.delivered < 1000 do
          socket.sleep(0.01)
        end
        assert(client:flush(10))
        local adopted = client:stats().store
        assert(adopted.adopted == 1000 and adopted.pending == 0)
      ]]))
      h.assert_received(api, 1001)
      assert.same({}, file:rows())
    end)

  it("loses nothing that was stored when it is killed", function()
    api:config(OUTAGE)
    local child = file:start(api, [[
      capture(client, 1, 200)
      assert(client:persist(5))
      tell "stored"
      native.wait(native.pid())
      socket.sleep(60)
    ]])
    h.says(child, "stored", 10)
    assert.equal(200, file:count(true))
    child:kill "KILL"
    child:wait()
    api:config { fail_status = false }
    h.ended_well(file:start(api, [[
      assert(client:flush(10))
      while client:stats().store.delivered < 200 do
        socket.sleep(0.01)
      end
      assert(client:flush(10))
    ]]))
    all_arrive(200)
    assert.same({}, file:rows())
  end)

  it("sends what another has left under the keys that it had", function()
    api:config(OUTAGE)
    h.ended_well(file:start(api, "capture(client, 1, 5)",
      { with = "exit_timeout = 0, log_level = 'off'" }))
    local keys = {}
    for _, row in ipairs(file:rows()) do
      keys[row.uuid] = true
    end
    api:config { fail_status = false }
    h.ended_well(file:start(api, [[
      assert(client:flush(10))
      while client:stats().store.delivered < 5 do
        socket.sleep(0.01)
      end
    ]]))
    for _, event in ipairs(api:events()) do
      local key = event.headers["idempotency-key"]:gsub("-", "")
      assert.is_true(keys[key])
    end
    all_arrive(5)
  end)

  it("keeps in memory what it can send soon, and the rest there alone",
    function()
      api:config(OUTAGE)
      local child = file:start(api, [[
        for first = 1, 2001, 500 do
          capture(client, first, math.min(first + 499, 2001))
          assert(client:persist(5))
        end
        local stats = client:stats()
        assert(stats.pending < 800, stats.pending)
        assert(stats.accepted == stats.pending + stats.stored)
        tell "stored"
        while client:stats().pending + client:stats().store.pending > 0
          or client:stats().store.delivered < stats.stored do
          socket.sleep(0.01)
        end
        assert(client:flush(10))
      ]], { with = "log_level = 'error'" })
      h.says(child, "stored", 10)
      api:config { fail_status = false }
      h.ended_well(child)
      h.assert_received(api, 2001)
      assert.same({}, file:rows())
    end)

  -- Half of a queue is for what enters: so much comes at a time, until it is
  -- in the store.
  for _, case in ipairs {
    { "max_queue_events = 1", count = 20, burst = 1 },
    { "max_queue_events = 2", count = 20, burst = 1 },
    { "max_queue_events = 10", count = 100, burst = 5 },
    { "max_queue_events = 100", count = 1000, burst = 50 },
    { "max_queue_events = 1000", count = 3000, burst = 500 },
    { "max_queue_bytes = 1e6", count = 20, burst = 4, size = 1e5 },
    { "max_queue_bytes = 1e6", count = 5, burst = 1, size = 6e5 },
  } do
    it(("takes %d events of %d bytes with %s"):format(case.count,
      case.size or 0, case[1]), function()
      api:config(OUTAGE)
      local child = file:start(api, ([[
        local count, burst, text = %d, %d, ("x"):rep(%d)
        for i = 1, count do
          assert(client.events.capture {
            name = "a.b", data = { i = i, text = text },
          })
          assert(i %% burst > 0 or client:persist(10))
        end
        local stats = client:stats()
        assert(stats.pending + stats.stored == count and stats.refused == 0)
        tell "stored"
        while stats.delivered + stats.store.delivered < count do
          socket.sleep(0.01)
          stats = client:stats()
        end
        assert(client:flush(10))
      ]]):format(case.count, case.burst, case.size or 0),
        { with = "log_level = 'error', " .. case[1] })
      h.says(child, "stored", 20)
      assert.equal(case.count, file:count())
      api:config { fail_status = false }
      h.ended_well(child)
      h.assert_received(api, case.count)
      assert.same({}, file:rows())
    end)
  end

  it("tells why events are not delivered that the store alone has had",
    function()
      api:config(OUTAGE)
      h.ended_well(file:start(api, [[
        capture(client, 1, 1)
        while not client:stats().last_error do
          socket.sleep(0.01)
        end
        local stats = client:stats()
        assert(stats.pending == 0 and stats.stored == 1)
        assert(stats.last_error:find "503", stats.last_error)
      ]], { with = "log_level = 'off', max_queue_events = 1" }))
    end)

  it("never gives it what somebody waits for", function()
    h.ended_well(file:start(api, [[
      local got, message = client.events.capture({ name = "a" },
        { wait = true })
      assert(got, message)
      assert(client.events.capture({ name = "b" }, { future = true }):get())
      assert(client:stats().store.state == "closed"
        or client:stats().store.state == "open")
    ]]))
    assert.equal(2, api:count())
    assert.same({}, file:rows())
  end)

  it("keeps a user's identifies in order, also those of the dead", function()
    api:config(OUTAGE)
    local child = file:start(api, [[
      for i = 1, 20 do
        assert(client.users.identify { user_id = "u", attributes = { i = i } })
        capture(client, i, i)
      end
      assert(client:persist(5))
      tell "stored"
      socket.sleep(60)
    ]])
    h.says(child, "stored", 10)
    child:kill "KILL"
    child:wait()
    api:config { fail_status = false }
    h.ended_well(file:start(api, [[
      for i = 21, 30 do
        assert(client.users.identify { user_id = "u", attributes = { i = i } })
      end
      while client:stats().store.delivered + client:stats().delivered < 50 do
        socket.sleep(0.01)
      end
      assert(client:flush(10))
    ]]))
    local last, users = 0, 0
    for _, event in ipairs(api:events()) do
      if event.path:find "identify" then
        local i = h.body_of(event).attributes.i
        assert(i > last, i .. " after " .. last)
        last, users = i, users + 1
      end
    end
    assert.equal(30, users)
  end)
end)
