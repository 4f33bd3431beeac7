-- HTTP/2 servers that go away, refuse streams, or speak nonsense.

local certificate = require "spec.support.certificate"
local faults = require "spec.support.faults"
local frames = require "spec.support.frames"
local shell = require "dev.shell"
local ssl = require "ssl"

local directory = certificate.make {}
local CONTEXT = assert(ssl.newcontext {
  mode = "server", protocol = "any", options = "all",
  certificate = directory .. "/cert.pem", key = directory .. "/key.pem",
  alpn = function() return "h2" end,
})

local NO_ERROR, INTERNAL, REFUSED, CANCEL, CALM = 0, 2, 7, 8, 11

local function serve(peer)
  frames.serve(peer)
end

-- Answers a request with f(stream), and then does one of "close", "hold".
local function answer(f, after, settings)
  return function(peer)
    frames.open(peer, settings)
    local stream = frames.request(peer)
    if stream and peer:send(f(stream)) and after == "hold" then
      peer:hold()
    end
  end
end

-- Each request of the connection.
local function answer_all(f)
  return function(peer)
    if not peer.streams then
      frames.open(peer)
    end
    local stream = frames.request(peer)
    return stream and peer:send(f(stream)) and "keep" or nil
  end
end

local PIECE = ("x"):rep(16384)
local HUGE = PIECE:rep(1024):sub(2) -- the most that a frame can have

-- What is large is made once for each stream: who makes it serves nobody, and
-- a sanitizer sees every byte that is copied.
local function kept(f)
  local made = {}
  return function(stream)
    made[stream] = made[stream] or f(stream)
    return made[stream]
  end
end

local function line(what, fault, queued, waited, options)
  local all = { ca_file = directory .. "/cert.pem", http_version = "2",
    timeout = 20 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return { what, fault, queued, waited, all, context = CONTEXT,
    inside = true, serve = serve }
end

local function again(what, fault, waited, options)
  return line(what, fault, "again", waited or "APIConnectionError", options)
end

local BRIEF = { timeout = 0.8 }

faults.describe("HTTP/2 with", {
  again("a GOAWAY before the first request", function(peer)
    frames.open(peer)
    peer:send(frames.goaway(0, NO_ERROR))
    peer:hold()
  end),
  again("a GOAWAY instead of an answer", answer(function()
    return frames.goaway(0, NO_ERROR)
  end, "close")),
  again("a GOAWAY that takes the request, and no answer", answer(
    function(stream) return frames.goaway(stream, NO_ERROR) end, "close")),
  line("a GOAWAY before the answer", answer(function(stream)
    return frames.goaway(stream, NO_ERROR) .. frames.ok(stream)
  end, "hold"), "delivered", "response"),
  line("a GOAWAY with the answer", answer(function(stream)
    return frames.ok(stream) .. frames.goaway(stream, NO_ERROR)
  end, "hold"), "delivered", "response"),
  line("a GOAWAY with the answer, and the end", answer(function(stream)
    return frames.ok(stream) .. frames.goaway(stream, NO_ERROR)
  end, "close"), "delivered", "response"),
  line("a GOAWAY for ever later, and then for real", answer(function(stream)
    return frames.goaway(2 ^ 31 - 1, NO_ERROR) .. frames.ok(stream)
      .. frames.goaway(stream, NO_ERROR)
  end, "close"), "delivered", "response"),
  again("a GOAWAY that asks for calm", answer(function()
    return frames.goaway(0, CALM, "too_many_pings")
  end, "close")),
  again("a GOAWAY with 10 KB to say", answer(function()
    return frames.goaway(0, INTERNAL, ("x"):rep(10000))
  end, "close")),
  again("a stream that is refused", answer_all(function(stream)
    return frames.reset(stream, REFUSED)
  end)),
  again("a stream that fails", answer_all(function(stream)
    return frames.reset(stream, INTERNAL)
  end)),
  again("a stream that is cancelled", answer_all(function(stream)
    return frames.reset(stream, CANCEL)
  end)),
  -- libcurl 7 tells nothing of a head that comes together with a reset.
  again("a stream that is reset after its head", answer_all(function(stream)
    return frames.head(stream, "200") .. frames.reset(stream, INTERNAL)
  end)),
  again("503, and a reset", answer_all(function(stream)
    return frames.head(stream, "503") .. frames.reset(stream, NO_ERROR)
  end)),
  line("103 before the answer", answer_all(function(stream)
    return frames.head(stream, "103") .. frames.ok(stream)
  end), "delivered", "response"),
  line("a thousand 103 before the answer", answer_all(function(stream)
    return frames.head(stream, "103"):rep(1000) .. frames.ok(stream)
  end), "delivered", "response"),
  again("an end instead of an answer", answer(function() return "" end,
    "close")),
  again("silence", answer(function() return "" end, "hold"),
    "APITimeoutError", BRIEF),
  again("no room for any stream", function(peer)
    frames.open(peer, frames.settings(3, 0))
    frames.request(peer)
    peer:hold()
  end, "APITimeoutError", BRIEF),
  again("no room for any body", function(peer)
    frames.open(peer, frames.settings(4, 0))
    frames.request(peer)
    peer:hold()
  end, "APITimeoutError", BRIEF),
  line("a thousand pings", answer_all(function(stream)
    return frames.ping():rep(1000) .. frames.ok(stream)
  end), "delivered", "response"),
  line("a thousand empty frames of data", answer_all(function(stream)
    return frames.head(stream, "200") .. frames.data(stream, "", 0):rep(1000)
      .. frames.data(stream, "{}")
  end), "delivered", "response"),
  line("10 MB of data", answer(kept(function(stream)
    return frames.head(stream, "200")
      .. frames.data(stream, PIECE, 0):rep(640)
  end), "close"), "delivered", "APIStatusError"),
  line("a frame of an unknown kind", answer_all(function(stream)
    return frames.frame(200, 255, stream, "what?") .. frames.ok(stream)
  end), "delivered", "response"),
  again("a head that cannot be decompressed", answer_all(function(stream)
    return frames.frame(1, 5, stream, ("\255"):rep(20))
  end)),
  again("a head without a status", answer_all(function(stream)
    return frames.frame(1, 5, stream, "")
  end)),
  again("data before the head", answer_all(function(stream)
    return frames.data(stream, "{}")
  end)),
  again("a frame larger than allowed", answer_all(kept(function(stream)
    return frames.head(stream, "503") .. frames.data(stream, HUGE)
  end)), "InternalServerError"),
  again("a push that nobody wants", answer_all(function(stream)
    return frames.frame(5, 4, stream, "\0\0\0\2\130\134\132")
  end)),
  again("HTTP/1.1 all the same", function(peer)
    peer:send(faults.OK)
    peer:hold()
  end),
  again("garbage", function(peer)
    peer:send(("\255"):rep(1000))
    peer:hold()
  end),
})

teardown(function()
  shell.remove(directory)
end)
