-- A connection of the scripted server: reads requests, writes anything.
-- Never blocks inside luasocket; who waits, waits in select.

local socket = require "socket"
local util = require "spec.support.util"

local connection = {}
connection.__index = connection
connection.__name = "server.connection"

local REASONS = {
  [200] = "OK", [204] = "No Content", [301] = "Moved Permanently",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect",
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden",
  [404] = "Not Found", [408] = "Request Timeout", [409] = "Conflict",
  [429] = "Too Many Requests", [500] = "Internal Server Error",
  [503] = "Service Unavailable",
}

function connection.new(peer, number)
  peer:settimeout(0)
  peer:setoption("tcp-nodelay", true)
  return setmetatable({
    socket = peer,
    number = number,
    parts = {},   -- read, not yet a request: joined when `wanted` is there
    size = 0,
    wanted = 1,
    output = "",  -- to be written, from `sent` on
    sent = 0,
    open = true,
    busy = false, -- a request waits for its answer
  }, connection)
end

local function parse_head(head)
  local method, target, version = head:match("^(%S+) (%S+) (HTTP/%S+)\r\n")
  if not method then
    error("not a request: " .. head:sub(1, 80), 0)
  end
  local request = {
    method = method,
    target = target,
    path = target:match("^[^?]*"),
    version = version,
    headers = {},
    order = {},
    head = head,
  }
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    local key = name:lower()
    local before = request.headers[key]
    request.headers[key] = before and before .. ", " .. value or value
    request.order[#request.order + 1] = { name = name, value = value }
  end
  return request
end

-- Keeps what is left of what was read, of which so much more is wanted.
local function keep(self, input, wanted)
  self.parts, self.size, self.wanted = { input }, #input, wanted
end

-- Takes the next whole request off what was read; nil when there is none.
function connection:next_request()
  if self.size < self.wanted then
    return nil
  end
  local input = table.concat(self.parts)
  if not self.head then
    local _, last = input:find("\r\n\r\n", 1, true)
    if not last then
      keep(self, input, #input + 1)
      return nil
    end
    self.head = parse_head(input:sub(1, last))
    input = input:sub(last + 1)
  end
  local request = self.head
  local length = tonumber(request.headers["content-length"] or 0)
  if #input < length then
    keep(self, input, length)
    return nil
  end
  request.body = input:sub(1, length)
  request.connection = self.number
  request.time = socket.gettime()
  keep(self, input:sub(length + 1), 1)
  self.head = nil
  return request
end

-- Reads what is there; false once the peer has closed.
function connection:fill()
  local data, problem, partial = self.socket:receive(65536)
  data = data or partial
  if data and data ~= "" then
    self.parts[#self.parts + 1] = data
    self.size = self.size + #data
  end
  if problem == "closed" then
    self.ended = true
  end
  return not self.ended
end

-- Writes what the peer takes; true once nothing is left.
function connection:drain()
  if not self.open or self.sent == #self.output then
    return true
  end
  local last, problem, partial = self.socket:send(self.output, self.sent + 1)
  self.sent = last or partial
  if problem == "closed" then
    self:close()
  elseif self.sent == #self.output then
    self.output, self.sent = "", 0
  end
  return self.sent == #self.output
end

-- Queues bytes without writing them.
function connection:queue(raw)
  self.output = self.output:sub(self.sent + 1) .. raw
  self.sent = 0
end

-- The text of a response. Headers is a map from names to a value or a list of
-- values; Content-Length is added unless it, or Transfer-Encoding, is there.
function connection.format(status, headers, body)
  local lines = { ("HTTP/1.1 %d %s"):format(status, REASONS[status] or "") }
  local framed = false
  body = body or ""
  for name, value in pairs(headers or {}) do
    local key = name:lower()
    framed = framed or key == "content-length" or key == "transfer-encoding"
    for _, item in ipairs(type(value) == "table" and value or { value }) do
      lines[#lines + 1] = name .. ": " .. item
    end
  end
  if not framed and status ~= 204 then
    lines[#lines + 1] = "Content-Length: " .. #body
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

-- Waits for the next request, at most `seconds` (5). Returns nil, "timeout"
-- or nil, "closed" when none comes.
function connection:request(seconds)
  local deadline = socket.gettime() + (seconds or 5) * util.slow
  while true do
    local request = self:next_request()
    if request then
      return request
    elseif self.ended or not self.open then
      return nil, "closed"
    end
    local left = deadline - socket.gettime()
    if left <= 0 then
      return nil, "timeout"
    end
    socket.select({ self.socket }, nil, left)
    self:fill()
  end
end

-- Writes bytes as they are. Returns true, or nil, "closed" or "timeout".
function connection:send(raw, seconds)
  local deadline = socket.gettime() + (seconds or 5) * util.slow
  if not self.open then
    return nil, "closed"
  end
  self:queue(raw)
  while not self:drain() do
    local left = deadline - socket.gettime()
    if not self.open or left <= 0 then
      return nil, self.open and "timeout" or "closed"
    end
    socket.select(nil, { self.socket }, left)
  end
  return self.open or nil, not self.open and "closed" or nil
end

-- Answers the last request; the connection stays open.
function connection:respond(status, headers, body)
  return self:send(self.format(status, headers, body))
end

function connection:close()
  if self.open then
    self.open = false
    self.socket:close()
  end
end

-- Closes with a reset instead of an orderly end.
function connection:reset()
  if self.open then
    self.socket:setoption("linger", { on = true, timeout = 0 })
    self:close()
  end
end

return connection
