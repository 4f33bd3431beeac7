-- A handler of nginx with one capture against the same handler that only
-- builds the table, and against one that sends by hand with ngx.timer.at and
-- a cosocket. The worker is alone on one core; wrk, the sink and our sender
-- share the other, which on a machine with two cores slows wrk down while
-- events are sent. So the 99th percentile is judged where the sender has
-- reached its rate limit and the events stay in the queue.

local bench = require "bench.support.bench"
local cjson = require "cjson"
local http = require "socket.http"
local nginx = require "bench.support.nginx"
local shell = require "dev.shell"
local socket = require "socket"

local native = bench.native
local SECONDS = bench.quick and 1 or 2

local host = nginx.start("bench/support/host.conf.template", "host",
  bench.core, {
    root = shell.output "pwd", sink = bench.url,
    sink_port = bench.url:match "%d+$",
  })

local function thread_time(thread)
  local text = shell.read(("/proc/%d/task/%d/schedstat")
    :format(host.worker, thread))
  return tonumber((text or ""):match "^%d+")
end

-- The worker's first thread, and all the others together.
local function times()
  local others = 0
  local list = shell.output(("ls /proc/%d/task"):format(host.worker))
  for thread in list:gmatch "%d+" do
    if tonumber(thread) ~= host.worker then
      native.pin(bench.server_core, tonumber(thread))
      others = others + thread_time(thread)
    end
  end
  return thread_time(host.worker), others
end

local function stats()
  return cjson.decode((http.request(host.url .. "/stats")))
end

local function wait_until_sent()
  local deadline = socket.gettime() + 600
  repeat
    local now = stats()
    local busy = now.pending > 0 or now.timers > 0
    socket.sleep(busy and 0.05 or 0)
  until not busy or socket.gettime() > deadline
end

local UNITS = { us = 1, ms = 1000, s = 1000000 }

-- Microseconds.
local function percentile(text, share)
  local value, unit = text:match(share .. "%%%s+([%d.]+)(%a+)")
  return tonumber(value) * UNITS[unit]
end

local function load(path)
  return function()
    http.request(host.url .. path) -- the sender is there from now on
    local worker, others = times()
    local text = shell.output(("taskset -c %d wrk -t1 -c16 -d%d --latency %s")
      :format(bench.server_core, SECONDS, host.url .. path))
    local worker_after, others_after = times()
    local count = tonumber(text:match "(%d+) requests in")
    wait_until_sent()
    return {
      worker = (worker_after - worker) / count / 1000,
      others = (others_after - others) / count / 1000,
      p99 = percentile(text, 99), rate = count / SECONDS,
    }
  end
end

local before = stats()
local found = bench.interleave {
  { name = "nothing", run = load "/nothing" },
  { name = "queued", run = load "/queued" },
  { name = "sent", run = load "/sent" },
  { name = "by_hand", run = load "/by_hand" },
}
local after = stats()

local function beyond(name)
  local more = {}
  for i, value in ipairs(found[name].worker) do
    more[i] = value - found.nothing.worker[i]
  end
  return more
end

local function result(entry)
  bench.result("nginx", entry)
end

for _, case in ipairs {
  { "queued", "capture", "<= 1.0" }, { "sent", "capture, events sent" },
  { "by_hand", "by hand (timer, cosocket)" },
} do
  result { what = "nginx, worker CPU of a handler's " .. case[2],
    unit = "us/request", ours = beyond(case[1]), target = case[3],
    absolute = case[3] ~= nil }
end
for _, case in ipairs {
  { "queued", "one capture", "<= 1.05" }, { "sent", "one capture, sent" },
  { "by_hand", "by hand" },
} do
  result { what = "nginx, p99 of a handler, " .. case[2], unit = "us",
    ours = found[case[1]].p99, peer = found.nothing.p99,
    peer_name = "builds the table only", target = case[3] }
end
for _, case in ipairs {
  { "queued", "one capture" }, { "sent", "one capture, sent" },
  { "by_hand", "by hand" },
} do
  result { what = "nginx, throughput, " .. case[2], unit = "requests/s",
    ours = found[case[1]].rate, peer = found.nothing.rate,
    peer_name = "builds the table only" }
end
result { what = "nginx, CPU of the sender's thread", unit = "us/event",
  ours = found.sent.others }
result { what = "nginx, events lost by hand, without a word", unit = "events",
  ours = { after.by_hand.refused - before.by_hand.refused } }
assert(after.accepted == after.delivered, "events were lost")
nginx.stop(host)
