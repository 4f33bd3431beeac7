-- A store with a large backlog: how long its next process takes to begin, and
-- to send all of it to a stand-in, and what is left of the file.
--   lua checks/backlog_store.lua [EVENTS]     1,000,000 by default
-- Fails if an event is missing or arrives twice, if the first takes longer
-- than two seconds, or if the file does not shrink to less than 1 MiB.

local native = require "seer_spec_native"
local shell = require "dev.shell"
local socket = require "socket"
local sqlite = require "seerstack.sqlite"
local standin = require "dev.standin"

local EVENTS = tonumber(arg[1]) or 1000000
local parent = shell.temporary_directory("backlog")
local directory = parent .. "/events"
local api = standin.start {}

local function new()
  return require "seerstack".new {
    api_key = api.key, base_url = api.url, log_level = "error",
    rate_limit = false, exit_timeout = 0, max_in_flight = 32,
    max_retry_delay = 0.2, -- the next process is held by the same pause
    store = sqlite.open { directory = directory, max_bytes = 2 ^ 33 },
  }
end

local function events()
  local totals = sqlite.totals(directory)
  while not totals do -- somebody is inside
    socket.sleep(0.02)
    totals = sqlite.totals(directory)
  end
  return totals.events
end

local function size()
  return tonumber(shell.output("stat -c %s " .. shell.quote(directory
    .. "/queue.db")))
end

-- Runs it in a process of its own.
local function run(what)
  local pid = native.fork()
  if pid == 0 then
    local ok, message = pcall(what)
    if not ok then
      io.stderr:write(message, "\n")
    end
    os.exit(ok, true)
  end
  assert(native.wait(pid) == 0, "a process has failed")
end

local began
local function say(what, ...)
  print(("%6.1f s  " .. what):format(socket.gettime() - began, ...))
  io.stdout:flush()
end

began = socket.gettime()
api:config { fail_status = 503, keep = false }
run(function()
  local client = new()
  for i = 1, EVENTS do
    while not client.events.capture { name = "a.b", data = { i = i } } do
      client:persist(1)
    end
  end
  assert(client:persist(60))
end)
say("%d events are in a file of %.0f MiB", events(), size() / 2 ^ 20)
assert(events() == EVENTS)

began = socket.gettime()
api:config { fail_status = false }
api:reset()
run(function()
  local client = new()
  assert(client:persist(10))
  while client:stats().store.delivered == 0 do
    socket.sleep(0.001)
    assert(socket.gettime() < began + 2, "it does not begin")
  end
  say "the first has arrived"
  while events() > 0 do
    socket.sleep(1)
  end
  say("all of them have")
  while size() >= 2 ^ 20 do
    socket.sleep(0.1)
    assert(socket.gettime() < began + 3600, "the file does not shrink")
  end
  say("the file has %.0f KiB", size() / 2 ^ 10)
end)
assert(api:count() == EVENTS, api:count())
api:stop()
shell.remove(parent)
