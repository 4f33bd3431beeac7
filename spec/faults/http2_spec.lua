-- HTTP/2 servers that go away, refuse streams, or speak nonsense.

local h = require "spec.helper"
local socket = require "socket"
local ssl = require "ssl"

local directory = h.certificate.make {}
local CONTEXT = assert(ssl.newcontext {
  mode = "server", protocol = "any", options = "all",
  certificate = directory .. "/cert.pem", key = directory .. "/key.pem",
  alpn = function() return "h2" end,
})

local NO_ERROR, INTERNAL, REFUSED, CANCEL, CALM = 0, 2, 7, 8, 11

local function serve(peer)
  h.frames.serve(peer)
end

-- Answers a request with f(stream), and then does one of "close", "hold".
local function answer(f, after, settings)
  return function(peer)
    h.frames.open(peer, settings)
    local stream = h.frames.request(peer)
    if stream and peer:send(f(stream)) and after == "hold" then
      peer:hold()
    end
  end
end

-- Each request of the connection.
local function answer_all(f)
  return function(peer)
    if not peer.streams then
      h.frames.open(peer)
    end
    local stream = h.frames.request(peer)
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
  local all = h.merge({ ca_file = directory .. "/cert.pem", http_version = "2",
    timeout = 20 }, options)
  return { what, fault, queued, waited, all, context = CONTEXT,
    inside = true, serve = serve }
end

-- libcurl 8.23 tries six connections for a request that the server has not
-- taken, before it says so.
local UNTAKEN = { timeout = 60 }

local function again(what, fault, waited, options)
  return line(what, fault, "again", waited or "APIConnectionError", options)
end

local BRIEF = { timeout = 0.8 }

-- libcurl 7 tells nothing of a head that comes together with a reset.
local TELLS_HEADS = h.libcurl() >= 8

h.faults.describe("HTTP/2 with", {
  again("a GOAWAY before the first request", function(peer)
    h.frames.open(peer)
    peer:send(h.frames.goaway(0, NO_ERROR))
    peer:hold()
  end, nil, UNTAKEN),
  again("a GOAWAY instead of an answer", answer(function()
    return h.frames.goaway(0, NO_ERROR)
  end, "close"), nil, UNTAKEN),
  again("a GOAWAY that takes the request, and no answer", answer(
    function(stream) return h.frames.goaway(stream, NO_ERROR) end, "close")),
  line("a GOAWAY before the answer", answer(function(stream)
    return h.frames.goaway(stream, NO_ERROR) .. h.frames.ok(stream)
  end, "hold"), "delivered", "response"),
  line("a GOAWAY with the answer", answer(function(stream)
    return h.frames.ok(stream) .. h.frames.goaway(stream, NO_ERROR)
  end, "hold"), "delivered", "response"),
  line("a GOAWAY with the answer, and the end", answer(function(stream)
    return h.frames.ok(stream) .. h.frames.goaway(stream, NO_ERROR)
  end, "close"), "delivered", "response"),
  line("a GOAWAY for ever later, and then for real", answer(function(stream)
    return h.frames.goaway(2 ^ 31 - 1, NO_ERROR) .. h.frames.ok(stream)
      .. h.frames.goaway(stream, NO_ERROR)
  end, "close"), "delivered", "response"),
  again("a GOAWAY that asks for calm", answer(function()
    return h.frames.goaway(0, CALM, "too_many_pings")
  end, "close"), nil, UNTAKEN),
  again("a GOAWAY with 10 KB to say", answer(function()
    return h.frames.goaway(0, INTERNAL, ("x"):rep(10000))
  end, "close"), nil, UNTAKEN),
  again("a stream that is refused", answer_all(function(stream)
    return h.frames.reset(stream, REFUSED)
  end), nil, UNTAKEN),
  again("a stream that fails", answer_all(function(stream)
    return h.frames.reset(stream, INTERNAL)
  end)),
  again("a stream that is cancelled", answer_all(function(stream)
    return h.frames.reset(stream, CANCEL)
  end)),
  line("a stream that is reset after its head", answer_all(function(stream)
    return h.frames.head(stream, "200") .. h.frames.reset(stream, INTERNAL)
  end), TELLS_HEADS and "delivered" or "again",
    TELLS_HEADS and "response" or "APIConnectionError"),
  again("503, and a reset", answer_all(function(stream)
    return h.frames.head(stream, "503") .. h.frames.reset(stream, NO_ERROR)
  end), TELLS_HEADS and "InternalServerError" or nil),
  line("103 before the answer", answer_all(function(stream)
    return h.frames.head(stream, "103") .. h.frames.ok(stream)
  end), "delivered", "response"),
  line("a thousand 103 before the answer", answer_all(function(stream)
    return h.frames.head(stream, "103"):rep(1000) .. h.frames.ok(stream)
  end), "delivered", "response"),
  again("an end instead of an answer", answer(function() return "" end,
    "close")),
  again("silence", answer(function() return "" end, "hold"),
    "APITimeoutError", BRIEF),
  again("no room for any stream", function(peer)
    h.frames.open(peer, h.frames.settings(3, 0))
    h.frames.request(peer)
    peer:hold()
  end, "APITimeoutError", BRIEF),
  again("no room for any body", function(peer)
    h.frames.open(peer, h.frames.settings(4, 0))
    h.frames.request(peer)
    peer:hold()
  end, "APITimeoutError", BRIEF),
  line("a thousand pings", answer_all(function(stream)
    return h.frames.ping():rep(1000) .. h.frames.ok(stream)
  end), "delivered", "response"),
  line("a thousand empty frames of data", answer_all(function(stream)
    return h.frames.head(stream, "200")
      .. h.frames.data(stream, "", 0):rep(1000)
      .. h.frames.data(stream, "{}")
  end), "delivered", "response"),
  line("10 MB of data", answer(kept(function(stream)
    return h.frames.head(stream, "200")
      .. h.frames.data(stream, PIECE, 0):rep(640)
  end), "close"), "delivered", "APIStatusError"),
  line("a frame of an unknown kind", answer_all(function(stream)
    return h.frames.frame(200, 255, stream, "what?") .. h.frames.ok(stream)
  end), "delivered", "response"),
  again("a head that cannot be decompressed", answer_all(function(stream)
    return h.frames.frame(1, 5, stream, ("\255"):rep(20))
  end)),
  again("a head without a status", answer_all(function(stream)
    return h.frames.frame(1, 5, stream, "")
  end)),
  again("data before the head", answer_all(function(stream)
    return h.frames.data(stream, "{}")
  end)),
  again("a frame larger than allowed", answer_all(kept(function(stream)
    return h.frames.head(stream, "503") .. h.frames.data(stream, HUGE)
  end)), "InternalServerError"),
  again("a push that nobody wants", answer_all(function(stream)
    return h.frames.frame(5, 4, stream, "\0\0\0\2\130\134\132")
  end)),
  again("HTTP/1.1 all the same", function(peer)
    peer:send(h.faults.OK)
    peer:hold()
  end),
  again("garbage", function(peer)
    peer:send(("\255"):rep(1000))
    peer:hold()
  end),
})

