-- Values offered to a client in all the ways there are, with what must hold
-- whatever they are: the call returns what it promises, the counts are right,
-- and the client is as good as before.

local seerstack = require "seerstack"
local util = require "spec.support.util"

local offer = {}

-- A client that keeps its requests instead of sending them.
function offer.client(options)
  return seerstack.new(util.merge({
    test_mode = true, max_event_bytes = 2 ^ 20,
  }, options))
end

local function check_results(count, ok, message, err)
  if ok then
    assert(ok == true and count == 1, "accepted, but not by true alone")
    return true
  end
  assert(ok == nil and count == 3, "refused, but not by three values")
  assert(type(message) == "string" and err.message == message)
  assert(err.name == "ValidationError", err.name)
  return false, message
end

local function adds_up(stats)
  return stats.accepted == stats.delivered + stats.rejected + stats.dropped
    + stats.pending
end

-- Nothing is left of the event, and the next one is complete.
local function check_usable(client)
  assert(client.events.capture { name = "after", data = { n = { 1, 2 } } })
  local taken = client:captured()
  assert(#taken == 1, "not the one request that was made")
  local body = taken[1].body
  assert(body.name == "after" and body.data.n[2] == 2, taken[1].json)
end

-- Calls send(client), which must return what a capture does; returns the
-- request that came of it, { path, headers, body, json }, or nil, message.
function offer.to(client, send)
  local function results(...)
    return select("#", ...), ...
  end
  local before = client:stats().accepted
  local accepted, message = check_results(results(send(client)))
  local stats, taken = client:stats(), client:captured()
  assert(adds_up(stats) and stats.pending == 0)
  assert(stats.accepted == before + (accepted and 1 or 0), "miscounted")
  assert(#taken == (accepted and 1 or 0))
  check_usable(client)
  return taken[1], message
end

local put_in -- by before_send

-- The places where an event can have a value: the path that messages name,
-- how it is given, and where it is found again.
offer.places = {
  {
    path = "data.v",
    give = function(client, value)
      return client.events.capture { name = "x", data = { v = value } }
    end,
    find = function(body) return body.data.v end,
  },
  {
    path = "attributes.v",
    give = function(client, value)
      return client.users.identify {
        user_id = "u", attributes = { v = value },
      }
    end,
    find = function(body) return body.attributes.v end,
  },
  {
    path = "v",
    give = function(client, value)
      return client.events.capture { name = "x", v = value }
    end,
    find = function(body) return body.v end,
  },
  {
    path = "body.v",
    give = function(client, value)
      return client:post("/some/path", { v = value })
    end,
    find = function(body) return body.v end,
  },
  {
    path = "data.v",
    give = function(client, value)
      return client.events.capture({ name = "x" }, {
        extra_body = { data = { v = value } },
      })
    end,
    find = function(body) return body.data.v end,
  },
  {
    path = "data.v",
    give = function(client, value)
      put_in = { v = value }
      return client.events.capture { name = "x" }
    end,
    before_send = function(event)
      event.data, put_in = put_in or event.data, nil
      return event
    end,
    find = function(body) return body.data.v end,
  },
}

-- Offers a value in each place. Calls accepted(found, request), or
-- refused(message, path).
function offer.everywhere(value, accepted, refused, options)
  for _, place in ipairs(offer.places) do
    local all = util.merge({ before_send = place.before_send }, options)
    local request, message = offer.to(offer.client(all), function(client)
      return place.give(client, value)
    end)
    if request then
      accepted(place.find(request.body), request)
    else
      refused(message, place.path)
    end
  end
end

-- A value that must arrive as `expected`.
function offer.arrives(value, expected, options)
  offer.everywhere(value, function(found)
    require "luassert".same(expected, found)
  end, function(message)
    error("refused: " .. message, 3)
  end, options)
end

-- A value that must be refused, by a message that begins with the path of
-- what is wrong: the place's and `rest`.
function offer.is_refused(value, rest, problem, options)
  offer.everywhere(value, function(_, request)
    error("accepted: " .. request.json:sub(1, 200), 3)
  end, function(message, path)
    local expected = path .. rest .. problem
    assert(message:sub(1, #expected) == expected, message:sub(1, 300)
      .. "\nbut expected: " .. expected)
  end, options)
end

return offer
