-- How long single calls take while the sender is busy: it drains the queue on
-- the other core all the while, then and while cjson.encode is timed, which
-- shows what the machine itself adds. The clock's own time, some 30 ns, is in.

local bench = require "bench.support.bench"
local cjson = require "cjson"
local events = require "bench.support.events"

local native = bench.native
local COUNT = bench.size(1000000)

local client = bench.client()
bench.separate(client)

local function points(times)
  local xs, ys, share = {}, {}, 0.5
  while share * COUNT >= 1 do
    xs[#xs + 1] = 1 - share
    ys[#ys + 1] = native.at(times, math.ceil((1 - share) * COUNT))
    share = share / 1.5
  end
  return xs, ys
end

local function figures(times)
  return {
    median = native.at(times, math.ceil(COUNT * 0.5)),
    p99 = native.at(times, math.ceil(COUNT * 0.99)),
    p999 = native.at(times, math.ceil(COUNT * 0.999)),
    max = native.at(times, COUNT),
  }
end

local data = { count = COUNT }

local function capture()
  local times = native.latencies(COUNT, client.events.capture, events.small)
  data.share, data.ns = points(times)
  data.max = native.at(times, COUNT)
  return figures(times)
end

local function encode()
  local times = native.latencies(COUNT, cjson.encode, events.small)
  data.share, data.cjson = points(times)
  assert(client:flush(600))
  return figures(times)
end

local found = bench.interleave({
  { name = "capture", run = capture }, { name = "cjson", run = encode },
}, bench.quick and 1 or 3)

for _, which in ipairs {
  { "median", "median" }, { "p99", "p99" }, { "p999", "p99.9", "<= 20" },
  { "max", "maximum" },
} do
  local name, label, target = which[1], which[2], which[3]
  bench.result("latency", {
    what = ("%s of one call among %d, sender busy"):format(label, COUNT),
    unit = "ns", ours = found.capture[name], peer = found.cjson[name],
    peer_name = "cjson.encode",
  })
  if name ~= "median" then
    bench.result("latency", {
      what = ("%s, against the median"):format(label), unit = "ns",
      ours = found.capture[name], peer = found.capture.median,
      peer_name = "our median", target = target,
    })
  end
end
bench.data("latency", data)
client:close()
