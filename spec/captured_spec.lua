local h = require "spec.helper"
local seerstack = require "seerstack"

local load = h.load

-- Integers that no double is, where the Lua has any, and how it spells them.
local SUFFIX = rawget(_G, "jit") and "LL" or ""
local LONG_INTEGERS = {}
if rawget(_G, "jit") or rawget(math, "type") then
  LONG_INTEGERS = { "9223372036854775807", "-9007199254740993" }
end

local x = h.exchange()

-- A client of the server, which must get nothing of it.
local function new(options)
  return seerstack.new(h.merge({
    base_url = x.url, api_key = x.key, test_mode = true,
  }, options))
end

describe("client:captured", function()
  local client

  before_each(function()
    client = new()
  end)

  -- The only request since the last call.
  local function captured()
    local requests = client:captured()
    assert.equal(1, #requests)
    return requests[1]
  end

  it("returns what would have been sent", function()
    client.events.capture {
      name = "a.b", user_id = "u", timestamp = "t", data = { n = 1.5 },
    }
    local request = captured()
    assert.equal("/capture", request.path)
    assert.is_nil(request.query)
    assert.same({ name = "a.b", user_id = "u", timestamp = "t",
      data = { n = 1.5 } }, request.body)
    assert.equal('{"name":"a.b","user_id":"u","timestamp":"t",'
      .. '"data":{"n":1.5}}', request.json)
    local headers = request.headers
    assert.equal("application/json", headers.accept)
    assert.equal("application/json", headers["content-type"])
    assert.equal("Seerstack/Lua " .. seerstack._VERSION,
      headers["user-agent"])
    assert.equal(36, #headers["idempotency-key"])
    for name, value in pairs(headers) do
      assert.equal(name:lower(), name)
      assert.is_string(value)
      assert.is_nil(value:find(x.key, 1, true))
    end
    assert.is_nil(headers.expect)
  end)

  it("has *** in the place of the key", function()
    client.events.capture { name = "a.b" }
    assert.equal("Bearer ***", captured().headers.authorization)
  end)

  it("survives a key that stands across a header's name and value",
    function()
      client = new { api_key = "t: S" } -- "User-Agent: Seerstack"
      client.events.capture { name = "a.b" }
      local headers = captured().headers
      assert.equal(36, #headers["idempotency-key"])
      headers["idempotency-key"] = nil
      assert.same({
        accept = "application/json", authorization = "Bearer ***",
        ["content-type"] = "application/json",
        ["user-agen***eerstack/lua " .. seerstack._VERSION] = "",
      }, headers)
    end)

  it("returns what the real client sends", function()
    local options = {
      headers = { ["X-A"] = "request", ["X-C"] = 5, Accept = false },
      query = { b = "2 3" }, idempotency_key = "mine",
      extra_body = { data = { y = 2 } },
    }
    local settings = {
      headers = { ["x-a"] = "client", ["X-B"] = "" }, query = { a = "1" },
      default_data = { x = 1 },
      before_send = function(event)
        event.data.z = 3
        return event
      end,
    }
    local event = { name = "a.b", timestamp = "t" }
    settings.test_mode = true
    client = x.client:with_options(settings)
    assert.is_true(client.events.capture(event, options))
    settings.test_mode = false
    x.client = x.client:with_options(settings)
    assert.is_true(x.client.events.capture(event, options))
    x:settle()
    local mine, real = captured(), x.requests[1]
    assert.same({ x = 1, y = 2, z = 3 }, mine.body.data)
    assert.equal("a=1&b=2%203", mine.query)
    assert.equal(real.target, mine.path .. "?" .. mine.query)
    assert.equal(real.body, mine.json)
    real.headers.authorization = mine.headers.authorization
    real.headers.host, real.headers["content-length"] = nil, nil
    assert.same(real.headers, mine.headers)
    assert.same({ name = "a.b", timestamp = "t" }, event)
  end)

  it("returns posts and identifies", function()
    client.users.identify { user_id = 5 }
    client:post("/x?page=2", { 1, 2 }, { query = { a = "b" } })
    client:post("/y")
    local requests = client:captured()
    assert.equal(3, #requests)
    assert.equal("/identify", requests[1].path)
    assert.same({ user_id = "5" }, requests[1].body)
    assert.equal("/x", requests[2].path)
    assert.equal("page=2&a=b", requests[2].query)
    assert.same({ 1, 2 }, requests[2].body)
    assert.equal("[1,2]", requests[2].json)
    assert.equal("/y", requests[3].path)
    assert.is_nil(requests[3].query)
    assert.is_nil(requests[3].body)
    assert.is_nil(requests[3].json)
  end)

  it("returns requests once, in their order", function()
    assert.same({}, client:captured())
    for round = 1, 3 do
      for i = 1, round do
        client.events.capture { name = round .. "." .. i }
      end
      local requests = client:captured()
      assert.equal(round, #requests)
      for i = 1, round do
        assert.equal(round .. "." .. i, requests[i].body.name)
      end
      assert.same({}, client:captured())
    end
  end)

  it("returns the newest max_queue_events", function()
    client = new { max_queue_events = 3 }
    for _, count in ipairs { 2, 3, 4, 100, 1 } do
      for i = 1, count do
        assert.is_true(client.events.capture { name = "n" .. i })
      end
      local requests = client:captured()
      local kept = math.min(count, 3)
      assert.equal(kept, #requests)
      for i = 1, kept do
        assert.equal("n" .. count - kept + i, requests[i].body.name)
      end
    end
    assert.equal(110, h.adds_up(client).delivered)
  end)

  it("has large integers to the last digit in json", function()
    local function json_of(value)
      assert.is_true(client.events.capture { name = "a.b", timestamp = "t",
        data = { n = value } })
      return captured().json
    end
    local text = '{"name":"a.b","timestamp":"t","data":{"n":%s}}'
    for _, digits in ipairs { "9007199254740992", "-9007199254740992" } do
      assert.equal(text:format(digits), json_of(tonumber(digits)))
    end
    for _, digits in ipairs(LONG_INTEGERS) do
      assert.equal(text:format(digits),
        json_of(load("return " .. digits .. SUFFIX)()))
    end
    client.users.identify { user_id = 2 ^ 53 - 1 }
    assert.equal('{"user_id":"9007199254740991"}', captured().json)
  end)

  it("has nothing of what before_send drops", function()
    client = new {
      before_send = function(event, path)
        if event.name == "dropped" then
          return nil
        end
        return { name = path }
      end,
    }
    assert.is_true(client.events.capture { name = "dropped" })
    assert.equal("DroppedError", select(3, client.events.capture(
      { name = "dropped" }, { future = true })).name)
    assert.is_true(client.events.capture { name = "kept" })
    assert.equal("/capture", captured().body.name)
    h.assert_counts(client, { accepted = 3, delivered = 1, before_send = 2 })
  end)

  it("returns an empty list of a real client", function()
    assert.is_true(x.client.events.capture { name = "a.b" })
    x:settle()
    assert.same({}, x.client:captured())
    assert.equal(1, #x.requests)
  end)
end)
