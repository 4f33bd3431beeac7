-- Whether a long queue costs more: CPU time of a capture on the caller's
-- thread, and of the sending of an event on the sender's, with a thousand to
-- a million of them queued. Each figure is of a process of its own, so that
-- the lengths can take turns.
--   lua5.4 bench/rows/length.lua [capture|send length]

local bench = require "bench.support.bench"
local events = require "bench.support.events"
local senders = require "bench.support.senders"
local shell = require "dev.shell"

local LENGTHS = { 1000, 10000, 100000, bench.quick and 300000 or 1000000 }
local AT_ONCE = 1000
local SENT = bench.size(20000)

local native = bench.native
local measure = {}

-- The sender has all in flight that it may have, and gets no answer.
function measure.capture(length)
  local capture, event = senders.silent_client().events.capture, events.small
  native.pin(bench.core)
  for _ = 1, length do
    capture(event)
  end
  local before = native.cpu()
  for _ = 1, AT_ONCE do
    capture(event)
  end
  return (native.cpu() - before) / AT_ONCE
end

-- While the queue is kept so long.
function measure.send(length)
  local sender = senders.ours { event = events.small }
  return sender(SENT, 16, length).cpu
end

if arg[1] then
  print(measure[arg[1]](tonumber(arg[2])))
  io.stdout:flush()
  os.exit(0, false)
end

local function in_child(what, length)
  return function()
    local text = shell.output(shell.join {
      "lua5.4", "bench/rows/length.lua", what, length })
    return { cpu = tonumber(text) }
  end
end

local data = { length = LENGTHS }
for _, what in ipairs { "capture", "send" } do
  local contestants = {}
  for i, length in ipairs(LENGTHS) do
    contestants[i] = { name = length, run = in_child(what, length) }
  end
  local found = bench.interleave(contestants)
  local shortest, longest = found[LENGTHS[1]], found[LENGTHS[#LENGTHS]]
  bench.result("length", {
    what = ("%s with %d events queued, CPU time"):format(what,
      LENGTHS[#LENGTHS]),
    unit = "ns", ours = longest.cpu, peer = shortest.cpu,
    peer_name = "with 1000", target = "<= 1.1",
  })
  data[what] = {}
  for i, length in ipairs(LENGTHS) do
    data[what][i] = bench.summary(found[length].cpu)
  end
end
bench.data("length", data)
