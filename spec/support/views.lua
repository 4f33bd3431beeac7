-- Two views of what a client sends: on the wire, and in what test_mode has
-- captured. What holds for one holds for the other.

local exchange = require "spec.support.exchange"
local seerstack = require "seerstack"

local views = {}

-- What every request has, by name in lower case; `changes` go over it, and
-- false takes one away.
function views.headers(changes)
  local all = {
    accept = "application/json",
    authorization = "Bearer ***",
    ["content-type"] = "application/json",
    ["user-agent"] = "Seerstack/Lua " .. seerstack._VERSION,
  }
  for name, value in pairs(changes or {}) do
    all[name] = value or nil
  end
  return all
end

-- The headers that are somebody's choice, and not that of the body, the
-- connection and the queue, which must be there.
local function chosen(request, key)
  local found = {}
  for name, value in pairs(request.headers) do
    found[name] = value
  end
  assert(found["content-length"] == tostring(#request.body), request.head)
  assert(found.host and found["idempotency-key"], request.head)
  found["content-length"], found.host = nil, nil
  found["idempotency-key"] = nil
  if found.authorization == "Bearer " .. key then
    found.authorization = "Bearer ***"
  end
  return found
end

-- The same requests by their events' names, too.
local function named(list)
  for _, request in ipairs(list) do
    local name = request.json
      and request.json:match '"name":"([^"]*)"'
    if name then
      list[name] = request
    end
  end
  return list
end

local function on_the_wire(options, send)
  local x = exchange.open(options)
  local other = send(x.client) or x.client
  x:serve(nil, function()
    return x.client:stats().pending + other:stats().pending == 0
  end)
  local list = {}
  for i, request in ipairs(x.requests) do
    list[i] = {
      path = request.path, query = request.target:match "%?(.*)$",
      headers = chosen(request, x.key), json = request.body,
    }
  end
  x:close()
  return named(list)
end

local function in_captured(options, send)
  options.api_key, options.test_mode = "sk_test_views", true
  local client = seerstack.new(options)
  local other = send(client)
  local list = client:captured()
  for _, request in ipairs(other and other:captured() or {}) do
    list[#list + 1] = request
  end
  for _, request in ipairs(list) do
    local headers = request.headers
    assert(headers["idempotency-key"])
    headers["idempotency-key"] = nil
    headers.authorization = headers.authorization
      and headers.authorization:gsub("^Bearer %*+$", "Bearer ***")
  end
  return named(list)
end

-- Each is a function of a client's options, a table of its own, and of a
-- function that is called with the client and sends; it may return another
-- client that it has sent with. The result is the list of requests, which
-- have { path, query, headers, json }; those of one client are in order.
views.all = {
  ["on the wire"] = function(options, send)
    options.max_in_flight = 1
    return on_the_wire(options, send)
  end,
  ["in captured()"] = in_captured,
}

return views
