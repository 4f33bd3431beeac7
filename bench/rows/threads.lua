-- Threads that capture at once, each with a Lua state and a client of its own:
-- how many events a second all of them together, and the CPU time of one call;
-- and the same of cjson.encode, which shares nothing. The sender has all in
-- flight that it may, and gets no answer; but it makes memory for the backlog,
-- for which it has a core of its own only beside one thread. That is in the
-- rates and not in the CPU time. Each figure is of a process of its own.
--   lua5.4 bench/rows/threads.lua [capture|encode count]

local bench = require "bench.support.bench"
local senders = require "bench.support.senders"
local shell = require "dev.shell"

local COUNTS = { 1, 2, 4, 50 }
local TOTAL = bench.size(400000)

local CODE = [[
  local event = require "bench.support.events".small
  local encode = require "cjson".encode
  local client = require "seerstack".new {
    api_key = "sk_bench", base_url = %q, rate_limit = false,
    max_queue_events = 2000000, max_queue_bytes = 4 * 2 ^ 30,
    log_level = "off",
  }
  local f = %q == "capture" and client.events.capture or encode
  local count = %d / ...
  return function()
    for _ = 1, count do
      f(event)
    end
  end
]]

local function measure(what, count)
  local threads = require "seer_bench_threads"
  local _, url = senders.silent_client()
  local ns, cpu = threads.run(count, CODE:format(url, what, TOTAL))
  return TOTAL / ns * 1e9, cpu / TOTAL
end

if arg[1] then
  print(measure(arg[1], tonumber(arg[2])))
  io.stdout:flush()
  os.exit(0, false)
end

local contestants = {}
for _, what in ipairs { "capture", "encode" } do
  for _, count in ipairs(COUNTS) do
    contestants[#contestants + 1] = {
      name = what .. count,
      run = function()
        local rate, cpu = shell.output(shell.join { "lua5.4",
          "bench/rows/threads.lua", what, count }):match "(%S+)%s+(%S+)"
        return { rate = tonumber(rate), cpu = tonumber(cpu) }
      end,
    }
  end
end
local found = bench.interleave(contestants)

for _, figure in ipairs { { "rate", "%s", "calls/s" },
  { "cpu", "CPU time of %s", "ns" } } do
  local key, label, unit = figure[1], figure[2], figure[3]
  for _, what in ipairs { "capture", "encode" } do
    for _, count in ipairs(COUNTS) do
      bench.result("threads", {
        what = (label .. " on %d thread%s at once"):format(
          what == "capture" and what or "cjson.encode", count,
          count > 1 and "s" or ""),
        unit = unit, ours = found[what .. count][key],
        peer = count > 1 and found[what .. 1][key] or nil,
        peer_name = count > 1 and "on one" or nil,
      })
    end
  end
end
