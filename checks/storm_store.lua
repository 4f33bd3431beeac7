-- Four processes with one store are killed at random, and replaced, while they
-- send to a stand-in:
--   lua checks/storm_store.lua [KILLS]     2000 by default
-- Each notes which of its events were in the store before it was killed. When
-- all is over, the next start sends what is left. Fails if one that was stored
-- has not arrived, or more than three a kill have arrived twice.

local native = require "seer_spec_native"
local shell = require "dev.shell"
local socket = require "socket"
local sqlite = require "seerstack.sqlite"
local standin = require "dev.standin"

local KILLS = tonumber(arg[1]) or 2000
local PROCESSES, A_SECOND = 4, 200

local directory = shell.temporary_directory("storm")
local store = { directory = directory .. "/events" }
local api = standin.start {}

local function new()
  return require "seerstack".new {
    api_key = api.key, base_url = api.url, log_level = "error",
    rate_limit = false, exit_timeout = 0, store = sqlite.open(store),
  }
end

-- Captures in groups of ten, and notes each that is stored, in one write.
local function work(number)
  local client, n = new(), 0
  local notes = assert(io.open(directory .. "/" .. number, "w"))
  notes:setvbuf "no"
  local due = socket.gettime()
  while true do
    for _ = 1, 10 do
      n = n + 1
      assert(client.events.capture { name = number .. ":" .. n })
    end
    if client:persist(10) then
      notes:write(n, "\n")
    end
    due = due + 10 / A_SECOND
    socket.sleep(math.max(0, due - socket.gettime()))
  end
end

local started = 0

local function start()
  started = started + 1
  local pid = native.fork()
  if pid == 0 then
    work(started)
  end
  return pid
end

local pids, kills = {}, 0
for i = 1, PROCESSES do
  pids[i] = start()
end
local function kill(i)
  os.execute("kill -9 " .. pids[i])
  native.wait(pids[i])
  kills = kills + 1
end
while kills < KILLS do
  socket.sleep(math.random() * 0.08)
  local i = math.random(PROCESSES)
  kill(i)
  pids[i] = start()
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
while assert(sqlite.totals(store.directory)).events > 0 do
  assert(socket.gettime() < deadline, "not drained")
  client:flush(1)
end

local got, doubled, keys = {}, 0, {}
for _, event in ipairs(api:events()) do
  local name = event.body:match '"name":"([^"]+)"'
  local key = event.headers["idempotency-key"]
  doubled = doubled + (got[name] and 1 or 0)
  assert(not got[name] or keys[name] == key, "twice, under two keys")
  got[name], keys[name] = true, key
end
local stored, lost = 0, 0
for number = 1, started do
  -- One that was killed before it had a file has stored nothing.
  local last, notes = 0, shell.read(directory .. "/" .. number) or ""
  for line in notes:gmatch "(%d+)\n" do
    last = tonumber(line)
  end
  for n = 1, last do
    stored = stored + 1
    lost = lost + (got[number .. ":" .. n] and 0 or 1)
  end
end
print(("%d kills; %d known to be stored, %d of these lost; %d arrived twice, "
  .. "%.2f a kill"):format(kills, stored, lost, doubled, doubled / kills))
local check = shell.output("sqlite3 " .. shell.quote(store.directory
  .. "/queue.db") .. " 'PRAGMA integrity_check'")
print("integrity: " .. check)
api:stop()
shell.remove(directory)
local ok = lost == 0 and stored > kills and doubled <= 3 * kills
  and check == "ok"
native.exit(ok and 0 or 1)
