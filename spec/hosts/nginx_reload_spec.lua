-- examples/nginx under load: when nginx has stopped, what was captured has
-- arrived, to the last event.

local h = require "spec.helper"

local count = h.nginx_count

describe("nginx under load", function()
  local api = h.own_standin({ keep = false }, count.clean_up)
  local load

  -- A queue that can be delivered in time on a slow machine, too.
  local function start(queue, options, path)
    local server = count.start {
      api = api,
      workers = 4,
      client = (options or "exit_timeout = 30,") .. " max_queue_events = "
        .. queue .. ",",
    }
    load = count.load(server, path or "/count")
    return server
  end

  it("loses nothing in 20 reloads and QUIT", function()
    local server = start(2000, nil, "/count?most=1000") -- is never full
    for number = 1, 20 do
      server:reload()
      count.wait_for(server, load, number * 100)
    end
    server:stop()
    assert.equal("", server:problems())
    local counts = count.final(server)
    assert.equal(count.sum(counts, "begun"), count.returned(counts))
    assert.equal(count.sum(counts, "true"), count.sum(counts, "accepted"))
    assert.equal(count.sum(counts, "true"), api:count())
  end)

  it("has one budget for workers, old and new, in 5 reloads", function()
    api:config { rate_limit = 100 }
    local server = start(2000, "rate_limit = 100, exit_timeout = 0.5,")
    for number = 1, 5 do
      server:reload()
      count.wait_for(server, load, number * 100)
    end
    server:stop()
    local by_status = api:status().by_status
    assert.is_nil(by_status["429"])
    assert.is_true(by_status["200"] >= 95)
  end)

  it("counts in stats() what a full queue refuses", function()
    api:config { delay = 0.05 }
    local server = start(20)
    count.wait_for(server, load, 2000)
    server:stop()
    local counts = count.final(server)
    assert.is_true(count.sum(counts, "QueueFullError") > 0)
    assert.equal(count.sum(counts, "true"), api:count())
    assert.equal(count.sum(counts, "QueueFullError"),
      count.sum(counts, "refused"))
  end)
end)
