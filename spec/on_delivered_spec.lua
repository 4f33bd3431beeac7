local cjson = require "cjson"
local h = require "spec.helper"

local x = h.exchange()
local calls

-- Gives the exchange a client whose on_delivered keeps what it is told in
-- `calls`.
local function listen(options)
  calls = {}
  x:use(h.merge({
    log_level = "off", max_in_flight = 1, on_delivered = function(...)
      calls[#calls + 1] = { n = select("#", ...), ... }
    end,
  }, options))
  return x.client
end

describe("on_delivered", function()
  it("gets each event that was delivered, and its text", function()
    local client = listen()
    x:capture("a.b", { x = 1 })
    x:identify("u", "U")
    assert(client:post "/p?a=1")
    x:settle()
    assert.same({}, calls)
    assert.equal(3, client:poll())
    assert.equal(0, client:poll())
    for i, request in ipairs(x.requests) do
      assert.equal(2, calls[i].n)
      assert.equal(request.body, calls[i][2])
      assert.same(request.body ~= "" and cjson.decode(request.body) or nil,
        calls[i][1])
    end
    assert.equal(3, h.adds_up(client).delivered)
  end)

  it("is told once of what was sent twice, and of doubtful answers", function()
    local client = listen { initial_retry_delay = 0.01 }
    x:capture_many(2)
    x:settle(h.sequence { { 500 }, { 200, nil, "<html>" } })
    assert.equal(2, client:poll())
    assert.equal(2, #calls)
  end)

  it("is not told of what was waited for, rejected or dropped", function()
    local client = listen { on_error = function() end }
    local future = x:ask "asked"
    x:get(future, h.ok)
    x:capture "bad"
    x:settle(function() return 400 end)
    assert.is_nil((client.events.capture {}))
    assert.equal(2, client:poll())
    assert.same({}, calls)
  end)

  it("is told of the newest 64, which displace nothing of on_error's",
    function()
      local errors = 0
      local client = listen { on_error = function() errors = errors + 1 end }
      x:capture "bad"
      x:settle(function() return 400 end)
      x:capture_many(70)
      x:settle()
      assert.equal(6, client:stats().missed)
      assert.equal(65, client:poll())
      assert.same({ 1, "n7", "n70" },
        { errors, calls[1][1].name, calls[64][1].name })
    end)

  it("may be inherited, replaced, taken away, and fail", function()
    local first, heard = listen(), 0
    for _, case in ipairs {
      { nil, 1, 1 }, { function() heard = heard + 1 error "oops" end, 1, 0 },
      { false, 0, 0 },
    } do
      calls = {}
      x.client = first:with_options { on_delivered = case[1] }
      x:capture "a"
      x:settle()
      assert.same({ case[2], case[3] }, { x.client:poll(), #calls })
    end
    assert.equal(1, heard)
  end)
end)
