-- What every store keeps, whatever it is: specs for one kind, whose places are
-- as those of disks.lua and of redises.lua.

local assert = require "luassert"
local busted = require "busted"
local h = require "spec.helper"

local keeping = {}

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }
local SILENT = { with = "exit_timeout = 0, log_level = 'off'" }

local it = busted.it

-- For a program that is killed, and dead to all others then.
local function kill(place, child)
  child:kill "KILL"
  child:wait()
  place:end_leases()
end

-- What is in the place arrives, each of these events once, and nothing is left
-- of it.
local function all_arrive(api, place, count)
  api:config(WORKS)
  h.ended_well(place:drain(api))
  h.assert_received(api, count)
  assert.equal("", place:leftovers())
end

local function at_the_end(api, place, of)
  it("has nothing left when all is delivered", function()
    h.ended_well(place:start(api, [[
      capture(client, 1, 500)
      assert(client:flush(25))
      local stats = client:stats()
      assert(stats.delivered + stats.store.delivered == 500)
    ]]))
    h.assert_received(api, 500)
    assert.equal("", place:leftovers())
  end)

  it("delivers at exit what there is time for", function()
    h.ended_well(place:start(api, "capture(client, 1, 50)",
      { with = "exit_timeout = 20" }))
    h.assert_received(api, 50)
    assert.equal(0, place:totals().events)
  end)

  it("keeps what is not delivered at exit, and the next start sends it",
    function()
      local count, rest = of.events, of.rest
      api:config(OUTAGE)
      local result = h.ended_well(place:start(api, ([[
        local began = socket.gettime()
        capture(client, 1, %d)
        assert(client:persist(25)) -- an exit has a second for the rest
        capture(client, %d, %d)
        tell(socket.gettime() - began)
      ]]):format(count - rest, count - rest + 1, count),
        { with = "exit_timeout = 0, log_level = 'error'" }))
      h.assert_in_time(
        { seconds = result.seconds - tonumber(result.stdout) }, 5)
      local totals = place:totals()
      assert.equal(count, totals.events)
      assert.equal(count, totals.nobodys)
      assert.equal(0, totals.owners)
      all_arrive(api, place, count)
    end)
end

local function of_the_dead(api, place, of)
  for how, open in pairs(of.opens) do
    it("loses nothing that was stored " .. how .. "when it is killed",
      function()
        api:config(OUTAGE)
        local child = place:hold(api, 700, { open = open })
        assert.equal(1, place:totals().owners)
        kill(place, child)
        assert.equal(700, place:totals().nobodys)
        all_arrive(api, place, 700)
      end)
  end

  it("sends what one has left that was killed, while it runs", function()
    api:config(OUTAGE)
    local first = place:hold(api, 20)
    local second = place:start(api, [[
      assert(client:persist(25))
      tell "ready"
      while client:stats().store.delivered < 20 do
        socket.sleep(0.01)
      end
    ]], { with = "log_level = 'off'" }) -- it may adopt before the API works
    h.says(second, "ready", 20)
    kill(place, first)
    api:config(WORKS)
    h.ended_well(second)
    h.assert_received(api, 20)
  end)

  it("leaves alone what somebody has who lives", function()
    api:config(OUTAGE)
    local child = place:hold(api, 20)
    api:config(WORKS)
    h.ended_well(place:start(api, [[
      assert(client:persist(25))
      assert(client:flush(25))
      assert(client:stats().store.adopted == 0)
    ]]))
    h.wait(function() return api:count() == 20 end, 10)
    child:finish()
    h.assert_received(api, 20)
  end)

  it("counts the deaths of a row's owners, and then sends it by itself",
    function()
      api:config(OUTAGE)
      for n = 1, 2 do
        local child = place:hold(api, 1)
        h.wait(function() return place:totals().nobodys == 0 end, 20)
        kill(place, child)
        assert.equal(n, place:totals().nobodys)
      end
      h.ended_well(place:start(api, [[
        assert(client:persist(25))
        while client:stats().store.adopted < 2 do
          socket.sleep(0.01)
        end
      ]], SILENT))
      assert.equal(2, place:totals().nobodys)
      assert.equal("1,2", place:tries())
      api:config(WORKS)
      h.ended_well(place:drain(api))
      assert.equal(2, api:count())
    end)
end

local function of_others(api, place)
  it("loses nothing in ten restarts during an outage", function()
    api:config(OUTAGE)
    for n = 1, 10 do
      h.ended_well(place:start(api, ([[
        capture(client, %d, %d)
        assert(client:persist(25))
        while client:stats().store.adopted < %d do
          socket.sleep(0.01)
        end
      ]]):format(10 * n - 9, 10 * n, 10 * n - 10), SILENT))
    end
    assert.matches("^[0,]+$", place:tries())
    all_arrive(api, place, 100)
  end)

  it("keeps apart what is under another key, or another URL", function()
    api:config(OUTAGE)
    place:leave(api, 1, 3)
    api:config(WORKS)
    for _, other in ipairs {
      "api_key = 'sk_other'", "base_url = 'http://127.0.0.1:9'",
    } do
      h.ended_well(place:start(api, [[
        assert(client:persist(25))
        assert(client:stats().store.adopted == 0)
      ]], { with = other .. ", exit_timeout = 0" }))
    end
    assert.equal(3, place:totals().nobodys)
  end)

  it("works in children of a fork, which leave the parent's alone", function()
    api:config(OUTAGE)
    local child = place:start(api, [[
      capture(client, 1, 100)
      assert(client:persist(25))
      for n = 1, 4 do
        local pid = native.fork()
        if pid == 0 then
          capture(client, 100 * n + 1, 100 * n + 100)
          assert(client:persist(25))
          os.execute "kill -9 $PPID"
          native.exit(0)
        end
        native.wait(pid)
        capture(client, 500 + n, 500 + n)
        assert(client:persist(25))
      end
      tell "stored"
      socket.sleep(100)
    ]], { env = h.NO_LEAKS })
    h.says(child, "stored", 20)
    kill(place, child)
    assert.equal(504, place:totals().nobodys)
    all_arrive(api, place, 504)
  end)
end

-- The specs of a place, with this API. Of the kind: `events` that it keeps at
-- an exit, with a `rest` that is stored then; how it may be opened, `opens`.
function keeping.specs(api, place, of)
  at_the_end(api, place, of)
  of_the_dead(api, place, of)
  of_others(api, place)
end

return keeping
