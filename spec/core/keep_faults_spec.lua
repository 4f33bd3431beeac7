-- A store that does not do what it should: events go on without it, capture
-- never waits, and one line tells.

local h = require "spec.helper"

local FAILING = "seerstack: warn: store: failing, events are kept in memory "
  .. "alone: %s\n"

describe("a store that is", function()
  local api = h.standin { rate_limit = false }
  local apart = h.standin {}
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
      wait_for_state "failing"
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
      capture(client, 1, 600)
      assert(client:flush(10))
      tell "delivered"
      capture(client, 601, 700)
      assert(client:flush(10))
      tell "again"
      wait_for_state "open"
      capture(client, 701, 701)
      assert(client:persist(5))
      assert(client:flush(10))
    ]], { with = "log_level = 'error'" })
    h.says(child, "again", 10)
    file:be(nil)
    h.ended_well(child)
    h.assert_received(api, 701)
    assert.same({}, file:rows())
  end)

  it("hung while it forgets keeps no flush waiting", function()
    api:config { fail_status = 503 }
    local child = file:start(api, [[
      capture(client, 1, 20)
      assert(client:persist(5))
      tell "stored"
      assert(client:flush(600))
      tell "flushed"
      wait_for_state "open"
      assert(client:flush(10))
    ]], { with = "log_level = 'error'" })
    h.says(child, "stored", 10)
    file:be "hang"
    api:config { fail_status = false }
    h.says(child, "flushed", 20)
    file:be(nil)
    h.ended_well(child)
    h.assert_received(api, 20)
    assert.same({}, file:rows())
  end)

  -- What there is no room for in memory is put for nobody, and may be adopted
  -- at once. When the sender has taken it back, so it has what is another
  -- client's.
  it("hung has nothing adopted that was taken back meanwhile", function()
    api:config { fail_status = 503 }
    local child = file:start(api, [[
      local other = seerstack.new { store = disk,
        base_url = os.getenv "APART" }
      capture(client, 1, 512)
      assert(client:persist(5))
      local control = assert(io.open(disk_path .. ".control", "w"))
      control:write "hang 1"
      control:close()
      for i = 513, 600 do
        capture(client, i, i)
        socket.sleep(0.001)
      end
      capture(other, 1, 1)
      assert(other:flush(10))
      assert(client:stats().store.unsaved > 0)
      os.remove(disk_path .. ".control")
      tell "put"
      while #require "seer_spec_store".rows(disk_path) > 0 do
        socket.sleep(0.01)
      end
      assert(client:flush(10))
    ]], { with = "log_level = 'error'", env = { APART = apart.url } })
    h.says(child, "put", 10)
    api:config { fail_status = false }
    h.ended_well(child)
    h.assert_received(api, 600)
  end)

  local IDENTIFY = [[
    local function identify(i)
      assert(client.users.identify { user_id = "u", attributes = { i = i } })
    end
  ]]

  -- Of the rows of a user's identifies.
  local function order()
    local found = {}
    for _, row in ipairs(file:rows()) do
      found[#found + 1] = row.body:match '"attributes":{"i":(%d+)'
    end
    return table.concat(found, " ")
  end

  -- How it is told to be, and its state then.
  for fault, state in pairs {
    hang = "failing", later = "failing", full = "full",
  } do
    it("told to " .. fault .. " has again what went on without it", function()
      api:config { fail_status = 503 }
      file:be(fault)
      local child = file:start(api, IDENTIFY .. [[
        identify(1)
        capture(client, 1, 700)
        identify(2)
        wait_for_state(os.getenv "STATE")
        identify(3)
        client:persist(0.2) -- a full one is tried with it
        tell "failing"
        assert(client:persist(25))
        assert(client:stats().store.unsaved == 0)
        tell "stored"
        socket.sleep(60)
      ]], { with = "log_level = 'off'", env = { STATE = state } })
      h.says(child, "failing", 20)
      file:be(nil)
      h.says(child, "stored", 30)
      child:kill "KILL"
      child:wait()
      assert.equal(703, #file:rows())
      assert.equal("1 2 3", order())
      api:config { fail_status = false }
      h.ended_well(file:start(api, [[
        capture(client, 701, 701)
        while #require "seer_spec_store".rows(disk_path) > 0 do
          socket.sleep(0.01)
        end
      ]]))
    end)
  end

  it("hung has what was in flight when it works again", function()
    api:config { delay = 30 }
    file:be "hang"
    local child = file:start(api, [[
      capture(client, 1, 1)
      wait_for_state "open"
      assert(client:persist(9)) -- it looks every ten by itself
    ]], { with = "timeout = 2, exit_timeout = 0, log_level = 'off'" })
    h.wait(function() return api:count() >= 1 end, 20)
    file:be(nil)
    h.ended_well(child)
  end)

  it("hung has a user's identifies in order at the end of the process",
    function()
      api:config { delay = 30 }
      file:be "hang"
      local child = file:start(api, IDENTIFY .. [[
        identify(1)
        wait_for_state "open"
        identify(2)
        while client:stats().store.unsaved > 1 do
          socket.sleep(0.01)
        end
      ]], { with = "exit_timeout = 0, log_level = 'off'" })
      h.wait(function() return api:count() == 1 end, 20)
      file:be(nil)
      h.ended_well(child)
      assert.equal("1 2", order())
    end)

  local DOUBTFUL = [[
    capture(client, 1, tonumber(os.getenv "BEFORE"))
    assert(client:persist(5))
    local control = assert(io.open(disk_path .. ".control", "w"))
    control:write "unsure"
    control:close()
    local last = tonumber(os.getenv "BEFORE") + 50
    capture(client, last - 49, last)
    wait_for_state "failing"
    os.remove(disk_path .. ".control")
    while client:stats().store.state == "failing" do
      socket.sleep(0.01)
    end
  ]]
  local QUIET = "exit_timeout = 0, log_level = 'off'"

  it("unsure has nothing sent by others that is in memory", function()
    api:config { fail_status = 503 }
    local child = file:start(api, DOUBTFUL .. [[
      capture(client, 563, 563) -- there is no room here: it is to be adopted
      while client:stats().store.adopted == 0 do
        socket.sleep(0.01)
      end
      tell "works"
      while #require "seer_spec_store".rows(disk_path) > 0 do
        socket.sleep(0.01)
      end
    ]], { with = QUIET, env = { BEFORE = 512 } })
    h.says(child, "works", 10)
    api:config { fail_status = false }
    h.ended_well(child)
    h.assert_received(api, 563)
  end)

  it("unsure has each event once when the process has ended", function()
    api:config { fail_status = 503 }
    h.ended_well(file:start(api, DOUBTFUL,
      { with = QUIET, env = { BEFORE = 10 } }))
    assert.equal(60, file:count(false))
    api:config { fail_status = false }
    h.ended_well(file:start(api, [[
      capture(client, 61, 61)
      assert(client:persist(5))
      while #require "seer_spec_store".rows(disk_path) > 0 do
        socket.sleep(0.01)
      end
    ]]))
    h.assert_received(api, 61)
  end)

  it("hung is told of while it hangs, and when it works again", function()
    file:be "hang"
    local child = file:start(api, [[
      capture(client, 1, 20)
      wait_for_state "failing"
      tell "failing"
      wait_for_state "open"
      assert(client:stats().store.error == "it does not answer")
      assert(client:flush(10))
    ]], { with = "log_level = 'info'" })
    local told = FAILING:format "it does not answer"
    h.says(child, "failing", 20)
    h.wait(function() return child:stderr():find(told, 1, true) end, 20)
    file:be(nil)
    assert.matches(told .. "seerstack: info: store: works again\n",
      child:wait().stderr, 1, true)
    h.assert_received(api, 20)
  end)

  it("hung does not hold up the end of the process", function()
    file:be "hang"
    api:config { fail_status = 503 }
    local result = file:run(api, "capture(client, 1, 20)",
      { with = "exit_timeout = 0" })
    assert.matches("20 events were not delivered before exit", result.stderr)
    h.assert_in_time(result, 5)
  end)

  it("without a descriptor to be had says so, and is used later", function()
    h.ended_well(file:start(api, [[
      local files, one = {}
      repeat
        one = io.open "/dev/null"
        files[#files + 1] = one
      until not one
      capture(client, 1, 1)
      local before = client:stats().store
      for _, file in ipairs(files) do
        file:close()
      end
      assert(before.state == "closed")
      assert(before.error == "no descriptor could be opened", before.error)
      local last = 1
      repeat
        last = last + 1
        capture(client, last, last)
        socket.sleep(0.05)
      until client:stats().store.state == "open"
      assert(client:flush(10))
    ]], { prefix = [[bash -c 'ulimit -n 60; exec "$@"' -]],
      with = "log_level = 'off'" }))
    assert.same({}, file:rows())
  end)

  it("is tried again though no event comes", function()
    file:be "broken"
    local child = file:start(api, [[
      capture(client, 1, 5)
      assert(client:flush(10))
      assert(client:stats().store.state == "failing")
      tell "failing"
      wait_for_state "open"
    ]], { with = "log_level = 'off'" })
    h.says(child, "failing", 10)
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
