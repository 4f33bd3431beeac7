-- Many servers in the specs' own process, each of which does to its
-- connections what a function says that runs as a coroutine: the way to have
-- a hundred faults at once. Works while it is stepped, and at no other time.

local ports = require "spec.support.ports"
local socket = require "socket"

local faulty = {}
faulty.__index = faulty
faulty.__name = "support.faulty"

local peer = {} -- a connection, as its function sees it
peer.__index = peer
peer.__name = "faulty.peer"

local GONE = {} -- raised in a connection's function when it is closed

local HOST = "127.0.0.1"

-- What serves a connection so: reads so many bytes of a request and no more,
-- writes some, if any are given, and holds the connection, or closes it as
-- peer:close does.
function faulty.read_then(count, how, bytes)
  return function(self)
    self:read(count)
    if bytes then
      self:send(bytes)
    end
    if how == "hold" then
      self:hold()
    else
      self:close(how)
    end
  end
end

function faulty.new()
  return setmetatable({ listeners = {}, peers = {} }, faulty)
end

local listener = {}
listener.__index = listener
listener.__name = "faulty.listener"

-- Runs `serve(peer, listener)` for each connection to a new port. The name of
-- the host in the URL, and its scheme, may be given.
function faulty:listen(serve, scheme, host)
  local port = ports.take()
  local self_ = setmetatable({
    socket = ports.listen(port),
    serve = serve,
    port = port,
    url = ("%s://%s:%s"):format(scheme or "http", host or HOST, port),
    accepted = 0,  -- connections
    requests = {}, -- all that were read as such
    peers = {},
  }, listener)
  self.listeners[#self.listeners + 1] = self_
  return self_
end

-- Refuses connections from now on, lets them wait for an answer that the
-- system does not give, or accepts them again.

function listener:deafen()
  self:refuse()
  self.deaf = ports.listen(self.port, 0)
  self.filler = assert(socket.connect(HOST, self.port))
end

function listener:refuse()
  if self.socket then
    self.socket:close()
    self.socket = nil
  end
end

function listener:accept_again()
  self.socket = self.socket or self.deaf or ports.listen(self.port)
  self.deaf = nil
end

-- Ends all its connections, with a reset when told so.
function listener:cut(how)
  for _, one in ipairs(self.peers) do
    one:close(how)
  end
  self.peers = {}
end

local function new_peer(self, owner, accepted)
  accepted:settimeout(0)
  accepted:setoption("tcp-nodelay", true)
  local one = setmetatable({
    net = self, listener = owner, socket = accepted, input = "", output = "",
    sent = 0, open = true, number = owner.accepted,
  }, peer)
  one.run = coroutine.create(owner.serve)
  owner.peers[#owner.peers + 1] = one
  self.peers[#self.peers + 1] = one
end

local function accept_all(self, owner)
  local accepted = owner.socket and owner.socket:accept()
  while accepted do
    owner.accepted = owner.accepted + 1
    new_peer(self, owner, accepted)
    accepted = owner.socket:accept()
  end
end

-- Until the condition holds; raises GONE when the connection has been closed
-- by us. Whether it was closed by the client is for the condition to ask.
function peer:wait(condition)
  while self.open and not condition() do
    coroutine.yield()
  end
  if not self.open then
    error(GONE, 0)
  end
end

function peer:pause(seconds)
  local due = socket.gettime() + seconds
  self:wait(function() return socket.gettime() >= due end)
end

-- Until the client is gone.
function peer:hold()
  self:wait(function() return self.ended end)
end

-- For good: also when the client is gone, or until the spec cuts it.
function peer:keep()
  self:wait(function() return false end)
end

-- So many bytes, or fewer when the client sends no more.
function peer:read(count)
  self:wait(function() return #self.input >= count or self.ended end)
  local bytes = self.input:sub(1, count)
  self.input = self.input:sub(count + 1)
  return bytes
end

-- Reads for itself, so many bytes a second; 0: none, until the client is gone
-- or `most` are read. For a peer that is `slow`.
function peer:read_slowly(rate, most)
  local begun, count = socket.gettime(), 0
  self:wait(function()
    local due = math.min((socket.gettime() - begun + 1) * rate - count,
      65536, most - count)
    local data, problem, partial
    if due >= 1 then
      data, problem, partial = self.socket:receive(math.floor(due))
      count = count + #(data or partial)
    end
    self.ended = problem == "closed"
    return self.ended or count >= most
  end)
end

-- The head of a request, after which its body waits; nil at the end.
function peer:head()
  local last
  self:wait(function()
    last = select(2, self.input:find("\r\n\r\n", 1, true))
    return last or self.ended
  end)
  return last and self:read(last)
end

-- A whole request, { line, headers, body, key, head }; nil at the end.
function peer:request()
  local head = self:head()
  if not head then
    return nil
  end
  local request = { head = head, line = head:match "^[^\r\n]*", headers = {} }
  for name, value in head:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    request.headers[name:lower()] = value
  end
  local length = tonumber(request.headers["content-length"] or 0)
  request.body = self:read(length)
  request.key = request.headers["idempotency-key"]
  if #request.body < length then
    return nil
  end
  self.listener.requests[#self.listener.requests + 1] = request
  return request
end

-- Writes, and waits until the system has taken it; false when the client has
-- gone before.
function peer:send(bytes)
  self.output, self.sent = self.output:sub(self.sent + 1) .. bytes, 0
  self:wait(function()
    return self.sent == #self.output or self.ended and self.broken
  end)
  return not self.broken
end

-- The same, a piece at a time.
function peer:drip(bytes, seconds, size)
  for i = 1, #bytes, size or 1 do
    if self.ended or not self:send(bytes:sub(i, i + (size or 1) - 1)) then
      return false
    end
    self:pause(seconds)
  end
  return true
end

-- Ends our half.
function peer:finish()
  self.socket:shutdown("send")
end

-- Closes, with a reset if `how` is "reset" and this is no TLS.
function peer:close(how)
  if self.open then
    self.open = false
    if how == "reset" and not self.secured then
      self.socket:setoption("linger", { on = true, timeout = 0 })
    end
    self.socket:close()
    if self.far then
      self.far:close()
    end
  end
end

-- Goes on in TLS, with a context of LuaSec. Until then nothing of it may be
-- read: who has sent something that the client waits for is `slow` before.
function peer:secure(context)
  local secured = assert(require("ssl").wrap(self.socket, context))
  secured:settimeout(0)
  self.socket, self.secured, self.handshaking = secured, true, true
  local done, problem
  self:wait(function()
    done, problem = secured:dohandshake()
    return done or not (problem == "wantread" or problem == "wantwrite"
      or problem == "timeout")
  end)
  self.handshaking, self.slow = false, false
  return done
end

-- Passes all on to another port of this machine. What comes back is cut into
-- records of TLS, and edit(kind, record) returns what to send of each, and
-- true to end there.
function peer:relay(port, edit)
  local far = assert(socket.connect(HOST, port))
  local back, ended = "", false
  far:settimeout(0)
  self.far = far

  local function next_record()
    local high, low = back:byte(4, 5)
    local size = low and 5 + high * 256 + low
    if not size or #back < size then
      return nil
    end
    local record = back:sub(1, size)
    back = back:sub(size + 1)
    return record
  end

  self:wait(function()
    if self.input ~= "" then
      far:send(self.input)
      self.input = ""
    end
    local data, problem, partial = far:receive(65536)
    back = back .. (data or partial)
    for record in next_record do
      local bytes
      bytes, ended = edit(record:byte(), record)
      self.output, self.sent = self.output:sub(self.sent + 1) .. bytes, 0
      if ended then
        return true
      end
    end
    return problem == "closed" or self.ended
  end)
  self:send ""
end

local function fill(one)
  local pieces = { one.input }
  repeat
    local data, problem, partial = one.socket:receive(65536)
    if not data and not problem then
      problem = "closed" -- LuaSec does not always know why
    end
    pieces[#pieces + 1] = data or partial
    one.ended = problem and problem ~= "timeout"
      and not problem:find "^want"
  until problem
  one.input = table.concat(pieces)
end

-- LuaSec never returns when it is asked to send after an error.
local function drain(one)
  if one.secured and one.ended then
    one.broken = true
    return
  end
  while one.sent < #one.output do
    local last, problem, partial = one.socket:send(one.output, one.sent + 1)
    one.sent = last or partial or one.sent
    if not last then
      problem = problem or "closed"
      one.broken = not (problem == "timeout" or problem:find "^want")
      one.ended = one.ended or one.broken
      return
    end
  end
end

-- A connection that is `slow` reads for itself.
local function move(one)
  if one.open and not one.handshaking then
    if one.begun and not one.ended and not one.slow then
      fill(one)
    end
    drain(one)
  end
  one.begun = true
  local ok, problem = coroutine.resume(one.run, one, one.listener)
  if not ok and problem ~= GONE then
    one.listener.problem = one.listener.problem or problem
  end
  if coroutine.status(one.run) == "dead" then
    one:close()
  elseif not one.handshaking then
    drain(one)
  end
end

-- Waits a moment for something to happen, and does what is due then.
function faulty:step()
  local readers = {}
  for _, owner in ipairs(self.listeners) do
    if owner.socket then
      readers[#readers + 1] = owner.socket
    end
  end
  for _, one in ipairs(self.peers) do
    if one.open and not one.ended and not one.slow then
      readers[#readers + 1] = one.socket
    end
  end
  socket.select(readers, nil, 0.003)
  for _, owner in ipairs(self.listeners) do
    accept_all(self, owner)
  end
  local living = {}
  for _, one in ipairs(self.peers) do
    move(one)
    if coroutine.status(one.run) == "suspended" then
      living[#living + 1] = one
    end
  end
  self.peers = living
end

-- Steps until the condition holds; raises when it does not in time.
function faulty:serve(condition, seconds, what)
  local deadline = socket.gettime() + (seconds or 30)
  while not condition() do
    if socket.gettime() > deadline then
      error("served in vain for " .. (what or "a condition"), 2)
    end
    self:step()
  end
end

-- Closes a listener and its connections, for good.
function faulty:remove(owner)
  owner:accept_again()
  owner:refuse()
  owner:cut()
  ports.release(owner.port)
  if owner.filler then
    owner.filler:close()
  end
  for i, other in ipairs(self.listeners) do
    if other == owner then
      table.remove(self.listeners, i)
      return
    end
  end
end

function faulty:close()
  while #self.listeners > 0 do
    self:remove(self.listeners[1])
  end
end

return faulty
