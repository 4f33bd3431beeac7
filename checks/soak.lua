-- Many events through a server that comes and goes: does the process that
-- sends them grow, and is each of them accounted for?
--
--   lua5.4 checks/soak.lua EVENTS

local process = require "spec.support.process"
local script = require "spec.support.script"
local shell = require "dev.shell"
local socket = require "socket"
local standin = require "dev.standin"

local STATES, IN_FLIGHT = 4, 16
local events = math.floor(tonumber(arg[1]) / STATES)
local total = events * STATES

-- Each state says at its end what its client has counted.
local PRODUCER = [==[
  local state, events = %d, %d
  local socket = require "socket"
  local client = require "seerstack".new {
    rate_limit = false, max_queue_events = 1000, max_in_flight = %d,
    initial_retry_delay = 0.02, max_retry_delay = 0.3, timeout = 5,
    exit_timeout = 60, log_level = "off",
  }
  local capture = client.events.capture
  local i = 1
  while i <= events do
    local ok, message, err = capture {
      name = "soak.event", user_id = i, id = state .. "-" .. i,
      data = { text = ("x"):rep(i %% 100), list = { 1, 2.5, i } },
    }
    if ok then
      i = i + 1
    elseif err.name == "QueueFullError" then
      socket.sleep(0.002)
    else
      error(message)
    end
  end
  repeat until client:flush(60) or client:stats().pending == 0
  local s = client:stats()
  io.stdout:write(("%%d %%d %%d %%d %%d %%d %%d\n"):format(state, s.accepted,
    s.delivered, s.rejected, s.dropped, s.pending, s.refused))
  io.stdout:flush()
]==]

local function program()
  local lines = { 'local native = require "seer_spec_native"' }
  for state = 1, STATES do
    lines[#lines + 1] = "native.thread [=====["
      .. PRODUCER:format(state, events, IN_FLIGHT) .. "]=====]"
  end
  -- It is looked at until the end.
  lines[#lines + 1] = [[
    local socket = require "socket"
    local go = assert(os.getenv "SOAK_END")
    while not io.open(go) do
      socket.sleep(0.05)
    end
  ]]
  return table.concat(lines, "\n")
end

--
-- What the server goes through: for some time well, then one of these.
--

local TROUBLES = {
  { "goes away", function(api) api:go_away() end },
  { "answers 500", function(api) api:config { fail_status = 500 } end },
  { "answers 503", function(api)
    api:config { fail_status = 503, fail_headers = { ["Retry-After"] = "0" } }
  end },
  { "answers 429", function(api)
    api:config {
      fail_status = 429, fail_headers = { ["Retry-After-Ms"] = "50" },
    }
  end },
  { "gives no answer", function(api) api:config { mute = true } end },
  { "gives none, nor accepts", function(api)
    api:config { mute = true, fail_status = 500 }
  end },
  { "is slow", function(api) api:config { delay = 0.05 } end },
}

local WELL, TROUBLED = 1, 0.25 -- seconds

local flap = { next = socket.gettime() + WELL, number = 0 }

local function recover(api)
  if not api.pid then
    return api:come_back()
  end
  api:config { fail_status = false, delay = false, mute = false }
  return true
end

