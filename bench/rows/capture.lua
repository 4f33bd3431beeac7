-- A whole `capture` against `cjson.encode` of the same table alone.
--
-- Both are given one table again and again, made beforehand. Ours checks it,
-- adds the time and an id, encodes, and puts the event into a queue from which
-- the sender takes it at the same time, on the other core, to send it to the
-- server; what is left when a round ends is flushed outside of the timed part.
-- cjson makes a string of it, which Lua has to collect: the collector runs for
-- both as it does by default, and once more with it stopped for both.

local bench = require "bench.support.bench"
local cjson = require "cjson"
local events = require "bench.support.events"

local native = bench.native

-- Rounds are short and many, for a round in which the system gave the core to
-- somebody else is lost.
local COUNT, ROUNDS = 4000, bench.quick and 5 or 25

local client = bench.client()
bench.separate(client)

local function timed(f, event)
  local cpu, wall = native.cpu(), native.wall()
  for _ = 1, COUNT do
    f(event)
  end
  return {
    cpu = (native.cpu() - cpu) / COUNT, wall = (native.wall() - wall) / COUNT,
  }
end

local function compare(event, collecting)
  local function run(f, after)
    return function()
      if not collecting then
        collectgarbage "stop"
      end
      local figures = timed(f, event)
      collectgarbage "restart"
      after()
      return figures
    end
  end
  return bench.interleave({
    { name = "ours", run = run(client.events.capture, function()
      assert(client:flush(60))
    end) },
    { name = "cjson", run = run(cjson.encode, function() end) },
  }, ROUNDS)
end

local function report(size, what, target)
  for _, collecting in ipairs { true, false } do
    local found = compare(events[size], collecting)
    for _, clock in ipairs { "cpu", "wall" } do
      bench.result("capture", {
        what = ("capture, %s, %s, %s%s"):format(what, bench.lua,
          clock == "cpu" and "CPU time" or "wall time",
          collecting and "" or ", collector stopped"),
        unit = "ns", ours = found.ours[clock], peer = found.cjson[clock],
        peer_name = "cjson.encode", target = collecting and target or nil,
      })
    end
  end
end

report("small", "1 property", bench.lua == "LuaJIT" and "<= 1.15" or "<= 1.0")
report("big", "20 properties", "<= 0.5")

local stats = client:stats()
assert(stats.delivered == stats.accepted, "events were lost")
client:close()
