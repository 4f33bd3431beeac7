-- How long single calls take while the sender is busy: it drains the queue on
-- the other core all the while. The clock's own time, about 30 ns, is in.

local bench = require "bench.support.bench"
local events = require "bench.support.events"

local native = bench.native
local COUNT = bench.size(1000000)

local client = bench.client()
bench.separate(client)
collectgarbage "generational"

local function measure()
  return native.latencies(COUNT, client.events.capture, events.small)
end

-- Shares of the calls, from the median to the last.
local function points(times)
  local xs, ys = {}, {}
  local share = 0.5
  while share * COUNT >= 1 do
    xs[#xs + 1] = 1 - share
    ys[#ys + 1] = native.at(times, math.ceil((1 - share) * COUNT))
    share = share / 1.5
  end
  return { share = xs, ns = ys, max = native.at(times, COUNT), count = COUNT }
end

local ROUNDS = bench.quick and 1 or 3
local found = { median = {}, p99 = {}, p999 = {}, max = {} }
local data
for _ = 1, ROUNDS do
  local times = measure()
  table.insert(found.median, native.at(times, math.ceil(COUNT * 0.5)))
  table.insert(found.p99, native.at(times, math.ceil(COUNT * 0.99)))
  table.insert(found.p999, native.at(times, math.ceil(COUNT * 0.999)))
  table.insert(found.max, native.at(times, COUNT))
  data = points(times)
  assert(client:flush(600))
end

for _, row in ipairs {
  { "p99", "p99" }, { "p999", "p99.9", "<= 20" }, { "max", "maximum" },
} do
  bench.result("latency", {
    what = ("%s of one call among %d, sender busy"):format(row[2], COUNT),
    unit = "ns", ours = found[row[1]], peer = found.median,
    peer_name = "our median", target = row[3],
  })
end
bench.data("latency", data)
client:close()
