-- A small `capture` into a backlog that grows, against `cjson.encode` of the
-- same table: the sender has all in flight that it may, to a server that never
-- answers, so nothing is sent, and every event is in memory that was not used
-- before. The collector runs for both as it does by default.

local bench = require "bench.support.bench"
local cjson = require "cjson"
local events = require "bench.support.events"
local senders = require "bench.support.senders"

local native = bench.native
local COUNT, ROUNDS = bench.size(20000), bench.quick and 5 or 25

native.pin(bench.server_core)
local client = senders.silent_client()
native.pin(bench.core)

local function timed(f)
  return function()
    local event = events.small
    local cpu = native.cpu()
    for _ = 1, COUNT do
      f(event)
    end
    return { cpu = (native.cpu() - cpu) / COUNT }
  end
end

local found = bench.interleave({
  { name = "ours", run = timed(client.events.capture) },
  { name = "cjson", run = timed(cjson.encode) },
}, ROUNDS)
assert(client:stats().delivered == 0, "something was sent")
bench.result("growing", {
  what = ("capture into a backlog that grows, %s, CPU time"):format(bench.lua),
  unit = "ns", ours = found.ours.cpu, peer = found.cjson.cpu,
  peer_name = "cjson.encode",
  target = bench.lua == "LuaJIT" and "<= 1.4" or "<= 1.3",
})
io.stdout:flush()
os.exit(0, false)
