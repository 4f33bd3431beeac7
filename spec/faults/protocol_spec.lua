-- What a server says that is no proper answer of the API.

local h = require "spec.helper"

local answer = h.faults.answer

-- For faults that only the client's patience ends; and for those of which it
-- has to see something before.
local BRIEF = { timeout = 0.4 }
local PATIENT = { timeout = 4 }

local OK = h.faults.OK
local JSON = '{"success":true}'
local PIECE = ("x"):rep(65536)
local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

-- An answer with these lines after its status line, and a body.
local function lines(text, body)
  return "HTTP/1.1 200 OK\r\n" .. text .. "\r\n\r\n" .. (body or "")
end

-- Sends `head`, then a piece again and again until `total` bytes are sent or
-- the client has had enough, which it must have before `limit`.
local function flood(head, piece, total, limit)
  return function(peer)
    if not peer:request() then
      return
    end
    local sent = #head
    local alive = peer:send(head)
    while alive and sent < total do
      alive, sent = peer:send(piece), sent + #piece
      if sent > limit then
        error(("the client takes more than %d bytes"):format(limit), 0)
      end
    end
  end
end

local GIGABYTES = 10 * 2 ^ 30
local MOST = 2 ^ 24 -- what the system's buffers may hold, and more

local function gzip(level)
  local pipe = assert(io.popen("head -c 100000000 /dev/zero | gzip -"
    .. level))
  local bytes = pipe:read "*a"
  pipe:close()
  return bytes
end

h.faults.describe("a body", {
  { "of 10 GB", flood(lines "Content-Length: 10737418240", PIECE, GIGABYTES,
      MOST), "delivered", "APIStatusError" },
  { "of 10 GB in chunks", flood(CHUNKED, "10000\r\n" .. PIECE .. "\r\n",
      GIGABYTES, MOST), "delivered", "APIStatusError" },
  { "of 10 GB without a length", flood("HTTP/1.1 200 OK\r\n\r\n", PIECE,
      GIGABYTES, MOST), "delivered", "APIStatusError" },
  { "of 10 GB with an error", flood("HTTP/1.1 422 No\r\n"
      .. "Content-Length: 10737418240\r\n\r\n", PIECE, GIGABYTES, MOST),
    "rejected", "UnprocessableEntityError" },
  { "of 10 GB with a redirect", flood("HTTP/1.1 307 Go\r\n"
      .. "Location: /capture\r\nContent-Length: 10737418240\r\n\r\n", PIECE,
      GIGABYTES, MOST), "again", "APIStatusError" },
  { "of zeros that are a compressed bomb", answer(lines(
      "Content-Encoding: gzip", gzip(9))), "delivered", "APIStatusError" },
  { "that says it is compressed, and is not", answer(lines(
      "Content-Encoding: gzip\r\nContent-Length: 16", JSON)), "delivered",
    "response" },
  { "compressed in a way that nobody knows", answer(lines(
      "Content-Encoding: x-none\r\nContent-Length: 16", JSON)), "delivered",
    "response" },
  { "of compressed chunks", answer(lines(
      "Transfer-Encoding: gzip, chunked", "10\r\n" .. JSON
      .. "\r\n0\r\n\r\n")), "delivered", "response" },
  { "that is empty", answer(lines "Content-Length: 0"), "delivered",
    "response" },
  { "of another type", answer(lines("Content-Type: text/html\r\n"
      .. "Content-Length: 16", JSON)), "delivered", "response" },
  { "of HTML", answer(lines("Content-Type: text/html",
      "<html>Sign in to the hotel's network</html>")), "delivered",
    "APIStatusError" },
  { "of JSON that breaks off", answer(lines("Content-Type: application/json",
      '{"success":tr')), "delivered", "APIStatusError" },
  { "of JSON that is nested 10,000 times", answer(lines(
      "Content-Type: application/json", ("["):rep(10000))), "delivered",
    "APIStatusError" },
  { "of objects nested 10,000 times", answer(lines(
      "Content-Type: application/json", ('{"a":'):rep(10000))), "delivered",
    "APIStatusError" },
  { "of JSON with a mark of its byte order", answer(lines("X: y",
      "\239\187\191" .. JSON)), "delivered", "APIStatusError" },
  { "of JSON in UTF-16", answer(lines("X: y", (JSON:gsub(".", "%0\0")))),
    "delivered", "APIStatusError" },
  { "with two values", answer(lines("X: y", JSON .. JSON)), "delivered",
    "APIStatusError" },
  { "that is a number", answer(lines("X: y", "1e999")), "delivered",
    "APIStatusError" },
  { "that is null", answer(lines("X: y", "null")), "delivered",
    "APIStatusError" },
  { "of zeros", answer(lines("X: y", ("\0"):rep(100))), "delivered",
    "APIStatusError" },
  { "that says success:false", answer(lines("X: y", '{"success":false}')),
    "delivered", "APIStatusError" },
  { "that says success:null", answer(lines("X: y", '{"success":null}')),
    "delivered", "response" },
  { "that says error", answer(lines("X: y", '{"error":"no"}')), "delivered",
    "response" },
  { "with an error that is no string", answer(
      'HTTP/1.1 400 Bad\r\n\r\n{"error":{"error":[1,{}]}}'), "rejected",
    "BadRequestError" },
  { "of an error of 60,000 quotes", answer(
      "HTTP/1.1 400 Bad\r\n\r\n" .. '"' .. ('\\"'):rep(30000) .. '"'),
    "rejected", "BadRequestError" },
})