describe("a connection over which a request has timed out", function()
  local net, listener, patient, brief

  -- The first connection is silent, all others are well.
  before_each(function()
    net = h.faulty.new()
    listener = net:listen(function(peer)
      if not peer:secure(CONTEXT) then
        return
      elseif peer.number > 1 then
        return h.frames.serve(peer)
      end
      h.frames.open(peer)
      while h.frames.request(peer) do
        listener.unanswered = (listener.unanswered or 0) + 1
      end
    end, "https", "localhost")
    patient = h.client(listener.url, {
      ca_file = directory .. "/cert.pem", http_version = "2", timeout = 600 })
    brief = patient:with_options { timeout = 2 }
  end)

  after_each(function()
    brief:close(0)
    patient:close(0)
    net:close()
  end)

  local function capture(client)
    assert(client.events.capture {
      name = client == brief and "brief" or "patient",
      data = { i = client:stats().accepted },
    })
  end

  local function deliver(client, count)
    net:serve(function() return client:stats().delivered == count end, 30,
      count .. " to be delivered")
  end

  -- Somebody who has a request a fifth of a second.
  local function pause()
    local due = socket.gettime() + 0.2
    net:serve(function() return socket.gettime() > due end)
  end

  it("is not used again", function()
    capture(brief)
    deliver(brief, 1)
    assert.equal(1, listener.unanswered)
  end)

  it("is not used again while others are in flight over it", function()
    capture(patient)
    net:serve(function() return listener.unanswered == 1 end)
    capture(brief)
    deliver(brief, 1)
    for i = 1, 20 do
      pause()
      capture(patient)
      deliver(patient, i)
    end
    assert.equal(2, listener.unanswered)
    assert.equal(1, patient:stats().pending)
    listener.peers[1]:close "reset"
    deliver(patient, 21)
  end)

  it("makes others take new ones for a while only", function()
    local count, accepted = 1
    capture(brief)
    deliver(brief, 1)
    repeat
      accepted, count = listener.accepted, count + 1
      pause()
      capture(brief)
      deliver(brief, count)
      assert.is_true(count < 100)
    until listener.accepted == accepted
  end)
end)

teardown(function()
  h.shell.remove(directory)
end)
