-- Each call of the system that a store makes, failing: once, or from then on;
-- or the process is killed there.

local h = require "spec.helper"
local sqlite = require "seerstack.sqlite"

local ERRORS = { 5, 13, 24, 28, 30 } -- EIO, EACCES, EMFILE, ENOSPC, EROFS
local KILLED_THERE = 0 -- in the place of an error
local AT_ONCE = 8
local ALL_OF_THEM = os.getenv "SEER_SLOW" == "1" -- some 3,000, twice

local CAPTURE = [[
  local from, pad = tonumber(arg[1]), nil
  local function add(first, last)
    for i = first, last do
      assert(client.events.capture { name = "a.b",
        data = { i = from + i, pad = pad } })
    end
  end
]]

-- Everything a store does: it opens, puts, forgets, writes its log back.
local ALL = CAPTURE .. [[
  add(1, 20)
  client:persist(0.5)
  add(21, 40)
  assert(client:flush(25))
]]

-- Is killed when it has stored its events, or could not.
local KILLED = CAPTURE .. [[
  add(1, 20)
  local last, stored, store = socket.gettime() + 20
  repeat
    stored, store = client:persist(0.05), client:stats().store
  until stored or store.error or store.state == "full"
    or socket.gettime() > last
  tell(stored)
  os.execute("kill -9 " .. native.pid())
]]

-- Everything again, so large that the log is written back meanwhile; says how
-- many events are stored.
local LARGE = CAPTURE .. [[
  pad = ("x"):rep(30000)
  for last = 10, 60, 10 do
    add(last - 9, last)
    assert(client:persist(25))
    tell(last)
  end
  assert(client:flush(25))
]]

-- Sends what is in these directories.
local DRAIN = [[
  local sqlite = require "seerstack.sqlite"
  for _, directory in ipairs(arg) do
    local other = client:with_options {
      store = sqlite.open { directory = directory },
    }
    assert(other:persist(25))
    local seen
    repeat
      seen = sqlite.totals(directory) -- nil: it is busy
      socket.sleep(0.01)
    until seen and seen.events == 0
    assert(other:flush(25))
  end
]]

describe("a store of which a call of the system fails", function()
  local api = h.standin { rate_limit = false }
  local places, count = {}, 0

  after_each(function()
    for i, disk in ipairs(places) do
      disk:remove()
      places[i] = nil
    end
  end)

  local function start(code, case, options)
    local disk = h.disks.new()
    table.insert(places, disk)
    count = count + 1
    local from = 100 * count
    return { disk = disk, from = from, case = case, child = disk:start(api,
      code, h.merge({ args = { from }, timeout = 60, env = {
        LD_PRELOAD = h.preload "failing",
        SEER_FAULT_DIRECTORY = disk.directory,
        SEER_FAULT_COUNT = disk.parents .. "/count",
        SEER_FAULT_AT = case.at, SEER_FAULT_ERRNO = case.errno,
        SEER_FAULT_ON = case.on,
      } }, options)) }
  end

  local function count_calls(code)
    local run = start(code, {})
    h.ended_well(run.child)
    local calls = tonumber(h.shell.read(run.disk.parents .. "/count"))
    assert.is_true(calls > 100)
    return calls
  end

  -- Each call fails once, or is the first of those that do, in each way; or
  -- some of these.
  local function cases()
    local list, number = {}, 0
    for at = 1, count_calls(ALL) do
      for _, errno in ipairs(ERRORS) do
        for _, on in ipairs { false, "1000000" } do
          number = number + 1
          if ALL_OF_THEM or number % 37 == 0 then
            list[#list + 1] = { at = at, errno = errno, on = on }
          end
        end
      end
    end
    return list
  end

  local function each(list, code, check, options)
    for first = 1, #list, AT_ONCE do
      local runs = {}
      for i = first, math.min(#list, first + AT_ONCE - 1) do
        table.insert(runs, start(code, list[i], options))
      end
      for _, run in ipairs(runs) do
        run.result = run.child:wait()
        run.name = ("call %d, error %d%s: %s"):format(run.case.at,
          run.case.errno, run.case.on and " and all that follow" or "",
          run.result.stderr)
        check(run)
      end
    end
  end

  -- Sends what these have left.
  local function drain(runs)
    local left, disk = {}, h.disks.new()
    table.insert(places, disk)
    for _, run in ipairs(runs) do
      if sqlite.totals(run.disk.directory) then
        left[#left + 1] = run.disk.directory
      end
    end
    h.ended_well(disk:start(api, DRAIN,
      { args = left, timeout = 300, with = "log_level = 'off'" }))
  end

  -- How often each event has arrived, by its number; each with one key.
  local function arrived()
    local seen, keys = {}, {}
    for _, event in ipairs(api:events()) do
      local i = h.body_of(event).data.i
      local key = event.headers["idempotency-key"]
      seen[i] = (seen[i] or 0) + 1
      assert.equal(keys[i] or key, key)
      keys[i] = key
    end
    return seen
  end

  it("keeps no event from being delivered, and tells once", function()
    local runs = {}
    each(cases(), ALL, function(run)
      assert.equal(0, run.result.status, run.name)
      local _, lines = run.result.stderr:gsub("\n", "")
      assert.is_true(lines <= 1, run.name)
      if run.case.on and run.case.at < 50 then -- while it opens
        assert.matches("^seerstack: warn: store: f%a+, events are kept in "
          .. "memory alone: ", run.result.stderr, 1, false, run.name)
      end
      runs[#runs + 1] = run
    end)
    local seen = arrived()
    for _, run in ipairs(runs) do
      for i = 1, 40 do
        assert.equal(1, seen[run.from + i], run.name)
      end
    end
  end)

  it("loses nothing that it said was stored", function()
    local list, runs, stored = cases(), {}, 0
    api:reset()
    api:config { fail_status = 503 }
    each(list, KILLED, function(run)
      assert.equal(9, run.result.signal, run.name)
      run.stored = run.result.stdout:find "true" ~= nil
      stored = stored + (run.stored and 1 or 0)
      runs[#runs + 1] = run
    end, { with = "log_level = 'off'" })
    assert.is_true(stored > #runs / 5, stored)
    api:config { fail_status = false }
    drain(runs)
    local seen = arrived()
    for _, run in ipairs(runs) do
      for i = 1, run.stored and 20 or 0 do
        assert.equal(1, seen[run.from + i], run.name)
      end
    end
  end)

  it("loses nothing that it said was stored when it is killed there",
    function()
      local list, runs, stored = {}, {}, 0
      local step = ALL_OF_THEM and 1 or 41
      for at = 1, count_calls(LARGE), step do
        list[#list + 1] = { at = at, errno = KILLED_THERE }
      end
      api:reset()
      each(list, LARGE, function(run)
        run.stored = tonumber(run.result.stdout:match "(%d+)%s*$") or 0
        stored = stored + run.stored
        runs[#runs + 1] = run
      end, { with = "log_level = 'off'" })
      assert.is_true(stored > 10 * #runs, stored)
      drain(runs)
      local seen = arrived()
      for _, run in ipairs(runs) do
        for i = 1, run.stored do
          local times = seen[run.from + i] or 0
          assert.is_true(times == 1 or times == 2, run.name)
        end
      end
    end)
end)
