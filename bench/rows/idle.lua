-- How often the sender wakes up when there is nothing to do: after events
-- were sent, and later, when their connections have been closed as well.

local bench = require "bench.support.bench"
local events = require "bench.support.events"
local shell = require "dev.shell"
local socket = require "socket"

local SECONDS = bench.quick and 2 or 10

local client = bench.client()
client.events.capture(events.small)
assert(client:flush(30))

local own = shell.own_pid()
local function switches()
  local sum = 0
  for thread in shell.output(("ls /proc/%d/task"):format(own)):gmatch "%d+" do
    if thread ~= own then
      local text = shell.read(("/proc/%d/task/%d/status"):format(own, thread))
      sum = sum + text:match "\nvoluntary_ctxt_switches:%s*(%d+)"
    end
  end
  return sum
end

local function asleep_for(seconds)
  local before = switches()
  socket.sleep(seconds)
  return switches() - before
end

-- Until it has gone to sleep.
repeat until asleep_for(0.1) == 0
bench.result("idle", {
  what = ("wake-ups in %d s with nothing to do"):format(SECONDS),
  unit = "wake-ups", ours = { asleep_for(SECONDS) }, target = "<= 0",
  absolute = true,
})
client:close()
