-- Minutes of processes that share one key, before a stand-in that counts:
--   lua checks/storm.lua kills       16 that share a budget; one is killed
--                                    every 100 ms
--   lua checks/storm.lua strangers   4 that know nothing of each other want
--                                    1,600 events a minute together
--   lua checks/storm.lua wrong       one whose rate_limit is three times
--                                    what the server allows
-- Prints what the server saw in each minute; fails if a promise is broken.

local native = require "seer_spec_native"
local socket = require "socket"
local standin = require "dev.standin"

local function fork(work)
  local pid = native.fork()
  if pid == 0 then
    work()
    native.exit(0)
  end
  return pid
end

local function kill(pid)
  os.execute("kill -9 " .. pid)
  native.wait(pid)
end

-- Captures at an even rate, for as long as it lives.
local function capture_evenly(client, a_minute)
  local due = socket.gettime()
  while true do
    client.events.capture { name = "storm" }
    due = due + 60 / a_minute
    socket.sleep(math.max(0, due - socket.gettime()))
  end
end

local function new(api, options)
  local all = {
    api_key = api.key, base_url = api.url, log_level = "off",
    exit_timeout = 0, max_queue_events = 100000,
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return require "seerstack".new(all)
end

-- Calls `step` again and again. Returns what was delivered and refused in each
-- minute.
local function watch(api, minutes, step)
  local seen, before = {}, {}
  local began = socket.gettime()
  for minute = 1, minutes do
    while socket.gettime() - began < minute * 60 do
      step()
    end
    local now, counts = api:status().by_status, {}
    for _, status in ipairs { "200", "429" } do
      counts[status] = (now[status] or 0) - (before[status] or 0)
    end
    print(("minute %d: %d delivered, %d refused"):format(minute,
      counts["200"], counts["429"]))
    io.stdout:flush()
    seen[minute], before = counts, now
  end
  return seen
end

-- What was delivered and refused in a minute, from the second on.
local function averages(seen)
  local delivered, refused = 0, 0
  for minute = 2, #seen do
    delivered = delivered + seen[minute]["200"] / (#seen - 1)
    refused = refused + seen[minute]["429"] / (#seen - 1)
  end
  print(("from the second on, a minute: %.0f delivered, %.1f refused"):format(
    delivered, refused))
  return delivered, refused
end

-- The most requests that the server had in any 60 seconds.
local function worst_window(api)
  local times, first, worst = {}, 1, 0
  for i, event in ipairs(api:events()) do
    times[i] = event.time
  end
  table.sort(times)
  for last = 1, #times do
    while times[last] - times[first] >= 60 do
      first = first + 1
    end
    worst = math.max(worst, last - first + 1)
  end
  return worst
end

local storms = {}

function storms.kills()
  local api = standin.start { rate_limit = 1000 }
  local client = new(api, { timeout = 5 })
  local function work() capture_evenly(client, 200) end
  local pids, kills = {}, 0
  for i = 1, 16 do
    pids[i] = fork(work)
  end
  local seen = watch(api, 2, function()
    socket.sleep(0.1)
    local which = math.random(#pids)
    kill(pids[which])
    pids[which] = fork(work)
    kills = kills + 1
  end)
  for _, pid in ipairs(pids) do
    kill(pid)
  end
  print(kills .. " kills, at most " .. worst_window(api) .. " in a minute")
  assert(worst_window(api) <= 950)
  socket.sleep(5 + 60 + 1)
  for _ = 1, 950 do
    assert(client.events.capture { name = "after" })
  end
  assert(client:flush(30), "slots have not come free")
  assert(not api:status().by_status["429"], "refused")
  assert(seen[1]["200"] > 500, "stingy")
  api:stop()
end

function storms.strangers()
  local api = standin.start { rate_limit = 1000, keep = false }
  local pids = {}
  for i = 1, 4 do
    pids[i] = fork(function() capture_evenly(new(api), 400) end)
  end
  local seen = watch(api, 6, function() socket.sleep(0.1) end)
  for _, pid in ipairs(pids) do
    kill(pid)
  end
  api:stop()
  local delivered, refused = averages(seen)
  assert(delivered >= 880 and refused <= 12)
end

function storms.wrong()
  local api = standin.start { rate_limit = 300, keep = false }
  local pid = fork(function() capture_evenly(new(api), 1000) end)
  local seen = watch(api, 5, function() socket.sleep(0.1) end)
  kill(pid)
  api:stop()
  local delivered, refused = averages(seen)
  assert(delivered >= 270 and refused <= 4)
end

for _, name in ipairs(#arg > 0 and arg or { "kills", "strangers", "wrong" }) do
  print(name)
  storms[name]()
end
native.exit(0)
