-- A store that does not do what it should: events go on without it, capture
-- never waits, and one line tells.

local h = require "spec.helper"

local FAILING = "seerstack: warn: store: failing, events are kept in memory "
  .. "alone: %s\n"

describe("a store that is", function()
  local api = h.standin { rate_limit = false }
  local file = h.each(h.stores.new, function(f) f:remove() end)

  -- What it is told to be, what one line tells then, and how many rows are
  -- left when all is delivered: those of which the client knows nothing.
  local FAULTS = {
    { "slow 200" },
    { "forgetful" },
    { "full", "seerstack: warn: store: full, events are kept in memory "
        .. "alone\n" },
    { "later", FAILING:format "told to be later" },
    { "broken", FAILING:format "told to be broken" },
    { "lost", FAILING:format "told to be lost" },
    { "unsure", FAILING:gsub(": %%s", ""), left = 300 },
    { "refuse", FAILING:format "refused" },
  }

  for _, fault in ipairs(FAULTS) do
    it(fault[1] .. " keeps no event from being delivered", function()
      file:be(fault[1])
      local result = file:run(api, [[
        for i = 1, 3 do
          capture(client, 100 * i - 99, 100 * i)
          socket.sleep(0.05)
        end
        assert(client:flush(10))
        assert(client:stats().delivered == 300)
      ]])
      assert.equal(fault[2] or "", result.stderr)
      assert.equal(0, result.status)
      h.assert_received(api, 300)
      assert(#file:rows() <= (fault.left or 0), #file:rows())
    end)
  end

  it("failing is used again when it works", function()
    file:be "later"
    h.ended_well(file:start(api, [[
      capture(client, 1, 10)
      while client:stats().store.state ~= "failing" do
        socket.sleep(0.01)
      end
      assert(client:flush(10))
      local stats = client:stats().store
      assert(stats.error == "told to be later")
      os.remove(disk_path .. ".control")
      while client:stats().store.state == "failing" do
        capture(client, 11, 11)
        socket.sleep(0.05)
      end
      assert(client:persist(5))
      assert(client:flush(10))
    ]], { with = "log_level = 'error'" }))
    assert.same({}, file:rows())
  end)

  -- Nobody waits for it, and what it has put after all is taken back.
  it("hung keeps no event from being delivered", function()
    file:be "hang"
    local child = file:start(api, [[
      local began = socket.gettime()
      capture(client, 1, 600)
      assert(client:flush(10))
      tell "delivered"
      capture(client, 601, 700)
      assert(client:flush(10))
      tell "again"
      assert(io.read() == nil)
      while client:stats().store.state ~= "open" do
        socket.sleep(0.01)
      end
      capture(client, 701, 701)
      assert(client:persist(5))
      assert(client:flush(10))
    ]])
    h.wait(function() return child:stdout():find "again" end, 10)
    file:be(nil)
    h.ended_well(child)
    h.assert_received(api, 701)
    assert.same({}, file:rows())
  end)

  it("hung does not hold up the end of the process", function()
    file:be "hang"
    api:config { fail_status = 503 }
    local result = file:run(api, "capture(client, 1, 20)",
      { with = "exit_timeout = 0" })
    assert.matches("20 events were not delivered before exit", result.stderr)
    h.assert_in_time(result, 2)
  end)

  it("is tried again though no event comes", function()
    file:be "broken"
    local child = file:start(api, [[
      capture(client, 1, 5)
      assert(client:flush(10))
      assert(client:stats().store.state == "failing")
      tell "failing"
      while client:stats().store.state ~= "open" do
        socket.sleep(0.01)
      end
    ]], { with = "log_level = 'off'" })
    h.wait(function()
      return child:done() or child:stdout():find "failing"
    end, 10)
    file:be(nil)
    h.ended_well(child)
  end)

  it("full makes room where the oldest may go", function()
    file:be "full"
    h.ended_well(file:start(api, [[
      capture(client, 1, 5)
      assert(client:flush(10))
      assert(client:stats().store.state == "full")
    ]], { with = "overflow = 'drop_oldest', log_level = 'error'" }))
  end)
end)

describe("a store of another version", function()
  local api = h.standin { rate_limit = false }
  local file = h.each(h.stores.new, function(f) f:remove() end)

  it("is not used, and one line says why", function()
    local result = file:run(api, [[
      local other = require "seer_spec_store".open {
        path = disk_path, abi = 99 }
      local without = client:with_options { store = other }
      capture(without, 1, 20)
      assert(without:flush(10))
      local stats = without:stats().store
      assert(stats.state == "barred" and stats.name == "unknown")
    ]])
    local ours = h.shell.read "src/core/store.h":match "STORE_ABI (%d+)"
    assert.equal("seerstack: warn: store: not used: its module has version 99 "
      .. "of the interface, this one needs " .. ours .. ": install both of "
      .. "the same release\n", result.stderr)
    assert.equal(0, result.status)
    h.assert_received(api, 20)
  end)
end)
