-- What nginx.conf calls: takes a game's events and sends them with the
-- server's key.

local cjson = require "cjson"
local seerstack = require "seerstack"

-- What games give in the place of a key. It is in each copy of the game, so
-- it keeps out those who have none. Unset: anybody may send.
local SECRET = os.getenv "RELAY_SECRET"

local client = seerstack.new {}

-- Only these, whatever else the key may be good for.
local SEND = {
  ["/events/capture"] = client.events.capture,
  ["/events/identify"] = client.users.identify,
}

local relay = {}

local function answer(status, content)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(cjson.encode(content))
  return ngx.exit(ngx.OK)
end

-- The SDK in the game names each event, so that the API takes it once, even
-- if it is sent twice.
local function idempotency_key()
  local key = ngx.var.http_idempotency_key or ""
  return #key <= 64 and key:match "^[%w-]+$" or nil
end

-- 202 says that the event waits here, in memory.
local function send_on(send, event)
  local ok, message, err = send(event,
    { idempotency_key = idempotency_key() })
  if ok then
    return answer(202, { success = true })
  elseif err.name == "ValidationError" then
    return answer(400, { error = message })
  end
  ngx.header["Retry-After"] = 5 -- the queue is full
  return answer(503, { error = message })
end

function relay.take()
  local send = SEND[ngx.var.uri]
  if not send then
    return answer(404, { error = "Not found" })
  elseif ngx.req.get_method() ~= "POST" then
    return answer(405, { error = "Method not allowed" })
  elseif SECRET and ngx.var.http_authorization ~= "Bearer " .. SECRET then
    return answer(401, { error = "Wrong secret" })
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data() or ""
  -- Anybody can have made this up: here is the place to look at it, such as
  -- by cjson.decode(body). What is sent is the text itself, which the module
  -- checks: decoded and encoded again, large integers would lose digits.
  return send_on(send, seerstack.raw(body))
end

return relay
