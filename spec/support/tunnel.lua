-- A proxy that leads a connection on to where it is asked to, by CONNECT or
-- SOCKS 4, 4a and 5; or a port that is two, by what a connection begins with.
-- It works while it is stepped or serves.

local ports = require "spec.support.ports"
local socket = require "socket"

local tunnel = {}
tunnel.__index = tunnel
tunnel.__name = "support.tunnel"

-- Options:
--   port    leads to this port of 127.0.0.1, whatever it was asked
--   answer  says this to a CONNECT, and leads nowhere
--   tls, plain  ports for connections that ask for nothing
function tunnel.new(options)
  local port = ports.take()
  return setmetatable({
    listener = ports.listen(port),
    address = "127.0.0.1:" .. port,
    port = port,
    options = options or {},
    asked = {}, -- what was asked for: { host, port, login, head }
    links = {},
  }, tunnel)
end

local function close(link)
  link.closed = true
  for _, peer in ipairs { link.near, link.far } do
    peer:close()
  end
end

local function send(link, peer, bytes)
  peer:settimeout(5)
  if not peer:send(bytes) then
    close(link)
  end
  peer:settimeout(0)
end

-- The next bytes of the client, for which a coroutine waits.
local function take(link, count)
  while #link.input < count do
    coroutine.yield()
  end
  local bytes = link.input:sub(1, count)
  link.input = link.input:sub(count + 1)
  return bytes
end

-- The same, up to and without a mark.
local function take_until(link, mark)
  local first, last = link.input:find(mark, 1, true)
  while not last do
    coroutine.yield()
    first, last = link.input:find(mark, 1, true)
  end
  return take(link, last):sub(1, first - 1)
end

local function take_port(link)
  local high, low = take(link, 2):byte(1, 2)
  return high * 256 + low
end

local function take_address(link)
  return ("%d.%d.%d.%d"):format(take(link, 4):byte(1, 4))
end

-- Only the loopback one is expected.
local function take_address6(link)
  local bytes = take(link, 16)
  return bytes == ("\0"):rep(15) .. "\1" and "::1" or bytes
end

local function take_counted(link)
  return take(link, take(link, 1):byte())
end

-- By how SOCKS 5 says that a host is given.
local HOSTS = { take_address, nil, take_counted, take_address6 }

-- Each returns what was asked for, and what to say when there is a way.

local function connect(link)
  local head = take_until(link, "\r\n\r\n")
  local host, port = head:match "^CONNECT (%S+):(%d+) HTTP/1.1\r\n"
  return { host = host, port = tonumber(port), head = head },
    "HTTP/1.1 200 Connection established\r\n\r\n"
end

local function socks4(link)
  take(link, 2)
  local port, host = take_port(link), take_address(link)
  local login = take_until(link, "\0")
  if host:match "^0%.0%.0%." then
    host = take_until(link, "\0")
  end
  return { host = host, port = port, login = login }, "\0\90" .. ("\0"):rep(6)
end

local function socks5(link)
  local login
  take(link, 1)
  if take_counted(link):find("\2", 1, true) then
    send(link, link.near, "\5\2")
    take(link, 1)
    login = take_counted(link)
    login = login .. ":" .. take_counted(link)
    send(link, link.near, "\1\0")
  else
    send(link, link.near, "\5\0")
  end
  local take_host = HOSTS[take(link, 4):byte(4)]
  local host = take_host(link)
  return { host = host, port = take_port(link), login = login },
    "\5\0\0\1" .. ("\0"):rep(6)
end

local function straight(link, options)
  local secure = link.input:sub(1, 1) == "\22"
  return { port = secure and options.tls or options.plain }, ""
end

local PROTOCOLS = { ["C"] = connect, ["\4"] = socks4, ["\5"] = socks5 }

local function open(self, link)
  while link.input == "" do
    coroutine.yield()
  end
  local protocol = PROTOCOLS[link.input:sub(1, 1)] or straight
  local asked, granted = protocol(link, self.options)
  self.asked[#self.asked + 1] = asked
  if self.options.answer then
    return send(link, link.near, self.options.answer)
  end
  local far = assert(socket.connect("127.0.0.1",
    self.options.port or asked.port))
  far:settimeout(0)
  link.far = far
  send(link, link.near, granted)
end

-- What has come from a peer; ends the link when that has closed.
local function receive(link, peer)
  local data, problem, partial = peer:receive(65536)
  if problem == "closed" and partial == "" then
    close(link)
  end
  return data or partial or ""
end

local function move(link)
  link.input = link.input .. receive(link, link.near)
  if not link.far then
    return link.closed or assert(coroutine.resume(link.opening))
  end
  if link.input ~= "" and not link.closed then
    send(link, link.far, link.input)
    link.input = ""
  end
  local back = link.closed and "" or receive(link, link.far)
  if back ~= "" and not link.closed then
    send(link, link.near, back)
  end
end

-- Moves on what there is to be moved.
function tunnel:step()
  local peer = self.listener:accept()
  if peer then
    peer:settimeout(0)
    local link = { near = peer, input = "" }
    link.opening = coroutine.create(function() open(self, link) end)
    self.links[#self.links + 1] = link
  end
  for _, link in ipairs(self.links) do
    if not link.closed and (link.far
      or coroutine.status(link.opening) ~= "dead") then
      move(link)
    end
  end
end

-- Serves until the condition holds; raises when it does not in time.
function tunnel:serve(until_, seconds)
  local deadline = socket.gettime() + (seconds or 10)
  while not until_() do
    if socket.gettime() > deadline then
      error("the tunnel has served in vain", 2)
    end
    self:step()
    socket.sleep(0.002)
  end
end

function tunnel:close()
  self.listener:close()
  for _, link in ipairs(self.links) do
    close(link)
  end
end

return tunnel
