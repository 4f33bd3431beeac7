-- How long single calls take while the sender is busy: it drains the queue on
-- the other core all the while, then and while cjson.encode is timed, which
-- shows what the machine itself adds. The clock's own time, some 30 ns, is in.

local bench = require "bench.support.bench"
local cjson = require "cjson"
local events = require "bench.support.events"
local shell = require "dev.shell"

local native = bench.native
local COUNT = bench.size(1000000)

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

-- Both, in a process whose end is the end of what is still queued.
local function measure()
  local client = bench.client { log_level = "off" }
  bench.separate(client)
  local data = { count = COUNT }
  local times = native.latencies(COUNT, client.events.capture, events.small)
  data.capture = figures(times)
  data.share, data.ns = points(times)
  times = native.latencies(COUNT, cjson.encode, events.small)
  data.encode = figures(times)
  data.cjson = select(2, points(times))
  assert(client:stats().pending > 0, "the sender was not busy")
  print(cjson.encode(data))
  io.stdout:flush()
  os.exit(0, false)
end

if arg[1] == "once" then
  measure()
end

local data
local found = { capture = {}, cjson = {} }
for _ = 1, bench.rounds do
  data = cjson.decode(shell.output "lua5.4 bench/rows/latency.lua once")
  for name in pairs(data.capture) do
    found.capture[name] = found.capture[name] or {}
    found.cjson[name] = found.cjson[name] or {}
    table.insert(found.capture[name], data.capture[name])
    table.insert(found.cjson[name], data.encode[name])
  end
end
data.max = data.capture.max

for _, which in ipairs {
  { "median", "median" }, { "p99", "p99" }, { "p999", "p99.9", "<= 12" },
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
