-- The calls whose instructions bench/instructions.lua counts: `capture` or
-- cjson's `encode` of the small or the big event, `count` times. "stored" is
-- `capture` with a store behind the client, in a directory that is given.
--   lua5.4 bench/support/count.lua capture small 1000
--   lua5.4 bench/support/count.lua stored small 1000 /tmp/store
--
-- Meanwhile the sender has as many requests in flight as it may have, to a
-- server that never answers, and a queue that is not empty: so it sleeps,
-- nothing wakes it, and no call is the one that would have to.

local cjson = require "cjson"
local events = require "bench.support.events"
local seerstack = require "seerstack"
local socket = require "socket"

local IN_FLIGHT = 4

local what, size, count = arg[1], arg[2], tonumber(arg[3])

local listener = assert(socket.bind("127.0.0.1", 0, 64))
local _, port = listener:getsockname()

local client = seerstack.new {
  api_key = "sk_bench", base_url = "http://127.0.0.1:" .. port,
  rate_limit = false, max_in_flight = IN_FLIGHT, max_queue_events = 10 ^ 6,
  max_queue_bytes = 2 ^ 40, exit_timeout = 0, log_level = "off",
  store = what == "stored"
    and require "seerstack.sqlite".open { directory = arg[4] },
}

local event = events[size]
for _ = 1, 100 do
  client.events.capture(event)
end

-- Once a request has come, the sender has nothing left to do for it.
local connections = {}
listener:settimeout(60)
for i = 1, IN_FLIGHT do
  connections[i] = assert(listener:accept())
  connections[i]:settimeout(60)
  repeat
    local line = assert(connections[i]:receive "*l")
  until line == ""
end
socket.sleep(0.1)

collectgarbage()
collectgarbage "stop"
local f = what == "cjson" and cjson.encode or client.events.capture
for _ = 1, count do
  f(event)
end
