local h = require "spec.helper"
local socket = require "socket"

-- What the pacer holds is dropped after this time, so that a spec can wait
-- for that and not for the pacer's minute.
local MAX_AGE = 5 * h.slow

describe("the pacer", function()
  local x

  after_each(function()
    x:close()
  end)

  -- Serves until the client has nothing left: what is not sent expires.
  -- Returns how many requests came.
  local function sent(handler)
    local before = #x.requests
    local stats = x:settle(handler)
    assert.equal(0, stats.rejected)
    return #x.requests - before
  end

  local function open(options)
    x = h.open(options)
  end

  -- Serves until so many requests have come, and no more.
  local function assert_sent(count, handler)
    local all = #x.requests + count
    x:serve_requests(all, handler)
    x:serve_while(function() return #x.requests == all end, handler, 0.2)
    assert.equal(0, h.adds_up(x.client).rejected)
  end

  -- Serves until so many events of these clients are delivered, and no more.
  local function assert_delivered(count, clients)
    local function delivered()
      local sum = 0
      for _, client in ipairs(clients) do
        sum = sum + h.adds_up(client).delivered
      end
      return sum
    end
    x:serve(nil, function() return delivered() >= count end)
    x:serve_while(function() return delivered() == count end, nil, 0.2)
  end

  it("lets 95 % of rate_limit out at once, at least one, and no more",
    function()
      open {}
      local limits = { 1, 2, 3, 20, 21, 100, 105 }
      local shares = { 1, 1, 2, 19, 19, 95, 99 }
      local clients, all = {}, 0
      for i, limit in ipairs(limits) do
        clients[i], all = x:new { rate_limit = limit }, all + shares[i]
        for _ = 1, limit + 5 do
          assert(clients[i].events.capture { name = "a.b" })
        end
      end
      assert_delivered(all, clients)
      for i, client in ipairs(clients) do
        local stats = h.assert_counts(client,
          { delivered = shares[i], pending = limits[i] + 5 - shares[i] })
        assert.is_nil(stats.last_error)
      end
    end)

  it("holds nothing with rate_limit = false", function()
    open { rate_limit = false }
    x:capture_many(2000)
    assert.equal(2000, x:settle(nil, 30).delivered)
    assert.equal(2000, #x.requests)
  end)

  it("has one log for the clients of an endpoint, each its own limit",
    function()
      open { rate_limit = 20, max_age = MAX_AGE }
      x:capture_many(30)
      assert.equal(19, sent())
      x:use { api_key = x.key, rate_limit = 40, max_age = MAX_AGE }
      x:capture_many(30)
      assert.equal(38 - 19, sent())
      local unlimited = x:new { api_key = x.key, rate_limit = false }
      x.client = unlimited
      x:capture_many(30)
      assert.equal(30, sent())
      x:use { api_key = x.key, rate_limit = 20, max_age = MAX_AGE }
      x:capture_many(30)
      assert.equal(19, sent())
      assert.equal(30, unlimited:stats().delivered)
    end)

  it("has a log for each endpoint", function()
    open { rate_limit = 2 }
    local clients = {
      x.client,
      x:new { rate_limit = 2 }, -- with another key
      x:new { api_key = x.key, base_url = x.url .. "/p", rate_limit = 2 },
    }
    for _, client in ipairs(clients) do
      client.events.capture { name = "a" }
      client.events.capture { name = "b" }
    end
    assert_delivered(#clients, clients)
    for _, client in ipairs(clients) do
      assert.equal(1, client:stats().delivered)
    end
  end)

  it("keeps the log when no client is left", function()
    open { rate_limit = 20 }
    x:capture_many(19)
    assert.equal(19, sent())
    x.client:close()
    x.client = nil
    collectgarbage()
    collectgarbage()
    x:new() -- forgets the endpoints that nobody needs
    x:use { api_key = x.key, rate_limit = 20, max_age = 0.3 }
    x:capture("late")
    assert.equal(0, sent())
  end)

  it("counts every attempt of an event", function()
    open { rate_limit = 6, initial_retry_delay = 0.001 }
    x:capture("a.b")
    assert_sent(5, function() return 500 end)
  end)

  it("counts redirects that are followed", function()
    open { rate_limit = 4, max_in_flight = 1 }
    x:capture("a.b")
    x:capture("late")
    local hops = { Location = "/hop" }
    assert_sent(3, h.sequence { { 307, hops }, { 308, hops }, { 200 } })
  end)

  it("counts what libcurl sends a second time", function()
    open { rate_limit = 4, max_in_flight = 1 }
    x:capture_many(4)
    assert_sent(3, h.sequence { { 200 }, { "close" } })
    x:serve(nil, function() return x.client:stats().delivered == 2 end)
  end)

  it("counts requests that had no answer", function()
    open { rate_limit = 4, initial_retry_delay = 40, max_retry_delay = 40 }
    x:capture_many(10)
    assert_sent(3, function() return "close" end)
  end)
end)

describe("a waited-for request", function()
  -- The first waiter gives up while the only slot is taken, which is answered
  -- then; the second has the time to wait for the next one, which comes free
  -- in a minute.
  it("is held within its timeout, whatever the one before it had",
    function()
      local x = h.open()
      local child = h.start {
        env = h.environment(x.url, x.key),
        code = [[
          local client = require "seerstack".new {
            max_in_flight = 1, rate_limit = 2, exit_timeout = 0,
          }
          assert(client.events.capture { name = "first" })
          local function wait(timeout)
            local _, _, err = client.events.capture({ name = "waited" },
              { wait = true, timeout = timeout, max_retries = 0 })
            io.stdout:write(err.name, "\n")
            io.stdout:flush()
          end
          local slow = require "spec.support.util".slow
          wait(slow)
          wait(90 * slow)
        ]],
      }
      x:serve(h.hold, function() return child:stdout() ~= "" end, 20)
      assert(x.server.connections[1]:respond(h.ok()))
      x:serve_while(function() return not child:done() end, nil, 1)
      assert.equal("APITimeoutError\n", child:stdout())
      child:kill "KILL"
      child:wait()
      x:close()
    end)

  it("fails at once when the pacer would hold it beyond its timeout",
    function()
      local x = h.open { rate_limit = 20 }
      x:capture_many(19)
      x:settle()
      -- The first slot comes free a minute after its request.
      for _, timeout in ipairs { 20, 30, 40 } do
        local before = socket.gettime()
        local response, message, err = x.client.events.capture(
          { name = "late" }, { wait = true, timeout = timeout })
        assert.is_nil(response)
        assert.equal("RateLimitError", err.name)
        assert.matches("^rate limit", message)
        assert.is_true(socket.gettime() - before < timeout / 2)
      end
      x:capture("queued")
      x:serve_while(function() return #x.requests == 19 end, nil, 0.2)
      local stats = h.adds_up(x.client)
      assert.equal(3, stats.rejected)
      assert.equal(1, stats.pending)
      x:close()
    end)

  it("leaves no trace in the log when its connection is refused", function()
    local gone = h.server.refusing()
    local client = h.client(gone.url, { rate_limit = 2 })
    for _ = 1, 5 do
      local _, _, err = client.events.capture({ name = "a.b" },
        { wait = true, max_retries = 1 })
      assert.equal("APIConnectionError", err.name)
    end
  end)
end)
