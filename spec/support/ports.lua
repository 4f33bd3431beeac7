-- Loopback ports. A client that has events left for a server tries again
-- when that is gone, and the system would give its port to the next spec, or
-- to one of those that run at the same time. So a port that was taken here
-- stays bound until the process ends, with its clients, or until they are
-- known to be gone.

local socket = require "socket"

local ports = {}

local HOST = "127.0.0.1"

local taken = {} -- the sockets that keep them, by port

local function bind(port)
  local bound = assert(socket.tcp4())
  assert(bound:setoption("reuseaddr", true)) -- or none could listen beside
  assert(bound:bind(HOST, port))
  return bound
end

-- A port that refuses connections while nobody listens.
function ports.take()
  local bound = bind(0)
  local _, port = bound:getsockname()
  port = tonumber(port)
  taken[port] = bound
  return port
end

-- Gives a port back, for whose server no client has anything left.
function ports.release(port)
  taken[port]:close()
  taken[port] = nil
end

-- A listener, which does not block, on a port that was taken; its queue has
-- room for `backlog` connections (128).
function ports.listen(port, backlog)
  local listener = bind(port)
  assert(listener:listen(backlog or 128))
  listener:settimeout(0)
  return listener
end

return ports
