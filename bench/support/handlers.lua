-- The handlers of bench/support/host.conf.template. All build the same table
-- and answer the same.

local cjson = require "cjson"
local seerstack = require "seerstack"

local handlers = {}

local limited, unlimited, sink_port
local by_hand = { refused = 0, sent = 0, failed = 0 }

function handlers.init(sink, port)
  sink_port = port
  local room = { api_key = "sk_bench", base_url = sink,
    max_queue_events = 10 ^ 7, max_queue_bytes = 2 ^ 36, log_level = "off",
    exit_timeout = 0.1 }
  limited = seerstack.new(room)
  room.rate_limit = false
  unlimited = seerstack.new(room)
end

local function event()
  return { name = "user.signup", user_id = "user_123",
    data = { plan = "pro", path = ngx.var.uri } }
end

function handlers.nothing()
  local _ = event()
  ngx.say "ok"
end

-- The sender has sent what it may in a minute: the events stay.
function handlers.queued()
  limited.events.capture(event())
  ngx.say "ok"
end

-- The sender sends them at once.
function handlers.sent()
  unlimited.events.capture(event())
  ngx.say "ok"
end

local HEAD = "POST /capture HTTP/1.1\r\nHost: 127.0.0.1\r\n"
  .. "Authorization: Bearer sk_bench\r\nContent-Type: application/json\r\n"
  .. "Accept: application/json\r\nContent-Length: "

-- Reads an answer whose length is known; whether it is a 200.
local function receive(socket)
  local status, length = socket:receive "*l", 0
  repeat
    local line = socket:receive "*l"
    length = tonumber((line or ""):match "^[Cc]ontent%-[Ll]ength: (%d+)")
      or length
  until not line or line == ""
  return socket:receive(length) and status and status:find(" 200 ", 1, true)
end

local function send(premature, body)
  local socket = ngx.socket.tcp()
  if premature or not socket:connect("127.0.0.1", sink_port) then
    by_hand.failed = by_hand.failed + 1
    return
  end
  socket:send { HEAD, tostring(#body), "\r\n\r\n", body }
  if receive(socket) then
    by_hand.sent = by_hand.sent + 1
    socket:setkeepalive(10000, 64)
  else
    by_hand.failed = by_hand.failed + 1
  end
end

function handlers.by_hand()
  if not ngx.timer.at(0, send, cjson.encode(event())) then
    by_hand.refused = by_hand.refused + 1
  end
  ngx.say "ok"
end

-- What waits to be sent, and what the timers have lost.
function handlers.stats()
  local stats = unlimited:stats()
  ngx.say(cjson.encode {
    pending = stats.pending, delivered = stats.delivered,
    accepted = stats.accepted, by_hand = by_hand,
    timers = ngx.timer.pending_count() + ngx.timer.running_count(),
  })
end

return handlers
