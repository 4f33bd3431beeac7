-- So much of HTTP/2 as a server needs that answers with what it likes: frames
-- are read and written, header compression is not undone.

local frames = {}

local DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
local PREFACE = 24 -- bytes that a client begins with

local function number(value, bytes)
  local text = ""
  for _ = 1, bytes do
    text = string.char(value % 256) .. text
    value = math.floor(value / 256)
  end
  return text
end

local function read_number(text, first, last)
  local value = 0
  for i = first, last do
    value = value * 256 + text:byte(i)
  end
  return value
end

function frames.frame(kind, flags, stream, payload)
  return number(#payload, 3) .. string.char(kind, flags) .. number(stream, 4)
    .. payload
end

-- { identifier, value, ... }
function frames.settings(...)
  local payload, list = "", { ... }
  for i = 1, #list, 2 do
    payload = payload .. number(list[i], 2) .. number(list[i + 1], 4)
  end
  return frames.frame(SETTINGS, 0, 0, payload)
end

function frames.goaway(last, code, text)
  return frames.frame(GOAWAY, 0, 0, number(last, 4) .. number(code, 4)
    .. (text or ""))
end

function frames.reset(stream, code)
  return frames.frame(RESET, 0, stream, number(code, 4))
end

function frames.ping()
  return frames.frame(PING, 0, 0, "12345678")
end

-- A head with a status of three digits; `flags` are END_HEADERS by default.
function frames.head(stream, status, flags)
  return frames.frame(HEADERS, flags or 4, stream, "\8\3" .. status)
end

function frames.data(stream, text, flags)
  return frames.frame(DATA, flags or 1, stream, text)
end

function frames.ok(stream)
  return frames.head(stream, "200") .. frames.data(stream,
    '{"success":true}')
end

local function next_frame(peer)
  local head = peer:read(9)
  if #head < 9 then
    return nil
  end
  return head:byte(4), head:byte(5), read_number(head, 6, 9),
    peer:read(read_number(head, 1, 3))
end

-- Begins a connection with some settings.
function frames.open(peer, settings)
  peer.streams = {}
  return peer:send(settings or frames.settings())
    and #peer:read(PREFACE) == PREFACE
end

-- The stream of the next whole request; nil at the end. It is kept among the
-- listener's, by its body alone: each body is that of one event.
function frames.request(peer)
  while true do
    local kind, flags, stream, payload = next_frame(peer)
    if not kind then
      return nil
    elseif kind == SETTINGS and flags == 0 then
      peer:send(frames.frame(SETTINGS, 1, 0, ""))
    elseif kind == DATA then
      local body = (peer.streams[stream] or "") .. payload
      peer.streams[stream] = body
      if flags % 2 == 1 then
        local request = { key = body, body = body, stream = stream }
        local list = peer.listener.requests
        list[#list + 1] = request
        return stream, request
      end
    end
  end
end

-- Serves well.
function frames.serve(peer)
  if not peer.streams then
    frames.open(peer)
  end
  local stream, request = frames.request(peer)
  while stream do
    request.healthy = true
    peer:send(frames.ok(stream))
    stream, request = frames.request(peer)
  end
end

return frames
