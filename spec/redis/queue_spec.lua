-- `seerstack queue` of a store in Redis.

local cjson = require "cjson"
local h = require "spec.helper"

describe("seerstack queue with a URL", function()
  local api = h.standin { rate_limit = false }
  local server = h.each(h.redises.new, function(s) s:remove() end)

  local function queue(...)
    return h.tool.ask(api, { "queue", server.url, ... })
  end

  local function fill(options)
    api:config { fail_status = 503 }
    h.ended_well(server:start(api, [[
      capture(client, 1, 600)
      assert(client.users.identify { user_id = "u", name = "N" })
      assert(client:persist(25))
    ]], h.merge({ with = "exit_timeout = 0, log_level = 'off'" }, options)))
    api:config { fail_status = false }
  end

  it("counts what is there", function()
    fill()
    local text = h.ended_well(queue()).stdout
    assert.matches("^events +601\nof nobody's +601\n"
      .. "oldest of these +%d+ s\nprocesses +0\nmemory +%d+ bytes\n"
      .. "machines +0\ntheir slots +0\n$", text)
    local child = server:hold(api, 1)
    local totals = cjson.decode(h.ended_well(queue "--json").stdout)
    child:finish()
    assert.equal(1, totals.owners)
  end)

  it("counts machines that have slots of the limit, and these", function()
    h.ended_well(server:start(api, [[
      capture(client, 1, 20)
      assert(client:flush(25))
    ]], { with = "rate_limit = 1000, share_rate_limit = false, "
      .. "headers = { Cookie = 'secret' }" }))
    assert.matches("machines +1\ntheir slots +20\n$",
      h.ended_well(queue()).stdout)
  end)

  it("exports rows, and forgets them when told to", function()
    fill()
    local lines = h.ended_well(queue "--export").stdout
    assert.equal(600, select(2, lines:gsub("\n", "")))
    assert.equal('{"user_id":"u","name":"N"}\n',
      h.ended_well(queue("--export", "--identify")).stdout)
    assert.equal("601 removed\n", h.ended_well(queue "--purge").stdout)
    assert.equal(0, server:totals().events)
  end)

  it("sends what the present key may send, under a prefix, too", function()
    fill()
    fill { open = "prefix = 'other'" }
    assert.equal("601 delivered, 0 rejected, 0 dropped, 0 left\n",
      h.ended_well(queue "--drain").stdout)
    assert.equal(601, api:count())
    assert.equal("601 delivered, 0 rejected, 0 dropped, 0 left\n",
      h.ended_well(queue("--drain", "--prefix", "other")).stdout)
    assert.equal(1202, api:count())
  end)

  it("says what is wrong, without a secret", function()
    local result = h.tool.ask(api, { "queue", "redis://:pa55@127.0.0.1:1" })
    assert.equal(2, result.status)
    assert.equal("seerstack: 127.0.0.1:1: Connection refused\n",
      result.stderr)
    result = h.tool.ask(api, { "queue", "redis://:pa55@" })
    assert.equal(2, result.status)
    assert.matches("^seerstack: queue: .*option 'url'", result.stderr)
    assert.is_nil(result.stderr:find("pa55", 1, true))
  end)
end)