h.faults.describe("a length", {
  { "that is too long", answer(lines("Content-Length: 100", JSON)),
    "delivered", "response" },
  { "that is too long, and the connection stays", answer(lines(
      "Content-Length: 100", JSON), "hold"), "delivered", "response",
    PATIENT },
  { "that is too short", answer(lines("Content-Length: 5", JSON)),
    "delivered", "APIStatusError" },
  { "that is too short, and the connection stays", answer(lines(
      "Content-Length: 5", JSON), "keep"), "delivered", "APIStatusError" },
  { "that is negative", answer(lines("Content-Length: -1", JSON)), "delivered",
    "response" },
  { "that is no number", answer(lines("Content-Length: many", JSON)),
    "delivered", "response" },
  { "that is empty", answer(lines("Content-Length:", JSON)), "delivered",
    "response" },
  { "beyond 64 bits", answer(lines("Content-Length: 99999999999999999999",
      JSON)), "delivered", "response" },
  { "in hexadecimal", answer(lines("Content-Length: 0x10", JSON)),
    "delivered", "response" },
  { "given twice, differing", answer(lines(
      "Content-Length: 16\r\nContent-Length: 5", JSON)), "delivered",
    "response" },
  { "beside chunks", answer(lines(
      "Content-Length: 5\r\nTransfer-Encoding: chunked", "10\r\n" .. JSON
      .. "\r\n0\r\n\r\n")), "delivered", "response" },
  { "beside chunks that are none", answer(lines(
      "Transfer-Encoding: chunked\r\nContent-Length: 16", JSON)),
    "delivered", "response" },
})

h.faults.describe("chunks", {
  { "of an impossible size", answer(CHUNKED .. "zz\r\n"), "delivered",
    "response" },
  { "of a negative size", answer(CHUNKED .. "-1\r\n" .. JSON), "delivered",
    "response" },
  { "beyond 64 bits", answer(CHUNKED .. ("f"):rep(17) .. "\r\n" .. JSON),
    "delivered", "response" },
  { "of the largest size", answer(CHUNKED .. "7fffffffffffffff\r\n" .. JSON),
    "delivered", "response" },
  { "that are longer than they say", answer(CHUNKED .. "5\r\n" .. JSON
      .. "\r\n0\r\n\r\n"), "delivered", "APIStatusError" },
  { "without their end", answer(CHUNKED .. "10\r\n" .. JSON .. "\r\n"),
    "delivered", "response" },
  { "without their end, and the connection stays", answer(CHUNKED
      .. "10\r\n" .. JSON .. "\r\n", "hold"), "delivered", "response",
    PATIENT },
  { "of a byte each", answer(CHUNKED .. JSON:gsub(".", "1\r\n%0\r\n")
      .. "0\r\n\r\n", "keep"), "delivered", "response" },
  { "with 1 MB of extensions", answer(CHUNKED .. "10;" .. ("x"):rep(1e6)
      .. "\r\n" .. JSON .. "\r\n0\r\n\r\n"), "delivered", "response" },
  { "with trailers", answer(CHUNKED .. "10\r\n" .. JSON
      .. "\r\n0\r\nHTTP/1.1 500 No\r\nX-Should-Retry: true\r\n\r\n", "keep"),
    "delivered", "response" },
  { "that nobody announced", answer("HTTP/1.1 200 OK\r\n\r\n10\r\n" .. JSON
      .. "\r\n0\r\n\r\n"), "delivered", "APIStatusError" },
})

local CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"
local NO_ANSWER = "APIConnectionError"

