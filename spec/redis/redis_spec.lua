-- Events that outlive their process and its machine, in Redis.

local h = require "spec.helper"
local redis = require "seerstack.redis"

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }
local SILENT = { with = "exit_timeout = 0, log_level = 'off'" }

describe("seerstack.redis", function()
  local api = h.standin { rate_limit = false }
  local server = h.each(h.redises.new, function(s) s:remove() end)

  it("has nothing left when all is delivered", function()
    h.ended_well(server:start(api, [[
      capture(client, 1, 500)
      assert(client:flush(25))
      local stats = client:stats()
      assert(stats.delivered + stats.store.delivered == 500)
    ]]))
    h.assert_received(api, 500)
    assert.equal(0, server:totals().events)
    assert.equal("0", server:ask("ZCARD", server:key "owners"))
    assert.equal("", server:ask("KEYS", "*:o:*"))
  end)

  it("delivers at exit what there is time for", function()
    h.ended_well(server:start(api, "capture(client, 1, 50)",
      { with = "exit_timeout = 20" }))
    h.assert_received(api, 50)
    assert.equal(0, server:totals().events)
  end)

  it("keeps what is not delivered at exit, and the next start sends it",
    function()
      api:config(OUTAGE)
      local result = h.ended_well(server:start(api, [[
        local began = socket.gettime()
        capture(client, 1, 150)
        assert(client:persist(25)) -- an exit has a second for the rest
        capture(client, 151, 200)
        tell(socket.gettime() - began)
      ]], SILENT))
      h.assert_in_time(
        { seconds = result.seconds - tonumber(result.stdout) }, 1)
      local totals = server:totals()
      assert.equal(200, totals.events)
      assert.equal(200, totals.nobodys)
      assert.equal(0, totals.owners)
      api:config(WORKS)
      h.ended_well(server:drain(api))
      h.assert_received(api, 200)
    end)

  it("loses nothing that was stored when it is killed", function()
    api:config(OUTAGE)
    local child = server:hold(api, 700)
    assert.equal(1, server:totals().owners)
    child:kill "KILL"
    child:wait()
    local owned = server:totals().events - server:totals().nobodys
    assert.is_true(owned > 0)
    server:end_leases()
    assert.equal(700, server:totals().nobodys)
    api:config(WORKS)
    h.ended_well(server:drain(api))
    h.assert_received(api, 700)
    assert.equal("", server:ask("KEYS", "*:o:*"))
  end)

  it("leaves alone what a process has whose lease holds", function()
    api:config(OUTAGE)
    local child = server:hold(api, 20)
    api:config(WORKS)
    h.ended_well(server:start(api, [[
      assert(client:persist(25))
      assert(client:flush(25))
      assert(client:stats().store.adopted == 0)
    ]]))
    h.wait(function() return api:count() == 20 end, 10)
    child:finish()
    h.assert_received(api, 20)
  end)

  it("sends what one has left that was killed, while it runs", function()
    api:config(OUTAGE)
    local first = server:hold(api, 20)
    local second = server:start(api, [[
      assert(client:persist(25))
      tell "ready"
      while client:stats().store.delivered < 20 do
        socket.sleep(0.01)
      end
    ]])
    h.wait(function() return second:stdout():find "ready" end, 10)
    first:kill "KILL"
    first:wait()
    server:end_leases()
    api:config(WORKS)
    local result = second:wait()
    assert.equal(0, result.status, result.stderr)
    h.assert_received(api, 20)
  end)

  it("counts the deaths of a row's owners, and then sends it by itself",
    function()
      api:config(OUTAGE)
      for _ = 1, 2 do
        local child = server:hold(api, 1)
        h.wait(function() return server:totals().nobodys == 0 end, 20)
        child:kill "KILL"
        child:wait()
        server:end_leases()
      end
      h.ended_well(server:start(api, [[
        assert(client:persist(25))
        while client:stats().store.adopted < 2 do
          socket.sleep(0.01)
        end
      ]], SILENT))
      local tries = {}
      for _, row in ipairs(server:rows()) do
        assert.is_false(row.owned)
        tries[#tries + 1] = row.tries
      end
      table.sort(tries)
      assert.same({ 1, 2 }, tries)
      api:config(WORKS)
      h.ended_well(server:drain(api))
      assert.equal(2, api:count())
    end)

  it("loses nothing in five restarts during an outage", function()
    api:config(OUTAGE)
    for n = 1, 5 do
      h.ended_well(server:start(api, ([[
        capture(client, %d, %d)
        assert(client:persist(25))
        while client:stats().store.adopted < %d do
          socket.sleep(0.01)
        end
      ]]):format(10 * n - 9, 10 * n, 10 * n - 10), SILENT))
    end
    for _, row in ipairs(server:rows()) do
      assert.equal(0, row.tries)
    end
    api:config(WORKS)
    h.ended_well(server:drain(api))
    h.assert_received(api, 50)
  end)

  it("keeps a user's identifies in order behind one that is in Redis alone",
    function()
      api:config(OUTAGE)
      local child = server:start(api, [[
        capture(client, 1, 2000)
        assert(client.users.identify { user_id = "u", name = "old" })
        assert(client:persist(25))
        for i = 1, 20 do
          assert(client.users.identify { user_id = "u", name = "new" .. i })
        end
        assert(client:persist(25))
        tell "stored"
        assert(client:flush(30))
        while assert(redis.totals(place)).events > 0 do
          socket.sleep(0.01)
        end
      ]], { with = "log_level = 'off'" })
      h.wait(function()
        return child:done() or child:stdout():find "stored"
      end, 20)
      local waiting = 0
      for _, row in ipairs(server:rows()) do
        waiting = waiting + (row.kind == 1 and not row.owned and 1 or 0)
      end
      assert.equal(21, waiting)
      api:config(WORKS)
      h.ended_well(child)
      local names, expected = {}, { "old" }
      for _, event in ipairs(api:events()) do
        if event.path == "/identify" then
          names[#names + 1] = h.body_of(event).name
        end
      end
      for i = 1, 20 do
        expected[#expected + 1] = "new" .. i
      end
      assert.same(expected, names)
    end)

  it("keeps apart what is under another key, or another prefix", function()
    api:config(OUTAGE)
    server:leave(api, 1, 3)
    api:config(WORKS)
    h.ended_well(server:start(api, [[
      assert(client:persist(25))
      assert(client:stats().store.adopted == 0)
    ]], { with = "api_key = 'sk_other', exit_timeout = 0" }))
    h.ended_well(server:start(api, [[
      assert(client:persist(25))
      assert(client:stats().store.adopted == 0)
    ]], { open = "prefix = 'other'" }))
    assert.equal(3, server:totals().nobodys)
  end)

  it("works in children of a fork, which leave the parent's alone", function()
    api:config(OUTAGE)
    local child = server:start(api, [[
      capture(client, 1, 100)
      assert(client:persist(25))
      for n = 1, 4 do
        local pid = native.fork()
        if pid == 0 then
          capture(client, 100 * n + 1, 100 * n + 100)
          assert(client:persist(25))
          native.exit(0)
        end
        native.wait(pid)
        capture(client, 1000 + n, 1000 + n)
        assert(client:persist(25))
      end
      tell "stored"
      socket.sleep(100)
    ]], { env = h.NO_LEAKS })
    h.wait(function() return child:done() or child:stdout():find "stored" end,
      20)
    child:finish()
    server:end_leases()
    assert.equal(504, server:totals().nobodys)
    api:config(WORKS)
    h.ended_well(server:drain(api))
    assert.equal(504, api:count())
  end)

  it("lists rows of everybody in an order that stays", function()
    api:config(OUTAGE)
    local child = server:hold(api, 1000)
    local seen, owned = {}, 0
    for _, row in ipairs(server:rows()) do
      assert.equal(16, #row.uuid)
      assert.is_true(row.age >= 0 and row.age < 60)
      assert.is_nil(seen[row.body])
      seen[row.body] = true
      owned = owned + (row.owned and 1 or 0)
    end
    assert.equal(1000, #server:rows())
    assert.is_true(owned > 0 and owned < 1000)
    child:finish()
    assert.equal(1000 - owned, redis.purge { url = server.url })
    assert.equal(owned, server:totals().events)
  end)
end)
