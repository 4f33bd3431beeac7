-- Each call of the system that a store makes, failing: once, or from then on.

local h = require "spec.helper"
local sqlite = require "seerstack.sqlite"

local ERRORS = { 5, 28, 24, 30 } -- EIO, ENOSPC, EMFILE, EROFS
local AT_ONCE = 4
local ALL_OF_THEM = os.getenv "SEER_SLOW" == "1" -- some 1,500, twice

-- Captures, and says whether that never took long.
local CAPTURE = [[
  local from, slowest = tonumber(arg[1]), 0
  local function add(first, last)
    for i = first, last do
      local began = socket.gettime()
      assert(client.events.capture { name = "a.b", data = { i = from + i } })
      slowest = math.max(slowest, socket.gettime() - began)
    end
  end
]]

-- Everything a store does: it opens, puts, forgets, writes its log back.
local ALL = CAPTURE .. [[
  add(1, 20)
  client:persist(0.5)
  add(21, 40)
  assert(client:flush(20))
  assert(slowest < 0.5, slowest)
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

-- Sends what is in these directories.
local DRAIN = [[
  local sqlite = require "seerstack.sqlite"
  for _, directory in ipairs(arg) do
    local other = client:with_options {
      store = sqlite.open { directory = directory },
    }
    assert(other:persist(10))
    local seen
    repeat
      seen = sqlite.totals(directory) -- nil: it is busy
      socket.sleep(0.01)
    until seen and seen.events == 0
    assert(other:flush(10))
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

  -- Each call fails once, or is the first of those that do, in each way; or
  -- some of these.
  local function cases()
    local run = start(ALL, {})
    h.ended_well(run.child)
    local calls = tonumber(h.shell.read(run.disk.parents .. "/count"))
    assert.is_true(calls > 100)
    local list, number = {}, 0
    for at = 1, calls do
      for _, errno in ipairs(ERRORS) do
        for _, on in ipairs { false, "1" } do
          number = number + 1
          if ALL_OF_THEM or number % 19 == 0 then
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
    local list, runs, stored, left = cases(), {}, 0, {}
    api:reset()
    api:config { fail_status = 503 }
    each(list, KILLED, function(run)
      assert.equal(9, run.result.signal, run.name)
      run.stored = run.result.stdout:find "true" ~= nil
      stored = stored + (run.stored and 1 or 0)
      runs[#runs + 1] = run
      if sqlite.totals(run.disk.directory) then
        left[#left + 1] = run.disk.directory
      end
    end, { with = "log_level = 'off'" })
    assert.is_true(stored > #runs / 5, stored)
    api:config { fail_status = false }
    local drain = h.disks.new()
    table.insert(places, drain)
    h.ended_well(drain:start(api, DRAIN,
      { args = left, timeout = 300, with = "log_level = 'off'" }))
    local seen = arrived()
    for _, run in ipairs(runs) do
      for i = 1, run.stored and 20 or 0 do
        assert.equal(1, seen[run.from + i], run.name)
      end
    end
  end)
end)