local function step_flapping(api)
  local now = socket.gettime()
  if now < flap.next then
    return
  elseif flap.troubled then
    flap.troubled = not recover(api)
    flap.next = socket.gettime() + (flap.troubled and 0.1 or WELL)
  else
    flap.troubled = true
    TROUBLES[flap.number % #TROUBLES + 1][2](api)
    flap.number = flap.number + 1
    flap.next = socket.gettime() + TROUBLED
  end
end

--
-- What the server has received: requests.log, read as it grows.
--

local received = {
  requests = 0, ok = 0, refused = 0, distinct = 0, unknown = 0,
  changed = 0, -- an event with two keys
  duplicates = 0, -- answered with success before
  keys = {}, rest = "",
}

local function is_known(id)
  local state, number = id:match "^(%d)%-(%d+)$"
  state, number = tonumber(state), tonumber(number)
  return state and state >= 1 and state <= STATES and number >= 1
    and number <= events
end

local function note(line)
  local status, key, id = line:match "^(%d+) (%S+) (%S+)$"
  received.requests = received.requests + 1
  if not id or not is_known(id) then
    received.unknown = received.unknown + 1
    return
  end
  local before = received.keys[id]
  if before and before:sub(2) ~= key then
    received.changed = received.changed + 1
  end
  local ok = status == "200"
  if not ok then
    received.refused = received.refused + 1
  elseif before and before:sub(1, 1) == "+" then
    received.duplicates = received.duplicates + 1
  else
    received.distinct = received.distinct + 1
  end
  received.ok = received.ok + (ok and 1 or 0)
  if not before or ok then
    received.keys[id] = (ok and "+" or "-") .. key
  end
end

local function read_log(file)
  local text = file:read "*a" or ""
  if text == "" then
    return
  end
  text = received.rest .. text
  local last = 1
  for line, after in text:gmatch "([^\n]*)\n()" do
    note(line)
    last = after
  end
  received.rest = text:sub(last)
end

--
-- The process.
--

local samples = {}

local function sample(pid)
  local status = shell.read("/proc/" .. pid .. "/status")
  local resident = status and status:match "VmRSS:%s*(%d+)"
  if not resident then
    return
  end
  local descriptors = 0
  for _ in pairs(process.descriptors(pid)) do
    descriptors = descriptors + 1
  end
  samples[#samples + 1] = {
    progress = received.distinct / total,
    resident = tonumber(resident),
    threads = tonumber(status:match "Threads:%s*(%d+)"),
    descriptors = descriptors,
  }
end

-- The values of a field between two points of the run, in their order.
local function between(field, from, to)
  local values = {}
  for _, one in ipairs(samples) do
    if one.progress >= from and one.progress <= to then
      values[#values + 1] = one[field]
    end
  end
  table.sort(values)
  return values
end

local function median(values)
  return values[math.ceil(#values / 2)] or 0
end

local function largest(values)
  return values[#values] or 0
end

--
-- The run.
--

local function finished(child)
  local _, lines = child:stdout():gsub("\n", "")
  return lines == STATES or child:done()
end

local function run(api, directory)
  local child = script.start {
    code = program(),
    env = {
      SEERSTACK_BASE_URL = api.url, SEERSTACK_API_KEY = api.key,
      SOAK_END = directory .. "/end",
    },
    timeout = 7200,
  }
  local log = assert(io.open(api.directory .. "/requests.log", "a+"))
  local pid, sampled = child:pid(), 0
  while not finished(child) do
    step_flapping(api)
    read_log(log)
    if socket.gettime() - sampled > 0.1 then
      sampled = socket.gettime()
      sample(pid)
    end
    socket.sleep(0.01)
  end
  if flap.troubled then
    recover(api)
  end
  read_log(log)
  log:close()
  shell.write(directory .. "/end", "")
  return child:wait()
end

local passed, failed = 0, 0

local function check(what, holds, figure)
  print(("%-6s %-58s %s"):format(holds and "ok" or "FAILED", what, figure))
  if holds then
    passed = passed + 1
  else
    failed = failed + 1
  end
end

local function check_counts(result)
  local clients = 0
  for line in result.stdout:gmatch "[^\n]+" do
    local count = {}
    for number in line:gmatch "%d+" do
      count[#count + 1] = tonumber(number)
    end
    clients = clients + 1
    check("the counts of client " .. count[1] .. " add up, all delivered",
      count[2] == events and count[3] == events and count[4] == 0
        and count[5] == 0 and count[6] == 0,
      ("accepted %d, delivered %d, rejected %d, dropped %d, pending %d, "
        .. "refused %d"):format(count[2], count[3], count[4], count[5],
        count[6], count[7]))
  end
  check("all states came to their end", clients == STATES
    and result.status == 0 and result.stderr == "",
    result.status .. " " .. result.stderr)
end

local function check_received()
  check("each event was accepted at least once", received.distinct == total,
    received.distinct .. " of " .. total)
  check("none was received that was not accepted", received.unknown == 0,
    received.unknown)
  check("none was sent with a second key", received.changed == 0,
    received.changed)
  print(("       requests %d, refused %d, duplicates %d (%.3f %%), "
    .. "troubles %d"):format(received.requests, received.refused,
    received.duplicates, received.duplicates / total * 100, flap.number))
end

local function check_process()
  local early = median(between("resident", 0.2, 0.4))
  local late = median(between("resident", 0.8, 1))
  check("resident memory is flat within 5 %", early > 0
    and late <= early * 1.05, ("%d KiB at 20-40 %%, %d KiB at 80-100 %%")
    :format(early, late))
  local threads = largest(between("threads", 0, 1))
  check("no thread but the states' own, the first and the sender",
    threads > 0 and threads <= STATES + 2, threads)
  local before = largest(between("descriptors", 0, 0.5))
  local after = largest(between("descriptors", 0.5, 1))
  check("descriptors do not grow", after <= math.max(before,
    STATES * IN_FLIGHT + 16), before .. ", then " .. after)
end

local directory = shell.temporary_directory "soak"
local api = standin.start { log = true, keep = false }
local begun = socket.gettime()
local ok, result = pcall(run, api, directory)
local seconds = socket.gettime() - begun
api:stop()
shell.remove(directory)
if not ok then
  error(result, 0)
end
print(("%d events from %d states in %.0f s"):format(total, STATES, seconds))
check_counts(result)
check_received()
check_process()
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
