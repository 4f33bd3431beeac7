-- Requests a minute that 1, 4 and 16 forked processes deliver with default
-- options and one key, which always have something to send, and how many of
-- them are answered with 429. The server allows 1,000 a minute, of which 950
-- are used. Takes two minutes, or one if it is to be quick.
--   make bench ROWS=budget

local bench = require "bench.support.bench"
local native = require "seer_spec_native"
local seerstack = require "seerstack"
local socket = require "socket"
local standin = require "dev.standin"

local MINUTES = bench.quick and 1 or 2
local EVENTS = 3200 -- in all, more than may go

-- Starts so many and returns their server and their ids.
local function start(count)
  local api = standin.start { rate_limit = 1000, keep = false }
  local client = seerstack.new {
    api_key = api.key, base_url = api.url, log_level = "off",
  }
  local pids = {}
  for i = 1, count do
    pids[i] = native.fork()
    if pids[i] == 0 then
      for _ = 1, EVENTS / count do
        assert(client.events.capture { name = "bench" })
      end
      socket.sleep(600)
    end
  end
  return { api = api, count = count, pids = pids }
end

local runs = {}
for i, count in ipairs { 1, 4, 16 } do
  runs[i] = start(count)
end
socket.sleep(MINUTES * 60 - 5) -- before the next minute's go out
for _, run in ipairs(runs) do
  local by_status = run.api:status().by_status
  for _, pid in ipairs(run.pids) do
    os.execute("kill -9 " .. pid)
    native.wait(pid)
  end
  run.api:stop()
  local what = ("one key, %d process%s: "):format(run.count,
    run.count > 1 and "es" or "")
  bench.result("budget", { what = what .. "delivered",
    unit = "requests/min", ours = { (by_status["200"] or 0) / MINUTES },
    target = ">= 900", absolute = true })
  bench.result("budget", { what = what .. "answers of 429",
    unit = "answers/min", ours = { (by_status["429"] or 0) / MINUTES },
    target = "<= 0", absolute = true })
end
native.exit(0)
