-- What happens to connections on the way.

local h = require "spec.helper"
local socket = require "socket"

local answer = h.faults.answer

-- For faults that only the client's patience ends; and for those of which it
-- has to see something before.
local PATIENT = { timeout = 4 }
local BRIEF = { timeout = 0.4, connect_timeout = 0.4 }

local OK = h.faults.OK
local HEAD = OK:match "^.-\r\n\r\n"
local read_then = h.faulty.read_then

local function drip(bytes, seconds, size)
  return function(peer)
    peer:request()
    peer:drip(bytes, seconds, size)
    peer:hold()
  end
end

-- Answers a large request after its head, and reads so much more of it in
-- a second.
local function early(bytes, rate)
  return function(peer)
    peer.slow = true
    peer:read_slowly(600, 600)
    peer:send(bytes)
    peer:read_slowly(rate, 1e9)
  end
end

local LARGE = { max_event_bytes = 4e6, max_queue_bytes = 1e8 }
local LARGE_BRIEF = { max_event_bytes = 4e6, timeout = 6 }
-- A next request over the connection may find that nobody reads it.
local LARGE_AGAIN = { max_event_bytes = 4e6, timeout = 6 }
local SIZE = 1.2e6

-- The first request of each connection goes well.
local function after_one(f)
  return function(peer)
    if peer:request() then
      peer:send(OK)
      f(peer)
    end
  end
end

h.faults.describe("a connection", {
  { "is refused", nil, "again", "APIConnectionError",
    state = "refuse" },
  { "is never accepted", nil, "again", "APITimeoutError", BRIEF,
    state = "deafen" },
  { "is closed at once", read_then(0, "close"), "again",
    "APIConnectionError" },
  { "is reset at once", read_then(0, "reset"), "again",
    "APIConnectionError" },
  { "is accepted, and never answered", read_then(0, "hold"), "again",
    "APITimeoutError", BRIEF },
  { "is closed in the midst of the request's head", read_then(20, "close"),
    "again", "APIConnectionError" },
  { "is reset in the midst of the request's head", read_then(20, "reset"),
    "again", "APIConnectionError" },
  { "stalls in the midst of the request", read_then(20, "hold"),
    "again", "APITimeoutError", BRIEF },
  { "is closed after the request", answer "", "again",
    "APIConnectionError" },
  { "is reset after the request", answer("", "reset"), "again",
    "APIConnectionError" },
  { "is silent after the request", answer("", "hold"), "again",
    "APITimeoutError", BRIEF },
  { "ends in the midst of the status line", answer "HTTP/1.1 2", "again",
    "APIConnectionError" },
  { "ends before the line's end", answer "HTTP/1.1 200 OK", "again",
    "APIConnectionError" },
  { "is reset in the midst of the status line",
    answer("HTTP/1.1 2", "reset"), "again", "APIConnectionError" },
  { "ends after the status line", answer "HTTP/1.1 200 OK\r\n",
    "delivered", "response" },
  { "is reset after the status line",
    answer("HTTP/1.1 200 OK\r\n", "reset"), "delivered", "response" },
  { "is silent after the status line",
    answer("HTTP/1.1 200 OK\r\n", "hold"), "delivered", "response", PATIENT },
  { "ends after the head", answer(HEAD), "delivered", "response" },
  { "is reset after the head", answer(HEAD, "reset"), "delivered",
    "response" },
  { "ends in the midst of the body", answer(HEAD .. '{"succ'), "delivered",
    "APIStatusError" },
  { "is reset in the midst of the body", answer(HEAD .. '{"succ', "reset"),
    "delivered", "APIStatusError" },
  { "stalls in the midst of the body", answer(HEAD .. '{"succ', "hold"),
    "delivered", "APIStatusError", PATIENT },
  { "ends in the midst of an error's body",
    answer 'HTTP/1.1 400 Bad\r\nContent-Length: 50\r\n\r\n{"err',
    "rejected", "BadRequestError" },
  { "is reset in the midst of an error's body",
    answer('HTTP/1.1 503 No\r\nContent-Length: 50\r\n\r\n{"err', "reset"),
    "again", "InternalServerError" },
  { "brings the status line a byte a second",
    drip("HTTP/1.1 200 OK\r\n", 1), "again", "APITimeoutError",
    { timeout = 1.5 } },
  { "brings the body a byte a second", function(peer)
      peer:request()
      peer:send(HEAD .. "{")
      peer:drip('"success":true}', h.slow)
    end, "delivered", "APIStatusError", PATIENT },
  { "brings the answer slowly, but in time", drip(OK, 0.01, 16), "delivered",
    "response" },
  { "is closed when the next request goes out", after_one(function(peer)
      peer:read(1)
    end), "delivered", "response" },
  { "is reset when the next request goes out", after_one(function(peer)
      peer:read(1)
      peer:close "reset"
    end), "delivered", "response" },
  { "is closed as soon as it has answered", after_one(function() end),
    "delivered", "response" },
  { "is reset as soon as it has answered", after_one(function(peer)
      peer:close "reset"
    end), "delivered", "response" },
  { "is half closed by the server, which still answers", function(peer)
      peer:request()
      peer:send(HEAD)
      peer:finish()
      peer:hold()
    end, "delivered", "response" },
  { "is half closed without an answer", function(peer)
      peer:request()
      peer:finish()
      peer:hold()
    end, "again", "APIConnectionError" },
})

h.faults.describe("a connection with a large request", {
  { "takes the request a byte a second", early("", 1), "again",
    "APITimeoutError", { timeout = 1.5, max_event_bytes = 4e6 },
    size = SIZE },
  { "brings 413 while the body is sent, and takes it", early(
      "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 1e9), "rejected",
    "APIStatusError", LARGE, size = SIZE, unread = true },
  { "brings 413 while the body is sent, and takes no more of it", early(
      "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 0), "rejected",
    "APIStatusError", LARGE, size = SIZE, unread = true },
  { "brings 503 while the body is sent, and takes no more of it", early(
      "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 0), "again",
    "InternalServerError", LARGE_AGAIN, size = SIZE },
  { "brings 200 while the body is sent, and takes it", early(OK, 1e9),
    "delivered", "response", LARGE, size = SIZE, unread = true },
  { "brings 200 while the body is sent, and takes no more of it",
    early(OK, 0), "delivered", "response", LARGE_BRIEF, size = SIZE,
    unread = true },
  { "is closed while the body is sent", read_then(5000, "close"), "again",
    "APIConnectionError", LARGE, size = SIZE },
  { "is reset while the body is sent", read_then(5000, "reset"), "again",
    "APIConnectionError", LARGE, size = SIZE },
})

describe("a network that comes and goes once a second", function()
  it("loses nothing, and holds no capture", function()
    local net = h.faulty.new()
    local listener = net:listen(h.faults.serve)
    local client = h.client(listener.url)
    local begun, number, there = socket.gettime(), 0, true
    net:serve(function()
      local second = math.floor(socket.gettime() - begun)
      if there ~= (second % 2 == 0) then
        there = not there
        listener[there and "accept_again" or "refuse"](listener)
        listener:cut "reset"
      end
      number = number + 1
      assert(client.events.capture { name = "n" .. number })
      h.adds_up(client)
      return second >= 4
    end)
    net:serve(function() return client:stats().pending == 0 end)
    local stats = h.adds_up(client)
    net:close()
    assert.equal(number, stats.delivered)
    assert.is_string(stats.last_error)
    h.faults.check_requests(listener, number, true)
  end)
end)
