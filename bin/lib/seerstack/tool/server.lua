-- An HTTP/1.1 server on loopback, for a person at a desk: one thread, and a
-- coroutine for each connection, which yields what it waits for. All that a
-- stranger can make it keep has a limit.

local socket = require "socket"

local server = {}
server.__index = server

local CONNECTIONS = 200      -- select() has no more than 1024 descriptors
local HEAD = 65536           -- bytes of a request before its body
local BODY = 2 * 1024 ^ 2
local UNSENT = 32 * 1024 ^ 2 -- bytes for one who does not read
local SLOW = 30              -- seconds for a request to come
local IDLE = 75              -- seconds between two

local REASONS = {
  [200] = "OK", [204] = "No Content", [400] = "Bad Request",
  [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [408] = "Request Timeout",
  [413] = "Payload Too Large", [415] = "Unsupported Media Type",
  [429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
  [500] = "Internal Server Error", [501] = "Not Implemented",
  [503] = "Service Unavailable",
}

-- Listens on a port of 127.0.0.1 (0: any free one). `handle(request, client)`
-- is called in a coroutine for each request; it answers by client:answer, or
-- by client:write_head and client:stream, or returns without an answer, which
-- closes the connection.
-- Returns nil and a message where the port cannot be had.
function server.new(port, handle)
  local listener, problem = socket.bind("127.0.0.1", port, 64)
  if not listener then
    return nil, problem
  end
  listener:settimeout(0)
  local _, bound = listener:getsockname()
  return setmetatable({
    listener = listener, port = math.floor(tonumber(bound)), handle = handle,
    clients = {}, count = 0,
  }, server)
end

local client = {}
client.__index = client

-- Waits until there is more input; raises when there will be none.
local function more(self)
  self.waits = "input"
  coroutine.yield()
  self.waits = nil
end

local function take_until(self, mark, most)
  while true do
    local first, last = self.input:find(mark, 1, true)
    if first and first <= most then
      local text = self.input:sub(1, first - 1)
      self.input = self.input:sub(last + 1)
      return text
    elseif #self.input > most then
      return nil
    end
    more(self)
  end
end

local function take(self, count)
  while #self.input < count do
    more(self)
  end
  local text = self.input:sub(1, count)
  self.input = self.input:sub(count + 1)
  return text
end

-- Returns the list of { name, value } as they came, and the values by name in
-- lower case, or nil.
local function parse_fields(text)
  local list, by_name = {}, {}
  for line in (text .. "\r\n"):gmatch "(.-)\r\n" do
    local name, value = line:match "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.-)[ \t]*$"
    if not name then
      return nil
    end
    list[#list + 1] = { name, value }
    local key = name:lower()
    by_name[key] = by_name[key] and by_name[key] .. ", " .. value or value
  end
  return list, by_name
end

local function read_chunks(self)
  local chunks, total = {}, 0
  while true do
    local line = take_until(self, "\r\n", 1024)
    local size = line and tonumber(line:match "^(%x+)" or "", 16)
    if not size then
      return nil, 400
    elseif size == 0 then
      break
    end
    total = total + size
    if total > BODY then
      return nil, 413
    end
    chunks[#chunks + 1] = take(self, size)
    if take(self, 2) ~= "\r\n" then
      return nil, 400
    end
  end
  repeat -- the trailer
    local line = take_until(self, "\r\n", HEAD)
  until not line or line == ""
  return table.concat(chunks)
end

-- The body of a request, or nil and a status.
local function read_body(self, headers)
  local coding = headers["transfer-encoding"]
  local length = headers["content-length"] or "0"
  if coding and (coding:lower() ~= "chunked" or headers["content-length"]) then
    return nil, headers["content-length"] and 400 or 501
  elseif not length:find "^%d+$" then
    return nil, 400
  elseif tonumber(length) > BODY then
    return nil, 413
  end
  if (headers.expect or ""):lower() == "100-continue" then
    self:write "HTTP/1.1 100 Continue\r\n\r\n"
  end
  if coding then
    return read_chunks(self)
  end
  return take(self, tonumber(length))
end

-- The next request, or nil and a status for what is none.
local function read_request(self)
  while self.input == "" do
    more(self)
  end
  self.deadline = socket.gettime() + SLOW
  local head = take_until(self, "\r\n\r\n", HEAD)
  if not head then
    return nil, 431
  end
  local method, target, minor, rest =
    head:match "^(%u+) (%S+) HTTP/1%.([01])\r\n(.*)$"
  local list, headers
  if method then
    list, headers = parse_fields(rest)
  end
  if not headers then
    return nil, 400
  end
  local body, status = read_body(self, headers)
  if not body then
    return nil, status
  end
  local wish = (headers.connection or ""):lower()
  self.keep = minor == "1" and wish ~= "close" or wish == "keep-alive"
  return {
    method = method, path = target:match "^[^?]*", fields = list,
    query = target:match "%?(.*)$", headers = headers, body = body,
  }
end

function client:write(text)
  self.output = self.output:sub(self.sent + 1) .. text
  self.sent = 0
  self.gone = self.gone or #self.output > UNSENT
end

-- Answers; `fields` are further headers, by name.
function client:answer(status, media, body, fields)
  local lines = {
    ("HTTP/1.1 %d %s"):format(status, REASONS[status] or "Unknown"),
    "Content-Type: " .. media, "Content-Length: " .. #body,
    "Cache-Control: no-store",
  }
  for name, value in pairs(fields or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  lines[#lines + 1] = self.keep and "" or "Connection: close\r\n"
  self:write(table.concat(lines, "\r\n") .. "\r\n" .. body)
  self.answered = true
end

-- Begins an answer that has no end; client:write adds to it.
function client:write_head(media)
  self:write("HTTP/1.1 200 OK\r\nContent-Type: " .. media
    .. "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")
end

-- Goes on with that for as long as the client is there. What it sends is
-- thrown away.
function client:stream()
  self.deadline = math.huge
  while true do
    more(self)
    self.input = ""
  end
end

-- Lets so many seconds pass.
function client:sleep(seconds)
  self.deadline = math.huge
  self.wakes = socket.gettime() + seconds
  coroutine.yield()
end

local function converse(self, handle)
  repeat
    self.deadline, self.answered = socket.gettime() + IDLE, false
    local request, status = read_request(self)
    if request then
      handle(request, self)
    else
      self.keep = false
      self:answer(status, "text/plain", REASONS[status] .. "\n")
    end
  until not self.keep or not self.answered
  self.finished = true
end

local function drop(self, one)
  one.sock:close()
  self.clients[one] = nil
  self.count = self.count - 1
end

-- Goes on with a connection. An error of the handler's is ours: it is raised.
local function resume(self, one)
  one.wakes = nil
  local ok, problem = coroutine.resume(one.thread)
  if not ok then
    drop(self, one)
    error(problem, 0)
  end
end

local function accept(self)
  local sock = self.count < CONNECTIONS and self.listener:accept()
  if not sock then
    return
  end
  sock:settimeout(0)
  sock:setoption("tcp-nodelay", true)
  local one = setmetatable({
    sock = sock, input = "", output = "", sent = 0,
  }, client)
  one.thread = coroutine.create(function() converse(one, self.handle) end)
  self.clients[one] = true
  self.count = self.count + 1
  resume(self, one)
end

local function receive(self, one)
  local data, problem, partial = one.sock:receive(65536)
  data = data or partial
  if data ~= "" then
    one.input = one.input .. data
    resume(self, one)
  elseif problem ~= "timeout" then
    one.gone = true
  end
end

local function send(one)
  local sent, problem, partial = one.sock:send(one.output, one.sent + 1)
  one.sent = sent or partial
  if one.sent == #one.output then
    one.output, one.sent = "", 0
  end
  one.gone = one.gone or not sent and problem ~= "timeout"
end

-- What select is to look at, and how long it may.
local function watched(self, seconds, now)
  local reading, writing, by_sock = {}, {}, {}
  if self.count < CONNECTIONS then
    reading[1] = self.listener
  end
  for one in pairs(self.clients) do
    by_sock[one.sock] = one
    if one.waits == "input" then
      reading[#reading + 1] = one.sock
    end
    if one.output ~= "" then
      writing[#writing + 1] = one.sock
    end
    if one.wakes then
      seconds = math.max(0, math.min(seconds, one.wakes - now))
    end
  end
  return reading, writing, by_sock, seconds
end

local function is_over(one, now)
  return one.gone or now > one.deadline or one.finished and one.output == ""
end

-- Does what there is to do, and waits for it at most so many seconds.
function server:step(seconds)
  local reading, writing, by_sock, wait =
    watched(self, seconds, socket.gettime())
  local readable, writable = socket.select(reading, writing, wait)
  for _, sock in ipairs(writable) do
    send(by_sock[sock])
  end
  for _, sock in ipairs(readable) do
    if sock == self.listener then
      accept(self)
    else
      receive(self, by_sock[sock])
    end
  end
  local now, over = socket.gettime(), {}
  for one in pairs(self.clients) do
    if one.wakes and one.wakes <= now then
      over[#over + 1] = one
    end
  end
  for _, one in ipairs(over) do
    resume(self, one)
  end
  for one in pairs(self.clients) do
    if is_over(one, now) then
      drop(self, one)
    end
  end
end

function server:close()
  self.listener:close()
  for one in pairs(self.clients) do
    drop(self, one)
  end
end

return server
