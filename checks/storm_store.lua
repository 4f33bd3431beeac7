-- Processes with one store are killed at random, and replaced, while they send
-- to a stand-in:
--   lua checks/storm_store.lua [KILLS [STORE]]     2000, sqlite by default
-- With sqlite they are four. With Redis they are twelve, four each of three
-- machines, which share nothing but Redis and its budget; and Redis, with an
-- append-only file, is killed as well, twice in 400 kills.
-- Each notes which of its events were in the store before it was killed, and
-- when it captured them. When all is over, the next start sends what is left.
-- Fails if one that was stored has not arrived, more have arrived twice than
-- the store allows (`most`; of processes that were killed while Redis was away
-- they are counted apart), or more than the share in any minute, or twice of
-- it if Redis was away then or had just begun anew. Of those that were not
-- stored yet it says how old they were when their process was killed: of
-- processes that had stored some before, and of those that had just begun.

local native = require "seer_spec_native"
local shell = require "dev.shell"
local socket = require "socket"
local standin = require "dev.standin"

local KILLS = tonumber(arg[1]) or 2000
local NAME = arg[2] or "sqlite"
local PROCESSES = 4 -- of each machine

local module = require("seerstack." .. NAME)
local directory = shell.temporary_directory("storm")
local api = standin.start {}
api:config { rate_limit = false }

