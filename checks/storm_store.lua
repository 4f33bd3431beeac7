-- Four processes with one store are killed at random, and replaced, while they
-- send to a stand-in:
--   lua checks/storm_store.lua [KILLS [STORE]]     2000, sqlite by default
-- Redis, with an append-only file, is killed as well, once in 200 kills.
-- Each notes which of its events were in the store before it was killed, and
-- when it captured them. When all is over, the next start sends what is left.
-- Fails if one that was stored has not arrived, or more than three a kill have
-- arrived twice, and fifty for each of Redis's. Of those that were not stored
-- yet it says how old they were when their process was killed: of processes
-- that had stored some before, and of those that had just begun.

local native = require "seer_spec_native"
local shell = require "dev.shell"
local socket = require "socket"
local standin = require "dev.standin"

local KILLS = tonumber(arg[1]) or 2000
local NAME = arg[2] or "sqlite"
local PROCESSES, A_SECOND = 4, 200

local module = require("seerstack." .. NAME)
local directory = shell.temporary_directory("storm")
local api = standin.start {}

-- Each kind of store: its options, what its functions take, what is done to it
-- meanwhile, and what it is like in the end.
local server, harms = nil, 0
local kinds = {
  sqlite = function()
    local place = directory .. "/events"
    return { directory = place }, place, function() end, function()
      return shell.output("sqlite3 " .. shell.quote(place .. "/queue.db")
        .. " 'PRAGMA integrity_check'")
    end
  end,
  redis = function()
    server = require "spec.support.redises".new { "appendonly yes" }
    local options = { url = server.url, lease = 20 }
    return options, options, function(kills)
      if kills % 200 == 100 then
        harms = harms + 1
        server:kill "KILL"
        server:run()
      end
    end, function()
      local left = server:ask("KEYS", "*:o:*")
      local owners = server:ask("ZRANGE", server:key "owners", "0", "-1")
      server:remove()
      return #left < 80 and left:match "[^:]*$" == owners and "ok" or left
    end
  end,
}
local store, place, harm, check = kinds[NAME]()

local function new()
  return require "seerstack".new {
    api_key = api.key, base_url = api.url, log_level = "error",
    rate_limit = false, exit_timeout = 0, store = module.open(store),
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
    due = due + 10 / A_SECOND
    socket.sleep(math.max(0, due - socket.gettime()))
  end
end

local started = 0
local pids, kills, numbers, killed_at = {}, 0, {}, {}

local function start(i)
  started = started + 1
  local pid = native.fork()
  if pid == 0 then
    work(started)
  end
  pids[i], numbers[i] = pid, started
end

for i = 1, PROCESSES do
  start(i)
end
local function kill(i)
  native.kill(pids[i])
  killed_at[numbers[i]] = socket.gettime()
  native.wait(pids[i])
  kills = kills + 1
end
while kills < KILLS do
  socket.sleep(math.random() * 0.08)
  local i = math.random(PROCESSES)
  kill(i)
  start(i)
  harm(kills)
  if kills % 100 == 0 then
    print(kills .. " kills, " .. api:count() .. " requests")
    io.stdout:flush()
  end
end
for i = 1, PROCESSES do
  kill(i)
end

local client = new()
local deadline = socket.gettime() + 120
client:persist(10)
while assert(module.totals(place)).events > 0 do
  assert(socket.gettime() < deadline, "not drained")
  client:flush(1)
end

-- What arrived twice had arrived so long before its process was killed.
local got, doubled, keys, spans = {}, 0, {}, {}
for _, event in ipairs(api:events()) do
  local name = event.body:match '"name":"([^"]+)"'
  local key = event.headers["idempotency-key"]
  if got[name] then
    doubled = doubled + 1
    spans[doubled] = killed_at[tonumber(name:match "%d+")] - got[name]
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
for number = 1, started do
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
          (killed_at[number] - at) * 1000)
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
local found = check()
print("what is left: " .. found)
api:stop()
shell.remove(directory)
local ok = lost == 0 and stored > kills and doubled <= 3 * kills + 50 * harms
  and found == "ok"
native.exit(ok and 0 or 1)
