-- examples/fleet: two nginx servers and one Redis.

local fleets = require "spec.support.fleets"
local h = require "spec.helper"

describe("a fleet of nginx servers", function()
  local api = h.own_standin { rate_limit = false }
  local redis

  after_each(function()
    h.nginx.clean_up()
    redis:remove()
  end)

  it("keeps one limit, and sends what a killed server has left", function()
    redis = fleets.redis()
    local options = "rate_limit = 40, timeout = 5, "
    local one = fleets.start(api, redis, 2, options)
    local other = fleets.start(api, redis, 2, options)
    local function visit(server, count)
      for _ = 1, count do
        assert.equal(200, (server:get "/"))
      end
    end
    visit(one, 10)
    visit(other, 10)
    h.wait(function() return api:count() == 20 end, 30)
    api:config { fail_status = 503 }
    visit(one, 10)
    h.wait(function() return redis:totals().events == 10 end, 30)
    fleets.kill(one)
    redis:end_leases()
    api:config { fail_status = false }
    visit(other, 1)
    h.wait(function() return redis:totals().events == 0 end, 110)
    assert.equal(31, api:count())
    local name = "page.viewed"
    for _, event in ipairs(api:events()) do
      assert.equal(name, h.body_of(event).name)
    end
  end)
end)
