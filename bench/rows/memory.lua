-- What a queued event occupies beyond its JSON: by what malloc has given out,
-- and by the memory of the process. Nobody answers
-- the client, so all of them stay in its queue.

local bench = require "bench.support.bench"
local cjson = require "cjson"
local events = require "bench.support.events"
local senders = require "bench.support.senders"
local shell = require "dev.shell"

local native = bench.native
local COUNT = bench.size(100000)

local function resident()
  local pages = shell.read "/proc/self/statm":match "^%d+ (%d+)"
  return pages * tonumber(shell.output "getconf PAGESIZE")
end

-- Of the body, with the time that `capture` adds.
local function body_bytes(event)
  local seerstack = require "seerstack"
  local recorder = seerstack.new { api_key = "sk_bench", test_mode = true }
  assert(recorder.events.capture(event))
  local recorded = recorder:captured()[1]
  return #recorded.json
end

local function measure(event)
  local client = senders.silent_client()
  local capture = client.events.capture
  collectgarbage()
  collectgarbage "stop"
  local heap, memory = native.heap(), resident()
  for _ = 1, COUNT do
    assert(capture(event))
  end
  local figures = {
    heap = (native.heap() - heap) / COUNT,
    resident = (resident() - memory) / COUNT,
  }
  collectgarbage "restart"
  return figures
end

for _, size in ipairs { "small", "big" } do
  local body = body_bytes(events[size])
  local found = measure(events[size])
  for _, which in ipairs { "heap", "resident" } do
    bench.result("memory", {
      what = ("a queued event of %d bytes, beyond these, by %s")
        :format(body, which == "heap" and "malloc" or "resident memory"),
      unit = "bytes", ours = { found[which] - body }, target = "<= 96",
      absolute = true,
    })
  end
  bench.result("memory", {
    what = ("a queued event of %d bytes, all"):format(body), unit = "bytes",
    ours = { found.heap }, peer = { #cjson.encode(events[size]) },
    peer_name = "cjson's string",
  })
end
os.exit(0, false)
