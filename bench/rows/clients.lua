-- What it costs to have 10,000 clients, each with a key of its own, in one
-- process: to make one; a capture by one of them, and what the sender does for
-- it while the others have nothing to send; and what it does when all of them
-- have. Instructions are callgrind's, of each thread by itself. And the memory
-- of a client that does nothing.
--   lua5.4 bench/rows/clients.lua send|spread|make|memory clients [events]

local bench = require "bench.support.bench"
local callgrind = require "bench.support.callgrind"
local events = require "bench.support.events"
local seerstack = require "seerstack"
local shell = require "dev.shell"

local MANY = bench.size(10000)
local IDLE = bench.size(20000)
local SENT = bench.size(2000)
local TURNS = SENT / 2 -- of the clients send, where many do
local native = bench.native

local function make(count)
  local clients = {}
  for i = 1, count do
    clients[i] = seerstack.new {
      api_key = ("sk_bench%08d"):format(i), base_url = bench.url,
      rate_limit = false, max_queue_events = 10 ^ 6, exit_timeout = 0.1,
    }
  end
  return clients
end

local measure = {}

-- All by the first client.
function measure.send(count, number)
  local client = make(count)[1]
  local capture = client.events.capture
  for _ = 1, number do
    capture(events.small)
  end
  assert(client:flush(600))
end

-- Many clients have some each, in turns.
function measure.spread(count, number)
  local clients = make(count)
  for i = 1, number do
    clients[i % TURNS + 1].events.capture(events.small)
  end
  for i = 1, TURNS do
    assert(clients[i]:flush(600))
  end
end

-- Microseconds of each, the collector's work included.
function measure.make(count)
  local before = native.cpu()
  local clients = make(count)
  print((native.cpu() - before) / #clients / 1000)
end

-- Bytes of each, in Lua's heap and outside of it. What has a finalizer is
-- freed by the second cycle.
function measure.memory(count)
  make(1)
  collectgarbage()
  collectgarbage()
  local before = native.heap()
  local clients = make(count)
  collectgarbage()
  collectgarbage()
  print((native.heap() - before) / #clients)
end

if arg[1] then
  if arg[3] then
    collectgarbage "stop" -- its work depends on what there is
  end
  measure[arg[1]](tonumber(arg[2]), tonumber(arg[3]))
  io.stdout:flush()
  os.exit(0, false)
end

local function child(...)
  return { "lua5.4", "bench/rows/clients.lua", ... }
end

local function in_child(what, count)
  return function()
    return { found = tonumber(shell.output(shell.join(child(what, count)))) }
  end
end

local made = bench.interleave {
  { name = "few", run = in_child("make", 1000) },
  { name = "many", run = in_child("make", MANY) },
}
bench.result("clients", {
  what = ("making one of %d clients, CPU time"):format(MANY), unit = "us",
  ours = made.many.found, peer = made.few.found,
  peer_name = "of 1000", target = "<= 20", absolute = true,
})

-- For each event: within the calls of capture, and in the sender's turns.
local function per_event(what, count)
  local counts = callgrind(child(what, count, SENT), "send_CAPTURE", "work")
  return { capture = counts[1] / SENT, delivery = counts[2] / SENT }
end

local one, idle = per_event("send", 1), per_event("send", MANY)
local busy = per_event("spread", MANY)

local function compare(what, ours, peer)
  bench.result("clients", {
    what = what:format(MANY), unit = "instructions", ours = { ours },
    peer = { peer }, peer_name = "with one client", target = "<= 1.1",
  })
end

compare("capture, %d clients", idle.capture, one.capture)
compare("delivery, %d clients, of which one sends", idle.delivery,
  one.delivery)
compare("delivery, %d clients, of which many send in turns", busy.delivery,
  one.delivery)

bench.result("clients", {
  what = ("an idle client of %d, with its Lua tables"):format(IDLE),
  unit = "bytes", ours = { in_child("memory", IDLE)().found },
  target = "<= 1024", absolute = true,
})
