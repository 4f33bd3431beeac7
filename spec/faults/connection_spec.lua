-- What happens to connections on the way.

local faults = require "spec.support.faults"

local answer = faults.answer

-- For faults that only the client's patience ends.
local BRIEF = { timeout = 0.4, connect_timeout = 0.4 }

local OK = faults.OK
local HEAD = OK:match "^.-\r\n\r\n"

-- Reads so much of a request, and no more.
local function read_then(count, how, bytes)
  return function(peer)
    peer:read(count)
    if bytes then
      peer:send(bytes)
    end
    if how == "hold" then
      peer:hold()
    else
      peer:close(how)
    end
  end
end

local function drip(bytes, seconds, size)
  return function(peer)
    peer:request()
    peer:drip(bytes, seconds, size)
    peer:hold()
  end
end

-- The first request of each connection goes well.
local function after_one(f)
  return function(peer)
    if peer:request() then
      peer:send(OK)
      f(peer)
    end
  end
end

faults.describe("a connection", {
  { "is refused", nil, "again", "APIConnectionError", refuses = true },
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
    answer("HTTP/1.1 200 OK\r\n", "hold"), "delivered", "response", BRIEF },
  { "ends after the head", answer(HEAD), "delivered", "response" },
  { "is reset after the head", answer(HEAD, "reset"), "delivered",
    "response" },
  { "ends in the midst of the body", answer(HEAD .. '{"succ'), "delivered",
    "APIStatusError" },
  { "is reset in the midst of the body", answer(HEAD .. '{"succ', "reset"),
    "delivered", "APIStatusError" },
  { "stalls in the midst of the body", answer(HEAD .. '{"succ', "hold"),
    "delivered", "APIStatusError", BRIEF },
  { "ends in the midst of an error's body",
    answer 'HTTP/1.1 400 Bad\r\nContent-Length: 50\r\n\r\n{"err',
    "rejected", "BadRequestError" },
  { "is reset in the midst of an error's body",
    answer('HTTP/1.1 503 No\r\nContent-Length: 50\r\n\r\n{"err', "reset"),
    "again", "InternalServerError" },
  { "brings the status line a byte a second",
    drip("HTTP/1.1 200 OK\r\n", 1), "again", "APITimeoutError",
    { timeout = 2.5 } },
  { "brings the body a byte a second", function(peer)
      peer:request()
      peer:send(HEAD)
      peer:drip('{"success":true}', 1)
    end, "delivered", "APIStatusError", { timeout = 2.5 } },
  { "brings the answer slowly, but in time", drip(OK, 0.01, 4), "delivered",
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
