-- How fast a full queue is sent, 16 requests in flight, against a minimal C
-- program on libcurl's multi interface and against programs whose business
-- is to send requests. Who sends is alone on one core, the server on another.
-- Of ours, the time begins when all events are captured.
--   lua5.4 bench/rows/drain.lua [tls]

local bench = require "bench.support.bench"
local events = require "bench.support.events"
local senders = require "bench.support.senders"

local tls = arg[1] == "tls"
local row = tls and "tls" or "drain"
local over = tls and "over TLS" or "HTTP/1.1"
local COUNT = bench.size(20000)

-- Of what is slower by far, fewer are sent.
local function slow(sender, share)
  return function()
    return sender(math.ceil(COUNT * share))
  end
end

local ours = senders.ours { tls = tls, event = events.small }
local contestants = {
  { name = "ours", run = function() return ours(COUNT, 16) end },
  { name = "reused", run = function()
    return senders.multi(tls, COUNT, 16, "reused")
  end },
  { name = "fresh", run = function()
    return senders.multi(tls, COUNT, 16, "fresh")
  end },
  { name = "h2load", run = function()
    return senders.h2load(tls, COUNT, 16)
  end },
}
local others = {
  { name = "wrk", run = slow(senders.wrk, 1) },
  { name = "Lua-cURL, LuaJIT", run = slow(senders.lua "lua-curl", 0.1) },
  { name = "luasocket", run = slow(senders.lua "luasocket", 0.05) },
  { name = "userplex (npm)", run = slow(senders.userplex, 0.01) },
  { name = "posthog-node (in batches)", run = slow(senders.posthog, 0.1) },
}
if not tls then
  for _, other in ipairs(others) do
    local ok, why = pcall(other.run)
    if ok then
      contestants[#contestants + 1] = other
    else
      print(("  %s is left out: %s"):format(other.name, why))
    end
  end
end

local found = bench.interleave(contestants)

local function compare(name, label, target)
  target = name == senders.alike and ">= 0.97" or target
  bench.result(row, {
    what = ("drain, %s, 16 in flight"):format(over), unit = "requests/s",
    ours = found.ours.rate, peer = found[name].rate, peer_name = label,
    target = target,
  })
end

compare("reused", "C on libcurl multi")
compare("fresh", "the same, a handle for each request")
compare("h2load", "h2load", not tls and ">= 0.5" or nil)
for i = 5, #contestants do
  compare(contestants[i].name, contestants[i].name)
end
bench.result(row, {
  what = "CPU time of the sending thread, " .. over, unit = "ns/request",
  ours = found.ours.cpu, peer = found.reused.cpu,
  peer_name = "C on libcurl multi",
})
bench.result(row, {
  what = "CPU time of the sending thread, " .. over, unit = "ns/request",
  ours = found.ours.cpu, peer = found.fresh.cpu,
  peer_name = "the same, a handle for each request",
})

if found["posthog-node (in batches)"] then
  bench.result(row, {
    what = "a capture of posthog-node, caller's wall time", unit = "ns",
    peer = found["posthog-node (in batches)"].capture,
    peer_name = "posthog-node",
  })
end

if not tls then
  local sweep = { in_flight = {}, ours = {}, multi = {}, h2load = {} }
  for _, in_flight in ipairs { 1, 2, 4, 8, 16, 32, 64 } do
    local count = math.ceil(COUNT / 4)
    local sender = senders.ours {
      tls = tls, event = events.small, in_flight = in_flight,
    }
    local at = bench.interleave({
      { name = "ours", run = function() return sender(count) end },
      { name = "multi", run = function()
        return senders.multi(tls, count, in_flight, "reused")
      end },
      { name = "h2load", run = function()
        return senders.h2load(tls, count, in_flight)
      end },
    }, 5)
    table.insert(sweep.in_flight, in_flight)
    for _, name in ipairs { "ours", "multi", "h2load" } do
      table.insert(sweep[name], bench.summary(at[name].rate))
    end
  end
  bench.data("drain", sweep)
end
