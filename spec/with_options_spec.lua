local h = require "spec.helper"

-- So slow that what comes sooner was not the sender's own next attempt.
local SLOW = {
  initial_retry_delay = 40, max_retry_delay = 40, log_level = "off",
}

local x = h.exchange()

local function capture(client, name, options)
  return assert(client.events.capture({ name = name }, options))
end

local function pending(clients)
  local sum = 0
  for _, client in ipairs(clients) do
    sum = sum + h.adds_up(client).pending
  end
  return sum
end

-- Serves until none of the clients has anything left.
local function settle(clients, handler)
  x:serve(handler, function() return pending(clients) == 0 end)
end

local function request_of(name)
  for _, request in ipairs(x.requests) do
    if h.body_of(request).name == name then
      return request
    end
  end
  error("there is no request about " .. name)
end

describe("client:with_options", function()
  it("returns a client that sends with the same key to the same URL",
    function()
      local child = x.client:with_options {}
      assert.equal("userdata", type(child))
      assert.not_equal(x.client, child)
      assert.equal(tostring(x.client), tostring(child))
      capture(child, "a.b")
      assert(child.users.identify { user_id = "u" })
      assert(child:post("/x"))
      settle { child }
      assert.equal(3, #x.requests)
      for _, request in ipairs(x.requests) do
        assert.equal("Bearer " .. x.key, request.headers.authorization)
      end
    end)

  it("gives it a queue and counts of its own", function()
    local parent = x:use { max_queue_events = 2 }
    local child = parent:with_options {}
    local wide = parent:with_options { max_queue_events = 3 }
    for i, client in ipairs { parent, child, wide } do
      local room = i == 3 and 3 or 2
      for n = 1, room do
        capture(client, i .. "." .. n)
      end
      local accepted, _, err = client.events.capture { name = "full" }
      assert.is_nil(accepted)
      assert.equal("QueueFullError", err.name)
    end
    assert.equal(7, pending { parent, child, wide })
    settle({ parent, child, wide }, h.sequence { { 400 } })
    assert.equal(7, #x.requests)
    for i, client in ipairs { parent, child, wide } do
      local stats = h.assert_counts(client, { accepted = i == 3 and 3 or 2 })
      assert.equal(stats.accepted, stats.delivered + stats.rejected)
    end
  end)

  it("takes what is not given from the client", function()
    local parent = x:use {
      wait = true, max_retries = 0, timeout = 0.3, max_event_bytes = 200,
    }
    local child = parent:with_options { max_queue_events = 7 }
    local grandchild = child:with_options { max_retries = 1 }
    for i, client in ipairs { parent, child, grandchild } do
      local accepted, _, err = client.events.capture({ name = "a.b" })
      assert.is_nil(accepted)
      assert.equal("APITimeoutError", err.name, err.message)
      x:serve_requests(({ 1, 2, 4 })[i])
      assert.is_nil((client.events.capture { name = ("x"):rep(200) }))
    end
    assert.equal(4, #x.requests)
    assert.is_true(grandchild:with_options { wait = false }
      .events.capture { name = "queued" })
  end)

  it("leaves the client as it is, and the table", function()
    local headers = { ["X-A"] = "child" }
    local options = { headers = headers, default_data = { a = 2 } }
    local parent = x:use { headers = { ["X-A"] = "parent" },
      default_data = { a = 1 } }
    local child = parent:with_options(options)
    assert.same({ headers = { ["X-A"] = "child" }, default_data = { a = 2 } },
      options)
    headers["X-A"], options.default_data.a = "changed", 3
    capture(parent, "parent")
    capture(child, "child")
    settle { parent, child }
    assert.equal("parent", request_of("parent").headers["x-a"])
    assert.same({ a = 1 }, h.body_of(request_of "parent").data)
    assert.equal("child", request_of("child").headers["x-a"])
    assert.same({ a = 2 }, h.body_of(request_of "child").data)
  end)

  it("merges headers and query", function()
    local parent = x:use {
      headers = { ["X-A"] = "1", ["X-B"] = "2", ["X-C"] = "3" },
      query = { a = "1", b = "2", c = "3" },
    }
    local child = parent:with_options {
      headers = { ["x-b"] = "other", ["X-C"] = false, ["X-D"] = "4" },
      query = { b = "other", c = false, d = "4", B = "5" },
    }
    local grandchild = child:with_options {
      headers = { ["X-C"] = "again", ["Accept"] = false },
      query = { a = false },
    }
    capture(parent, "parent")
    capture(child, "child")
    capture(grandchild, "grandchild", { headers = { ["X-A"] = "own" },
      query = { d = "own" } })
    settle { parent, child, grandchild }
    local function assert_sent(name, expected, query)
      local request = request_of(name)
      for header, value in pairs(expected) do
        assert.equal(value, request.headers[header] or "none", header)
      end
      local parameters = {}
      for parameter in request.target:match("?(.*)"):gmatch "[^&]+" do
        parameters[#parameters + 1] = parameter
      end
      table.sort(parameters)
      assert.same(query, parameters)
    end
    assert_sent("parent", { ["x-a"] = "1", ["x-b"] = "2", ["x-c"] = "3",
      ["x-d"] = "none", accept = "application/json" },
      { "a=1", "b=2", "c=3" })
    assert_sent("child", { ["x-a"] = "1", ["x-b"] = "other", ["x-c"] = "none",
      ["x-d"] = "4", accept = "application/json" },
      { "B=5", "a=1", "b=other", "d=4" })
    assert_sent("grandchild", { ["x-a"] = "own", ["x-b"] = "other",
      ["x-c"] = "again", ["x-d"] = "4", accept = "none" },
      { "B=5", "b=other", "d=own" })
  end)

  it("raises for api_key, base_url, and what is no option", function()
    local client, raw = x.client, x.client.with_options
    for _, name in ipairs { "api_key", "base_url" } do
      h.assert_raises("bad argument #1 to 'with_options' (option '" .. name
        .. "': cannot differ in with_options)", raw, client,
        { [name] = name == "api_key" and x.key or x.url })
    end
    h.assert_raises("bad argument #1 to 'with_options' (unknown option 'x')",
      raw, client, { x = 1 })
    h.assert_raises("bad argument #1 to 'with_options' (option 'timeout': a "
      .. "number of seconds > 0 expected, got 0)", raw, client,
      { timeout = 0 })
    h.assert_raises("bad argument #1 to 'with_options' (table expected, got "
      .. "nil)", raw, client)
    h.assert_raises("bad argument #1 to 'with_options' (table expected, got "
      .. "string)", raw, client, "x")
    assert.is_false((pcall(raw, {})))
    assert.is_false((pcall(raw)))
    capture(client, "a.b")
    settle { client }
  end)
end)

describe("callbacks", function()
  local calls

  local function note(what)
    return function(first)
      calls[#calls + 1] = what .. " " .. tostring(first.name or first)
      return first
    end
  end

  before_each(function()
    calls = {}
    x:use { before_send = note "before_send", on_error = note "on_error",
      logger = note "logger", log_level = "error", max_age = 0.05,
      rate_limit = 1 }
    -- The only slot of the pacer: whatever is queued later expires.
    capture(x.client, "first", { future = true })
    x:settle()
    calls = {}
  end)

  -- What a client's callbacks hear of an event that is dropped.
  local function heard(options)
    local client = x.client:with_options(options)
    capture(client, "a.b")
    settle { client }
    client:poll()
    assert.equal(1, client:stats().dropped_by.expired)
    table.sort(calls)
    return calls
  end

  it("are inherited", function()
    assert.same({ "before_send a.b", "logger error", "on_error DroppedError" },
      heard {})
  end)

  it("may be taken away, one by one", function()
    assert.same({ "before_send a.b", "logger error" },
      heard { on_error = false })
    calls = {}
    assert.same({ "logger error", "on_error DroppedError" },
      heard { before_send = false })
    calls = {}
    assert.same({ "before_send a.b", "on_error DroppedError" },
      heard { logger = false, log_level = "off" })
    calls = {}
    assert.same({}, heard { logger = false, log_level = "off",
      on_error = false, before_send = false })
  end)

  it("may be replaced, and the client keeps its own", function()
    assert.same({ "before_send a.b", "logger error", "other DroppedError" },
      heard { on_error = note "other" })
    calls = {}
    assert.equal(0, x.client:poll())
    assert.same({}, calls)
  end)

  it("that were taken away may be given to a client's client", function()
    local child = x.client:with_options {
      before_send = false, on_error = false, logger = false,
      log_level = "off",
    }
    x.client = child
    assert.same({ "before_send a.b" }, heard {
      before_send = note "before_send",
    })
  end)

  it("of one client are not run by another", function()
    local child = x.client:with_options {}
    capture(child, "a.b")
    settle { child }
    calls = {}
    assert.equal(0, x.client:poll())
    x.client:flush(1)
    assert.same({}, calls)
    assert.equal(2, child:poll())
  end)
end)

describe("a client and its client", function()
  local function assert_pacing_is_shared(url)
    local parent = x:use { rate_limit = 20, base_url = url }
    local child = parent:with_options {}
    local other = x:new { rate_limit = 20 }
    for i = 1, 15 do
      capture(parent, "parent" .. i)
      capture(child, "child" .. i)
    end
    x:serve(nil, function() return pending { parent, child } <= 11 end)
    x:serve_while(function() return #x.requests == 19 end, nil, 0.3)
    assert.equal(11, pending { parent, child })
    -- What has nothing to do with them has its own.
    for i = 1, 19 do
      capture(other, "other" .. i)
    end
    settle { other }
    assert.equal(11, pending { parent, child })
  end

  it("share the pacing", function()
    assert_pacing_is_shared(x.url)
  end)

  it("share it though the base URL ends in slashes", function()
    assert_pacing_is_shared(x.url .. "//")
    assert.equal("/capture", x.requests[1].target)
  end)

  it("each compare it with their own limit", function()
    local parent = x:use { rate_limit = 4 }
    local child = parent:with_options { rate_limit = false }
    for i = 1, 10 do
      capture(child, "child" .. i)
    end
    settle { child }
    for i = 1, 5 do
      capture(parent, "parent" .. i)
    end
    x:serve(nil, function() return pending { parent, child } <= 2 end)
    x:serve_while(function() return #x.requests == 13 end, nil, 0.2)
    assert.equal(2, pending { parent, child })
  end)

  it("each compare what they have in flight with their own limit",
    function()
      local parent = x:use { max_in_flight = 4 }
      local child = parent:with_options { max_in_flight = 1 }
      capture(parent, "parent1")
      capture(parent, "parent2")
      x:serve_requests(2, h.hold)
      capture(child, "child1")
      capture(child, "child2")
      x:serve_requests(3, h.hold)
      x:serve_while(function() return #x.requests == 3 end, h.hold, 0.2)
      assert.equal(2, pending { child })
    end)

  for _, who in ipairs { "client", "client's client" } do
    it("share the back-off: a 401 to the " .. who .. " pauses both",
      function()
        local parent = x:use(SLOW)
        local child = parent:with_options {}
        local refused, other = parent, child
        if who ~= "client" then
          refused, other = child, parent
        end
        capture(refused, "refused")
        x:serve(function() return 401 end, function()
          return refused:stats().retry_at
        end)
        assert.not_nil(other:stats().retry_at)
        capture(other, "held")
        x:serve_while(function() return #x.requests == 1 end, nil, 0.2)
        assert.equal(2, pending { parent, child })
        -- What somebody waits for is not held. When it goes well, what is
        -- queued follows, but what was refused, which has its own delay.
        capture(other, "waited", { future = true })
        settle { other }
        assert.same({ "refused", "waited", "held" }, x:names())
        assert.is_nil(refused:stats().retry_at)
      end)
  end

  it("share connections", function()
    local parent = x:use { max_in_flight = 1 }
    local child = parent:with_options {
      max_retries = 5, headers = { ["X-A"] = "b" }, query = { a = "b" },
    }
    for i = 1, 5 do
      capture(parent, "parent" .. i)
      settle { parent }
      capture(child, "child" .. i)
      settle { child }
    end
    assert.equal(10, #x.requests)
    assert.equal(1, #x.server.connections)
  end)

  it("close each for itself", function()
    local parent = x:use {}
    local child, other = parent:with_options {}, parent:with_options {}
    assert.is_true(child:close())
    assert.is_nil((child.events.capture { name = "a.b" }))
    assert.equal("ClosedError",
      select(3, child.events.capture { name = "a.b" }).name)
    capture(parent, "parent")
    settle { parent }
    assert.is_true(parent:close())
    assert.is_nil((parent.events.capture { name = "a.b" }))
    capture(other, "other")
    settle { other }
    assert.equal(2, #x.requests)
    -- Options remain when a client is closed, and so another can be made.
    local late = parent:with_options {}
    capture(late, "late")
    settle { late }
    assert.equal(3, #x.requests)
  end)

  it("may each be collected while the other lives", function()
    local parent = h.client(x.url, { api_key = x.key,
      headers = { ["X-A"] = "b" }, log_level = "off" })
    local child = parent:with_options {}
    local weak = setmetatable({ parent, child }, { __mode = "v" })
    capture(parent, "before")
    parent = nil
    h.collect()
    h.collect()
    assert.is_nil(parent or weak[1])
    local grandchild = child:with_options {}
    capture(child, "after")
    child = nil
    h.collect()
    h.collect()
    assert.is_nil(child or weak[2])
    capture(grandchild, "last")
    x:serve_requests(3)
    settle { grandchild }
    for _, name in ipairs { "before", "after", "last" } do
      assert.equal("b", request_of(name).headers["x-a"])
      assert.equal("Bearer " .. x.key, request_of(name).headers.authorization)
    end
    assert.equal(3, #x.requests)
  end)
end)
