-- Captures so many events and waits until they are sent, for callgrind.
--   lua5.4 bench/support/drained.lua url count

local events = require "bench.support.events"
local seerstack = require "seerstack"

local client = seerstack.new {
  api_key = "sk_bench", base_url = arg[1], rate_limit = false,
  max_queue_events = 10 ^ 6, max_queue_bytes = 2 ^ 40, exit_timeout = 0.1,
}
for _ = 1, tonumber(arg[2]) do
  client.events.capture(events.small)
end
assert(client:flush(600))
