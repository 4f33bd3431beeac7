-- A scripted HTTP server in the specs' own process, for what no proper server
-- does: silence, resets, half answers. The spec decides each step, or hands
-- over to `serve`, a loop over many connections.

local connection = require "spec.support.connection"
local ports = require "spec.support.ports"
local socket = require "socket"
local util = require "spec.support.util"

local server = {}
server.__index = server
server.__name = "support.server"

-- Listens on a free loopback port, or on one that was refusing.
function server.new(port)
  port = port or ports.take()
  return setmetatable({
    listener = ports.listen(port),
    port = port,
    url = "http://127.0.0.1:" .. port,
    connections = {}, -- all that were accepted, by number
    requests = {},    -- all that `serve` has read
    by_socket = {},
    delayed = {},
  }, server)
end

-- A port that refuses connections.
function server.refusing()
  local port = ports.take()
  return { port = port, url = "http://127.0.0.1:" .. port }
end

local function accept_one(self)
  local peer, problem = self.listener:accept()
  if not peer then
    return nil, problem
  end
  local accepted = connection.new(peer, #self.connections + 1)
  self.connections[accepted.number] = accepted
  self.by_socket[peer] = accepted
  return accepted
end

-- Waits for a connection, at most `seconds` (5); nil, "timeout" without one.
function server:accept(seconds)
  local deadline = socket.gettime() + (seconds or 5) * util.slow
  while true do
    local accepted, problem = accept_one(self)
    local left = deadline - socket.gettime()
    if accepted or left <= 0 then
      return accepted, problem
    end
    socket.select({ self.listener }, nil, left)
  end
end

local function act(self, peer, first, second, ...)
  if first == "hold" then
    return
  elseif first == "delay" then
    self.delayed[#self.delayed + 1] = {
      peer = peer,
      due = socket.gettime() + second,
      answer = { n = select("#", ...), ... },
    }
    return
  end
  peer.busy = false
  if first == "reset" then
    peer:reset()
  elseif first == "close" then
    peer:close()
  elseif first == "raw" then
    peer:queue(second)
  elseif first then
    peer:queue(connection.format(first, second, (...)))
  end
end

-- One request at a time per connection, as a server without pipelining.
local function answer_requests(self, peer, handler)
  while peer.open and not peer.busy do
    local request = peer:next_request()
    if not request then
      break
    end
    peer.busy = true
    self.requests[#self.requests + 1] = request
    act(self, peer, handler(request, peer))
  end
  peer:drain()
  if peer.ended and not peer.busy then
    peer:close()
  end
end

local function answer_delayed(self, handler)
  local now, waiting = socket.gettime(), {}
  for _, item in ipairs(self.delayed) do
    if item.due > now then
      waiting[#waiting + 1] = item
    else
      act(self, item.peer, item.answer[1], item.answer[2], item.answer[3])
      answer_requests(self, item.peer, handler)
    end
  end
  self.delayed = waiting
end

local function interests(self)
  local readers, writers = { self.listener }, {}
  for peer, accepted in pairs(self.by_socket) do
    if not accepted.open then
      self.by_socket[peer] = nil
    else
      if not accepted.ended then
        readers[#readers + 1] = peer
      end
      if accepted.sent < #accepted.output then
        writers[#writers + 1] = peer
      end
    end
  end
  return readers, writers
end

local function step(self, handler)
  local readers, writers = interests(self)
  local readable, writable = socket.select(readers, writers, 0.005)
  for _, peer in ipairs(writable) do
    self.by_socket[peer]:drain()
  end
  for _, peer in ipairs(readable) do
    if peer == self.listener then
      repeat until not accept_one(self)
    elseif self.by_socket[peer].open then
      self.by_socket[peer]:fill()
      answer_requests(self, self.by_socket[peer], handler)
    end
  end
  answer_delayed(self, handler)
end

-- Serves all connections until options.until_() is true and returns true, or
-- nil, "timeout" after options.deadline seconds (10).
--
-- options.handler(request, connection) returns one of
--   status, headers, body                   answer, keep the connection
--   "delay", seconds, status, headers, body the same, later
--   "raw", bytes                            write just that
--   "close"                                 close without an answer
--   "reset"                                 the same, with a reset
--   "hold"                                  never answer
--   nothing                                 the handler has answered itself
function server:serve(options)
  local deadline = socket.gettime() + (options.deadline or 10) * util.slow
  repeat
    step(self, options.handler)
    if options.until_() then
      return true
    end
  until socket.gettime() > deadline
  return nil, "timeout"
end

-- Refuses connections from now on, but keeps those that are open.
function server:close_listener()
  self.listener:close()
end

-- Closes everything.
function server:close()
  self.listener:close()
  for _, accepted in ipairs(self.connections) do
    accepted:close()
  end
end

return server
