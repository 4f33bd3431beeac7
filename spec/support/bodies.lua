-- What the SDK would send, as raw text: the bodies of the requests that a
-- list of events becomes, and the messages about events that it refuses.

local seerstack = require "seerstack"
local server = require "spec.support.server"
local util = require "spec.support.util"

local bodies = {}

-- One request at a time, so that they come in the order of the events.
local DEFAULTS = {
  api_key = "sk_test_bodies",
  base_url = "http://127.0.0.1:1",
  rate_limit = false,
  max_in_flight = 1,
  max_queue_events = 100000,
  max_queue_bytes = 2 ^ 28,
}

local function new(options)
  return seerstack.new(util.merge(DEFAULTS, options))
end

-- A function that hands events over to a client; `kind` is "capture", which
-- is the default, or "identify".
local function sender(client, kind)
  if kind == "identify" then
    return client.users.identify
  end
  return client.events.capture
end

-- Calls f(send), which hands over events, and returns their bodies.
function bodies.during(f, kind, options)
  local scripted = server.new()
  local client = new(util.merge({ base_url = scripted.url }, options))
  local list = {}
  f(sender(client, kind))
  assert(scripted:serve {
    handler = function(request)
      list[#list + 1] = request.body
      return 200, nil, '{"success":true}'
    end,
    until_ = function() return client:stats().pending == 0 end,
    deadline = 60,
  })
  client:close()
  scripted:close()
  return list
end

-- The bodies of a list of events, in its order.
function bodies.of(events, kind, options)
  local list = bodies.during(function(send)
    for i = 1, #events do
      assert(send(events[i]))
    end
  end, kind, options)
  assert(#list == #events, "not every event has become a request")
  return list
end

function bodies.one(event, kind, options)
  return bodies.of({ event }, kind, options)[1]
end

-- message, err for an event that is refused; raises when it is accepted.
function bodies.refused(event, kind, options)
  local client = new(util.merge({ log_level = "off" }, options))
  local accepted, message, err = sender(client, kind)(event)
  assert(accepted == nil, "the event was accepted")
  assert(client:stats().accepted == 0)
  return message, err
end

local BEFORE = '{"name":"x","timestamp":"t","data":{"v":'
local AFTER = "}}"

local function event_with(value)
  return { name = "x", timestamp = "t", data = { v = value } }
end

-- How each value of a list is written: the JSON text at data.v. `count` is
-- for lists with holes.
function bodies.values(values, count)
  local events, texts = {}, {}
  for i = 1, count or #values do
    events[i] = event_with(values[i])
  end
  for i, body in ipairs(bodies.of(events)) do
    assert(body:sub(1, #BEFORE) == BEFORE and body:sub(-#AFTER) == AFTER, body)
    texts[i] = body:sub(#BEFORE + 1, -#AFTER - 1)
  end
  return texts
end

function bodies.value(value)
  return bodies.values({ value }, 1)[1]
end

-- { value, text, value, text... }
function bodies.assert_written(pairs_)
  local values, expected = {}, {}
  for i = 1, #pairs_, 2 do
    values[#values + 1] = pairs_[i]
    expected[#expected + 1] = pairs_[i + 1]
  end
  require "luassert".same(expected, bodies.values(values))
end

-- The message about a table that is given as `data`.
function bodies.problem(data, options)
  local message, err = bodies.refused({ name = "x", data = data }, "capture",
    options)
  assert(err.name == "ValidationError")
  assert(err.message == message)
  return message
end

return bodies
