local exchange = require "spec.support.exchange"

-- What an event occupied is used again for those to come, of about its size.
-- Sizes on both sides of all borders: up to a KiB every length, and more.
local LENGTHS = {}
for length = 0, 1000 do
  LENGTHS[#LENGTHS + 1] = length
end
LENGTHS[#LENGTHS + 1] = 5000

describe("events in the memory of those before", function()
  local x

  before_each(function()
    x = exchange.open { max_in_flight = 4 }
  end)

  after_each(function()
    x:close()
  end)

  local function text(round, length)
    return string.char(96 + round):rep(length)
  end

  -- What arrived, by what was said about its round and its length.
  local function arrived(from)
    local found = {}
    for i = from, #x.requests do
      local body = exchange.body_of(x.requests[i])
      local values = body.data or body.attributes
      local key = ("%d/%d"):format(values.round, values.length)
      assert.is_nil(found[key])
      found[key] = values.text
    end
    return found
  end

  local function round_trips(number, submit)
    for round = 1, number do
      local before = #x.requests
      for _, length in ipairs(LENGTHS) do
        assert.is_true(submit {
          round = round, length = length, text = text(round, length),
        })
      end
      x:settle()
      local found = arrived(before + 1)
      assert.equal(before + #LENGTHS, #x.requests)
      for _, length in ipairs(LENGTHS) do
        assert.equal(text(round, length), found[round .. "/" .. length])
      end
    end
  end

  it("arrive as they were captured", function()
    round_trips(3, function(data)
      return x.client.events.capture { name = "a.b", data = data }
    end)
  end)

  it("arrive as they were identified", function()
    round_trips(2, function(attributes)
      return x.client.users.identify {
        user_id = "user_" .. attributes.length, attributes = attributes,
      }
    end)
  end)

  it("arrive with what their requests have of their own", function()
    round_trips(2, function(data)
      return x.client.events.capture({ name = "a.b", data = data }, {
        headers = { ["x-round"] = data.round }, max_retries = 1,
      })
    end)
    for _, request in ipairs(x.requests) do
      local round = exchange.body_of(request).data.round
      assert.equal(("%d"):format(round), request.headers["x-round"])
    end
  end)
end)