-- Each kind of store: its options, what its functions take, how many machines
-- there are, events that each process captures in a second, seconds between
-- two kills (at most), the limit of the rate for all (or false), how many may
-- arrive twice, what is done to it when there were so many kills, and what it
-- is like in the end.
local harms, away = 0, {} -- how often, and from when to when, it was
local kinds = {
  sqlite = function()
    local place = directory .. "/events"
    return {
      options = { directory = place }, place = place, machines = 1,
      a_second = 200, kill = 0.08, limit = false,
      most = function() return 3 * KILLS end,
      harm = function() end,
      check = function()
        return shell.output("sqlite3 " .. shell.quote(place .. "/queue.db")
          .. " 'PRAGMA integrity_check'")
      end,
    }
  end,
  redis = function()
    local server = require "spec.support.redises".new { "appendonly yes" }
    local options = { url = server.url, lease = 20 }
    return {
      options = options, place = options, machines = 3, a_second = 50,
      kill = 0.32, limit = 36000,
      most = function(stored) return stored / 100 end,
      harm = function(kills)
        if kills >= 400 * (harms // 2) + 20 * (harms % 2) + 100 then
          harms = harms + 1
          away[harms] = { socket.gettime() }
          server:kill "KILL"
          server:run()
          away[harms][2] = socket.gettime() + 2 -- and it is tried again
        end
      end,
      check = function()
        local left = server:keys()
        server:remove()
        -- the process that looks is still there
        return left:find "^budget o:%x+ owners q targets$" and "ok" or left
      end,
    }
  end,
}
local store = kinds[NAME]()

local function new()
  return require "seerstack".new {
    api_key = api.key, base_url = api.url, log_level = "error",
    rate_limit = store.limit, share_rate_limit = NAME == "sqlite",
    exit_timeout = 0, store = module.open(store.options),
  }
end

-- Captures in groups of ten, and notes each that is stored, in one write.
local function work(number)
  local client, n = new(), 0
  local notes = assert(io.open(directory .. "/" .. number, "w"))
  notes:setvbuf "no"
  local due = socket.gettime()
  while true do
    notes:write("captured ", n + 10, " ", ("%.6f"):format(socket.gettime()),
      "\n")
    for _ = 1, 10 do
      n = n + 1
      assert(client.events.capture { name = number .. ":" .. n })
    end
    if client:persist(10) then
      notes:write("stored ", n, "\n")
    end
    due = due + 10 / store.a_second
    socket.sleep(math.max(0, due - socket.gettime()))
  end
end

-- One machine's processes are forked from one that has the module, so they
-- share a gate. It kills them, and notes when.
local function run_machine(machine, kills)
  require "seerstack"
  local notes = assert(io.open(directory .. "/killed", "a"))
  notes:setvbuf "no"
  local pids, numbers, started = {}, {}, 0
  local function start(i)
    started = started + 1
    numbers[i] = machine .. "-" .. started
    pids[i] = native.fork()
    if pids[i] == 0 then
      work(numbers[i])
    end
  end
  local function kill(i)
    native.kill(pids[i])
    notes:write(("%s %.6f\n"):format(numbers[i], socket.gettime()))
    native.wait(pids[i])
  end
  math.randomseed(os.time() + machine)
  for i = 1, PROCESSES do
    start(i)
  end
  for _ = 1, kills do
    socket.sleep(math.random() * store.kill * store.machines)
    local i = math.random(PROCESSES)
    kill(i)
    start(i)
  end
  for i = 1, PROCESSES do
    kill(i)
  end
  native.exit(0)
end

-- When each process was killed, and how many were.
local function read_kills()
  local at, count = {}, 0
  for number, time in (shell.read(directory .. "/killed") or "")
    :gmatch "(%S+) (%S+)\n" do
    at[number], count = tonumber(time), count + 1
  end
  return at, count
end

for machine = 1, store.machines do
  if native.fork() == 0 then
    run_machine(machine, math.ceil(KILLS / store.machines))
  end
end
local killed_at, kills, told = {}, 0, 0
while kills < KILLS + PROCESSES * store.machines do
  socket.sleep(0.05)
  killed_at, kills = read_kills()
  if kills < KILLS then
    store.harm(kills)
  end
  if kills >= told + 100 then
    told = kills
    print(kills .. " kills, " .. api:count() .. " requests")
    io.stdout:flush()
  end
end

local client = new()
local deadline = socket.gettime() + 300
client:persist(10)
local left -- nil: somebody is inside
repeat
  assert(socket.gettime() < deadline, "not drained")
  client:flush(1)
  left = module.totals(store.place)
until left and left.events == 0

-- Who is killed while Redis is away cannot have told what was sent.
local function was_away(at)
  for _, span in ipairs(away) do
    if at >= span[1] and at <= span[2] then
      return true
    end
  end
  return false
end

-- What arrived twice had arrived so long before its process was killed.
local got, doubled, untold, keys, spans = {}, 0, 0, {}, {}
for _, event in ipairs(api:events()) do
  local name = event.body:match '"name":"([^"]+)"'
  local key = event.headers["idempotency-key"]
  if got[name] then
    local at = killed_at[name:match "^[^:]+"]
    if was_away(at) then
      untold = untold + 1
    else
      doubled = doubled + 1
      spans[doubled] = at - got[name]
    end
  end
  assert(not got[name] or keys[name] == key, "twice, under two keys")
  got[name], keys[name] = got[name] or event.time, key
end
table.sort(spans)
local function span(part)
  return 1000 * (spans[math.ceil(part * doubled)] or 0)
end
print(("those that arrived twice had arrived %.0f ms before the kill (p50), "
  .. "%.0f (p90), %.0f (most)"):format(span(0.5), span(0.9), span(1)))
local stored, lost, ages = 0, 0, { running = {}, starting = {} }
for number, at_end in pairs(killed_at) do
  -- One that was killed before it had a file has stored nothing.
  local last, notes = 0, shell.read(directory .. "/" .. number) or ""
  for line in notes:gmatch "stored (%d+)\n" do
    last = tonumber(line)
  end
  for n = 1, last do
    stored = stored + 1
    lost = lost + (got[number .. ":" .. n] and 0 or 1)
  end
  -- Those of the last group may not have been captured at all.
  for n, at in notes:gmatch "captured (%d+) (%S+)\n" do
    for i = math.max(n - 9, last + 1), n do
      if not got[number .. ":" .. i] then
        table.insert(last > 0 and ages.running or ages.starting,
          (at_end - at) * 1000)
      end
    end
  end
end
print(("%d kills; %d known to be stored, %d of these lost; %d arrived twice, "
  .. "%.2f a kill, %.2f %%"):format(kills, stored, lost, doubled,
  doubled / kills, 100 * doubled / stored))
for name, list in pairs(ages) do
  local function share(part)
    return list[math.ceil(part * #list)] or 0
  end
  table.sort(list)
  print(("%d not stored yet in a process that was %s, which were %.1f ms old "
    .. "(half), %.1f (99 %%), %.1f (all)"):format(#list, name, share(0.5),
    share(0.99), share(1)))
end
client:close()

-- A minute in which Redis was away, or began anew up to ten seconds before.
local function is_harmed(from, to)
  for _, outage in ipairs(away) do
    if from <= outage[2] + 8 and to >= outage[1] then
      return true
    end
  end
  return false
end

local worst, harmed = api:busiest_minute(function(from, to)
  return not is_harmed(from, to)
end), api:busiest_minute(is_harmed)
print(("at most %d requests in a minute; Redis was killed %d times: %d in a "
  .. "minute then, and %d more arrived twice of who was killed then"):format(
  worst, harms, harmed, untold))
local found = store.check()
print("what is left: " .. found)
api:stop()
shell.remove(directory)
local ok = lost == 0 and stored > kills and doubled <= store.most(stored)
  and found == "ok"
  and (not store.limit or worst > 0 and worst <= store.limit * 0.95
    and harmed <= 2 * store.limit * 0.95)
native.exit(ok and 0 or 1)
