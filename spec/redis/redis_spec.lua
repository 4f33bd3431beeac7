-- Events that outlive their process and its machine, in Redis.

local h = require "spec.helper"
local redis = require "seerstack.redis"

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }

describe("seerstack.redis", function()
  local api = h.standin { rate_limit = false }
  local server = h.each(h.redises.new, function(s) s:remove() end)

  h.keeping.specs(api, server, { events = 200, rest = 50, opens = {
    [""] = "",
  } })

  it("takes one that is killed for alive until its lease ends", function()
    api:config(OUTAGE)
    local child = server:hold(api, 700)
    child:kill "KILL"
    child:wait()
    local totals = server:totals()
    assert.equal(1, totals.owners)
    assert.is_true(totals.nobodys < 700)
    server:end_leases()
    assert.equal(700, server:totals().nobodys)
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
      h.says(child, "stored", 20)
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

  it("keeps apart what is under another prefix", function()
    api:config(OUTAGE)
    server:leave(api, 1, 3)
    api:config(WORKS)
    h.ended_well(server:start(api, [[
      assert(client:persist(25))
      assert(client:stats().store.adopted == 0)
    ]], { open = "prefix = 'other'" }))
    assert.equal(3, server:totals().nobodys)
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