h.faults.describe("a head", {
  { "of 1 MB", answer(lines(("X-Pad: " .. ("x"):rep(990) .. "\r\n"):rep(1000)
      .. "X: y")), "delivered", "response" },
  { "of one line of 1 MB", answer(lines("X-Pad: " .. ("x"):rep(1e6))),
    "delivered", "response" },
  { "of 100,000 empty headers", answer(lines(("x:\r\n"):rep(1e5) .. "X: y")),
    "delivered", "response" },
  { "of 20,000 headers of one name, with an error", answer(
      "HTTP/1.1 400 Bad\r\n" .. ("x: y\r\n"):rep(20000) .. "\r\n"),
    "rejected", "BadRequestError" },
  { "that never ends", flood("HTTP/1.1 200 OK\r\n", "X-Pad: "
      .. ("x"):rep(2000) .. "\r\n", GIGABYTES, MOST), "delivered",
    "response" },
  { "whose status line is 1 MB", answer("HTTP/1.1 200 " .. ("x"):rep(1e6)
      .. "\r\nContent-Length: 0\r\n\r\n"), "again", NO_ANSWER },
  { "whose status line is 60 KB", answer("HTTP/1.1 200 " .. ("x"):rep(60000)
      .. "\r\nContent-Length: 0\r\n\r\n"), "delivered", "response" },
  { "with a zero in a header", answer(lines("X: a\0b\r\nContent-Length: 0")),
    "delivered", "response" },
  { "with a zero in the status line", answer(
      "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"), "again", NO_ANSWER },
  { "with a folded header", answer(lines("X: a\r\n b\r\nContent-Length: 0",
      "")), "delivered", "response" },
  { "with a folded first header", answer(lines " x: a"), "delivered",
    "response" },
  { "with a line that is no header", answer(lines(
      "what is this\r\nContent-Length: 0")), "delivered", "response" },
  { "with a header without a name", answer(lines(
      ": x\r\nContent-Length: 0")), "delivered", "response" },
  { "with a space before the colon", answer(lines(
      "Content-Length : 16", JSON)), "delivered", "response" },
  { "with bytes beyond ASCII", answer(lines("X: \255\254\128\r\n\195: \r\n"
      .. "Content-Length: 0")), "delivered", "response" },
  { "with lone line feeds", answer("HTTP/1.1 200 OK\nContent-Length: 16\n\n"
      .. JSON), "delivered", "response" },
  { "with lone carriage returns", answer("HTTP/1.1 200 OK\r\r"), "again",
    NO_ANSWER },
  { "of HTTP/0.9", answer(JSON), "again", NO_ANSWER },
  { "of HTTP/0.9, that looks like a status", answer("200 OK\r\n\r\n" .. JSON),
    "again", NO_ANSWER },
  { "of HTTP/1.0 without a length", answer("HTTP/1.0 200 OK\r\n\r\n" .. JSON),
    "delivered", "response" },
  -- libcurl 7 puts up with it.
  { "of HTTP/2.0 without TLS", answer("HTTP/2 200 OK\r\n\r\n" .. JSON),
    h.libcurl() < 8 and "delivered" or "again",
    h.libcurl() < 8 and "response" or NO_ANSWER },
  { "of HTTP/9", answer("HTTP/9.9 200 OK\r\n\r\n" .. JSON), "again",
    NO_ANSWER },
  { "of frames of HTTP/2", answer "\0\0\18\4\0\0\0\0\0\0\3\0\0\0\128\0\4",
    "again", NO_ANSWER },
  { "of another protocol", answer "220 mail.example ESMTP\r\n", "again",
    NO_ANSWER },
  { "of TLS", answer "\21\3\1\0\2\2\70", "again", NO_ANSWER },
  { "after empty lines", answer("\r\n\r\n" .. OK), "again", NO_ANSWER },
  { "with a status of four digits", answer "HTTP/1.1 2000 OK\r\n\r\n",
    "again", NO_ANSWER },
  { "with a status of two digits", answer "HTTP/1.1 20 OK\r\n\r\n",
    "again", NO_ANSWER },
  { "with a status in words", answer "HTTP/1.1 OK\r\n\r\n", "again",
    NO_ANSWER },
  { "with a negative status", answer "HTTP/1.1 -200 OK\r\n\r\n", "again",
    NO_ANSWER },
  { "with two status lines, the good one second", answer(
      "HTTP/1.1 500 No\r\n" .. OK), "again", "InternalServerError" },
  { "with two status lines, the good one first", answer(
      "HTTP/1.1 200 OK\r\nHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "delivered", "response" },
  { "with Connection: close, which stays", answer(lines(
      "Connection: close\r\nContent-Length: 16", JSON), "hold"),
    "delivered", "response" },
  { "that closes, and says keep-alive", answer(lines(
      "Connection: keep-alive\r\nContent-Length: 16", JSON)), "delivered",
    "response" },
  { "with cookies and alternatives", answer(lines("Set-Cookie: a=b\r\n"
      .. 'Alt-Svc: h2=":1", h3=":1"\r\nStrict-Transport-Security: '
      .. "max-age=99999999\r\nContent-Length: 16", JSON), "keep"),
    "delivered", "response" },
})

h.faults.describe("an answer", {
  { "100, and nothing else", answer(CONTINUE, "hold"), "again",
    "APITimeoutError", BRIEF },
  { "100, and the end", answer(CONTINUE), "again", NO_ANSWER },
  { "100 before the good one", answer(CONTINUE .. OK, "keep"), "delivered",
    "response" },
  { "100 before a bad one", answer(CONTINUE
      .. "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "keep"), "again",
    "InternalServerError" },
  { "100 with a body's length", answer(
      "HTTP/1.1 100 Continue\r\nContent-Length: 99\r\n\r\n" .. OK, "keep"),
    "delivered", "response" },
  { "103 with headers that are meant for nobody", answer(
      "HTTP/1.1 103 Hints\r\nX-Should-Retry: false\r\nRetry-After: 30\r\n\r\n"
      .. "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "keep"), "again",
    "InternalServerError" },
  { "1xx a thousand times before the good one", answer(
      ("HTTP/1.1 102 Processing\r\n\r\n"):rep(1000) .. OK, "keep"),
    "delivered", "response" },
  { "1xx without end", flood("", ("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")
      :rep(100), GIGABYTES, MOST), "again", NO_ANSWER },
  { "1xx every moment", function(peer)
      peer:request()
      while peer:send(CONTINUE) and not peer.ended do
        peer:pause(0.05)
      end
    end, "again", "APITimeoutError", BRIEF },
  { "101, and another protocol", answer(
      "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
      .. "Connection: Upgrade\r\n\r\n\129\5hello"), "again", NO_ANSWER },
  { "199", answer "HTTP/1.1 199 What\r\n\r\n", "again", NO_ANSWER },
  { "204 with a body", answer("HTTP/1.1 204 No\r\nContent-Length: 16\r\n\r\n"
      .. JSON, "keep"), "delivered", "response" },
  { "204 in chunks", answer(
      "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" .. JSON
      .. "\r\n0\r\n\r\n", "keep"), "delivered", "response" },
  { "205 without a length, which stays", answer("HTTP/1.1 205 No\r\n\r\n",
      "hold"), "delivered", "response", PATIENT },
  { "304 with a body", answer("HTTP/1.1 304 No\r\nContent-Length: 16\r\n\r\n"
      .. JSON, "keep"), "again", "APIStatusError" },
  { "that comes twice", answer(OK .. OK, "keep"), "delivered", "response" },
  { "that comes twice, the second a bad one", answer(OK
      .. "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", "keep"),
    "delivered", "response" },
  { "with megabytes after it", answer(OK .. ("x"):rep(3e6)), "delivered",
    "response" },
  { "before the request", function(peer)
      peer:send(OK)
      peer:request()
    end, "delivered", "response", unread = true },
  { "that asks to log in", answer("HTTP/1.1 401 No\r\nWWW-Authenticate: "
      .. 'Negotiate\r\nWWW-Authenticate: NTLM\r\nWWW-Authenticate: Digest '
      .. 'realm="x", nonce="y"\r\nContent-Length: 0\r\n\r\n', "keep"),
    "again", "AuthenticationError" },
  { "417, as though it had been asked to expect", answer(
      "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", "keep"), "rejected",
    "APIStatusError" },
  { "426, for another protocol", answer("HTTP/1.1 426 Upgrade\r\n"
      .. "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
      "keep"), "rejected", "APIStatusError" },
  { "that redirects to itself", answer("HTTP/1.1 308 Go\r\nLocation: "
      .. "/capture\r\nContent-Length: 0\r\n\r\n", "keep"), "again",
    "APIStatusError" },
  { "that redirects to a file", answer("HTTP/1.1 307 Go\r\nLocation: "
      .. "file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "keep"), "again",
    "APIStatusError" },
  { "that redirects to a location of 100 KB", answer("HTTP/1.1 307 Go\r\n"
      .. "Location: /" .. ("x"):rep(1e5) .. "\r\nContent-Length: 0\r\n\r\n",
      "keep"), "again", "APIStatusError" },
})

describe("two lengths that differ", function()
  it("end the answer at once: no time out is waited for", function()
    local x = h.open { timeout = 600 }
    x:capture "a"
    local stats = x:settle(function()
      return "raw", "HTTP/1.1 400 Bad\r\nContent-Length: 5\r\n"
        .. "Content-Length: 100\r\n\r\nshort"
    end)
    assert.equal(1, stats.rejected)
    x:close()
  end)
end)
