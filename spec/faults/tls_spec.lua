-- TLS that fails: certificates, versions, handshakes that break off, and
-- connections that are cut or tampered with.

local h = require "spec.helper"
local ssl = require "ssl"

local directories = {}

local function make(made)
  directories[#directories + 1] = h.certificate.make(made)
  return directories[#directories]
end

-- What all clients trust, so that a certificate fails for one reason alone.
local CA = make {} .. "/ca.pem"

local function trust(directory)
  h.shell.write(CA, (h.shell.read(CA) or "")
    .. h.shell.read(directory .. "/cert.pem"))
end

local function context_of(directory, more)
  local settings = h.merge({
    mode = "server", protocol = "any", certificate = directory .. "/cert.pem",
    key = directory .. "/key.pem", options = "all",
  }, more)
  return assert(ssl.newcontext(settings))
end

local function context(made, more)
  local directory = make(made)
  trust(directory)
  return context_of(directory, more)
end

trust(directories[1])
local GOOD = context_of(directories[1])
local OLDER = context_of(directories[1], { protocol = "tlsv1_2" })
local STRANGER = context_of(make {})

local function line(what, fault, queued, waited, options)
  local all = h.merge({ ca_file = CA, timeout = 20 }, options)
  return { what, fault, queued, waited, all, context = GOOD,
    serve = h.faults.serve_once }
end

local function again(what, fault, options)
  return line(what, fault, "again", "APIConnectionError", options)
end

-- Shakes hands with another context, and serves well if that succeeds.
local function with(other)
  return function(peer)
    if peer:secure(other) then
      h.faults.serve_once(peer)
    end
  end
end

local function after_hello(bytes, how)
  return h.faulty.read_then(100, how, bytes)
end

-- Servers behind the relays: one that answers well, and one whose answer has
-- no length, so that the connection's end is that of the body.
local behind = h.faulty.new()
local function upstream(bytes)
  return behind:listen(function(peer)
    if peer:secure(OLDER) and peer:request() then
      peer:send(bytes)
    end
  end).port
end

local FULL = upstream(h.faults.OK)
local PARTIAL = upstream('HTTP/1.1 200 OK\r\nContent-Type: '
  .. 'application/json\r\n\r\n{"succ')

local HANDSHAKE, DATA = 22, 23

-- Relays, and does something with the first record of a kind.
local function at(kind, port, edit, how)
  return function(peer)
    peer:relay(port, function(of, record)
      if of == kind then
        return edit(record), true
      end
      return record, false
    end)
    if how == "hold" then
      peer:hold()
    else
      peer:close(how)
    end
  end
end

local function whole(record) return record end
local function nothing() return "" end
local function half(record) return record:sub(1, math.floor(#record / 2)) end

local function flipped(record)
  local last = record:byte(-1)
  return record:sub(1, -2) .. string.char((last + 1) % 256)
end

local function alert(number)
  return function() return "\21\3\3\0\2\2" .. string.char(number) end
end

local lines = {
  again("a certificate that has expired",
    with(context { from = 2020, till = 2021 })),
  again("a certificate that is not valid yet",
    with(context { from = 2110, till = 2111 })),
  again("a certificate that vouches for itself", with(STRANGER)),
  again("a certificate of another host",
    with(context { names = "DNS:api.example" })),
  again("a certificate of the host, with a zero behind it",
    with(context { names = "DNS:localhost.example" })),
  again("a certificate of a wildcard",
    with(context { names = "DNS:*.localhost,DNS:*" })),
  again("TLS 1.0 alone", with(context({}, {
    protocol = "tlsv1", ciphers = "ALL:@SECLEVEL=0",
  }))),
  again("TLS 1.1 alone", with(context({}, {
    protocol = "tlsv1_1", ciphers = "ALL:@SECLEVEL=0",
  }))),
  again("ciphers that encrypt nothing", with(context({}, {
    protocol = "tlsv1_2", ciphers = "eNULL:@SECLEVEL=0",
  }))),
  again("no TLS, but HTTP", after_hello(h.faults.OK)),
  again("no TLS, but garbage", after_hello(("\255"):rep(5000))),
  again("the end before the handshake", after_hello ""),
  again("a reset before the handshake", after_hello("", "reset")),
  line("silence before the handshake", after_hello("", "hold"), "again",
    "APITimeoutError", { timeout = 0.4 }),
  again("an alert instead of a handshake", after_hello(alert(40)())),
  again("an alert, and the connection stays",
    after_hello(alert(80)(), "hold")),
  again("a warning that the name is unknown, and the end",
    after_hello "\21\3\3\0\2\1\112"),
  again("an end in the midst of the handshake", at(HANDSHAKE, FULL, half)),
  again("a reset in the midst of the handshake",
    at(HANDSHAKE, FULL, whole, "reset")),
  line("silence in the midst of the handshake",
    at(HANDSHAKE, FULL, whole, "hold"), "again", "APITimeoutError",
    { timeout = 0.6 }),
  again("a handshake that somebody has changed",
    at(HANDSHAKE, FULL, flipped, "hold"), { timeout = 5 }),
  again("an end instead of the answer", at(DATA, FULL, nothing)),
  again("a reset instead of the answer", at(DATA, FULL, nothing, "reset")),
  again("an alert instead of the answer", at(DATA, FULL, alert(10))),
  again("an answer that is cut within a record", at(DATA, FULL, half)),
  again("an answer that somebody has changed",
    at(DATA, FULL, flipped, "hold")),
  line("an answer after which nobody says goodbye", at(DATA, FULL, whole),
    "delivered", "response"),
  line("an answer after which comes a reset",
    at(DATA, FULL, whole, "reset"), "delivered", "response"),
  line("an answer that ends where nobody says goodbye",
    at(DATA, PARTIAL, whole), "delivered", "APIStatusError"),
}

for _, each in ipairs(lines) do
  each.unread = each[3] == "delivered"
end

-- The servers behind the relays work while the others do.
h.faults.describe("TLS with", lines, behind)

teardown(function()
  behind:close()
  for _, directory in ipairs(directories) do
    h.shell.remove(directory)
  end
end)
