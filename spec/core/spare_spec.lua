local h = require "spec.helper"

-- What an event occupied is used again for those to come, of about its size.
-- Sizes on both sides of all borders, which are 16 bytes apart up to two KiB.
local LENGTHS = {}
for length = 0, 2000 do
  LENGTHS[#LENGTHS + 1] = length
end
LENGTHS[#LENGTHS + 1] = 5000

describe("events in the memory of those before", function()
  local x = h.exchange { max_in_flight = 4 }

  local function text(round, length)
    return string.char(96 + round):rep(length)
  end

  -- What arrived, by what was said about its round and its length.
  local function arrived(from)
    local found = {}
    for i = from, #x.requests do
      local body = h.body_of(x.requests[i])
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
      x:settle(nil, 60)
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
      local round = h.body_of(request).data.round
      assert.equal(("%d"):format(round), request.headers["x-round"])
    end
  end)
end)

-- Captures 10,000 events, whose memory is three times what is kept, and tells
-- what is kept of it, then what is left after as many seconds as are given.
local PROGRAM = [[
  local heap = require "seer_spec_native".heap
  local client = seerstack.new { rate_limit = false }
  local event = { name = "a.b", data = { text = ("x"):rep(200) } }
  local function held()
    collectgarbage()
    collectgarbage()
    return heap()
  end
  assert(client.events.capture(event, { wait = true }))
  local before = held()
  for _ = 1, 10000 do
    assert(client.events.capture(event))
  end
  assert(client:flush(60))
  print(held() - before)
  local deadline = socket.gettime() + tonumber(arg[1])
  while held() - before > 2 ^ 18 and socket.gettime() < deadline do
    socket.sleep(0.1)
  end
  print(held() - before)
]]

-- Beside it, there is what was made ahead of the backlog; and requests and
-- connections have memory of their own.
local AHEAD, SLACK = 2 ^ 19, 2 ^ 19

-- libcurl 8 keeps 64 KiB for each of 16 handles besides.
local UPLOADS = h.libcurl() < 8 and 0 or 2 ^ 20

-- Where something looks for memory that is used after its end, none is kept;
-- under these, malloc does not count.
if not os.getenv "SANITIZER" then
  describe("the memory of events that are settled", function()
    local server = h.standin()

    local function measure(seconds)
      local result = h.ended_well(h.script.run {
        code = PROGRAM, args = { seconds }, timeout = 120,
        env = h.environment(server.url, server.key),
      })
      local kept, left = result.stdout:match("^(%S+)\n(%S+)\n$")
      return tonumber(kept), tonumber(left)
    end

    it("is kept for those to come, a MiB of it", function()
      local kept = measure(0)
      assert.is_true(kept > 2 ^ 19, kept)
      assert.is_true(kept < 2 ^ 20 + AHEAD + UPLOADS + SLACK, kept)
    end)

    if h.patient then
      it("is given back after 30 s without a request", function()
        local kept, left = measure(45)
        assert.is_true(kept > 2 ^ 19, kept)
        assert.is_true(left < SLACK, left)
      end)
    end
  end)
end
