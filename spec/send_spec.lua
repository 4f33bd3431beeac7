-- What a request may have of its own: timeout, max_retries, idempotency_key.

local h = require "spec.helper"

local x = h.exchange()

local function capture(name, options)
  return assert(x.client.events.capture({ name = name }, options))
end

-- The same with a future, which stands for every request that is waited for.
local function ask(name, options)
  local all = h.merge({ future = true }, options)
  return capture(name, all)
end

local function key_of(request)
  return request.headers["idempotency-key"]
end

-- The requests about an event, which must have the same body and key.
local function requests_of(name)
  local found = {}
  for _, request in ipairs(x.requests) do
    if h.body_of(request).name == name then
      found[#found + 1] = request
      assert.equal(found[1].body, request.body)
      assert.equal(key_of(found[1]), key_of(request))
    end
  end
  return found
end

-- A handler that gives the first request about each event an answer, and 200
-- to those that follow.
local function first_of_each(...)
  local answer, seen = { ... }, {}
  return function(request)
    local name = h.body_of(request).name
    if seen[name] then
      return h.ok()
    end
    seen[name] = true
    return h.answer(answer)
  end
end

describe("timeout", function()
  it("is that of the attempts of this queued event alone", function()
    capture("patient")
    capture("hasty", { timeout = 0.4 })
    x:serve(first_of_each "hold", function()
      return x.client:stats().delivered == 1
    end)
    assert.is_true(#requests_of "hasty" >= 2)
    assert.equal(1, #requests_of "patient")
    assert.equal(1, h.adds_up(x.client).pending)
  end)

  it("is that of every attempt of a queued event", function()
    capture("hasty", { timeout = 0.4 })
    local stats = x:settle(h.sequence { { "hold" }, { "hold" } })
    assert.equal(1, stats.delivered)
    assert.is_true(#requests_of "hasty" >= 3)
  end)

  it("may be longer than the client's", function()
    x:use { timeout = 0.4 }
    capture("patient", { timeout = 20 })
    capture("hasty")
    local future = ask("waited", { timeout = 20 })
    x:settle(first_of_each("delay", 1.2, h.ok()))
    assert.equal(1, #requests_of "patient")
    assert.is_true(#requests_of "hasty" >= 2)
    assert.equal(1, #requests_of "waited")
    assert.is_true(future:get(0).success)
    assert.equal(3, h.adds_up(x.client).delivered)
  end)

  it("ends a waited-for request", function()
    local future = ask("hasty", { timeout = 0.4, max_retries = 0 })
    x:settle(first_of_each "hold")
    local response, _, err = future:get(0)
    assert.is_nil(response)
    assert.equal("APITimeoutError", err.name)
    assert.equal(1, h.adds_up(x.client).rejected)
  end)

  it("of one request leaves the next one the client's", function()
    x:use { timeout = 0.4 }
    capture("patient", { timeout = 20 })
    x:settle()
    capture("hasty")
    x:settle(first_of_each("delay", 1.2, h.ok()))
    assert.is_true(#requests_of "hasty" >= 2)
  end)
end)

describe("max_retries", function()
  local function many(...)
    local answers = {}
    for i = 1, 8 do
      answers[i] = { ... }
    end
    return h.sequence(answers)
  end

  it("is how often a 409 to this queued event is tried again", function()
    for _, retries in ipairs { 0, 1, 4 } do
      x:use { max_retries = 2 }
      local name = "n" .. retries
      capture(name, { max_retries = retries })
      assert.equal(1, x:settle(many(409)).rejected)
      assert.equal(retries + 1, #requests_of(name))
    end
    x:use { max_retries = 2 }
    capture("client's")
    assert.equal(1, x:settle(many(409)).rejected)
    assert.equal(3, #requests_of "client's")
  end)

  it("says nothing about other failures of a queued event", function()
    capture("a.b", { max_retries = 0 })
    local stats = x:settle(h.sequence {
      { "close" }, { 500 }, { 408 }, { 429 }, { 401 }, { 503 }, { 500 },
    })
    assert.equal(1, stats.delivered)
    assert.equal(8, #requests_of "a.b")
  end)

  it("is how often a waited-for request is tried again", function()
    for _, retries in ipairs { 0, 1, 4 } do
      x:use { max_retries = 2 }
      local name = "n" .. retries
      local future = ask(name, { max_retries = retries })
      assert.equal(1, x:settle(many(500)).rejected)
      assert.equal(retries + 1, #requests_of(name))
      assert.equal("InternalServerError", select(3, future:get(0)).name)
    end
    local future = ask("client's", {})
    x:settle(many(500))
    assert.equal(3, #requests_of "client's")
    assert.equal("InternalServerError", select(3, future:get(0)).name)
  end)
end)

describe("idempotency_key", function()
  local KEYS = {
    "order-42", "x", "a key with spaces", '"quoted", and; more=%s%n:',
    "sk_live_", "gr\195\188n \226\130\172", "\255\254", ("k"):rep(255),
  }

  it("is sent as it is, and once", function()
    for i, key in ipairs(KEYS) do
      capture("queued" .. i, { idempotency_key = key })
      ask("waited" .. i, { idempotency_key = key })
    end
    x:settle()
    assert.equal(2 * #KEYS, #x.requests)
    for i, key in ipairs(KEYS) do
      for _, kind in ipairs { "queued", "waited" } do
        local requests = requests_of(kind .. i)
        assert.equal(1, #requests)
        assert.equal(key, key_of(requests[1]))
        local count = 0
        for _, header in ipairs(requests[1].order) do
          if header.name:lower() == "idempotency-key" then
            count = count + 1
          end
        end
        assert.equal(1, count)
      end
    end
  end)

  it("is of identify and post as well", function()
    assert(x.client.users.identify({ user_id = "u" },
      { idempotency_key = "one" }))
    assert(x.client:post("/x", nil, { idempotency_key = "two" }))
    x:settle()
    local keys = {}
    for _, request in ipairs(x.requests) do
      keys[request.path] = key_of(request)
    end
    assert.same({ ["/identify"] = "one", ["/x"] = "two" }, keys)
  end)

  it("is the same in every attempt, queued or waited for", function()
    local failures = {
      { "close" }, { 500 }, { "reset" }, { 429 }, { 408 }, { 307,
        { Location = "/other" } },
    }
    capture("queued", { idempotency_key = "mine" })
    x:settle(h.sequence(failures))
    assert.equal("mine", key_of(x.requests[1]))
    assert.equal(7, #requests_of "queued")
    ask("waited", { idempotency_key = "mine too", max_retries = 10 })
    x:settle(h.sequence(failures))
    assert.equal("mine too", key_of(requests_of("waited")[1]))
    assert.is_true(#requests_of "waited" >= 7)
    assert.equal(2, h.adds_up(x.client).delivered)
  end)

  it("of one event is no other's, unless that is given it, too", function()
    capture("first", { idempotency_key = "mine" })
    capture("second", { idempotency_key = "mine" })
    capture("third", {})
    capture("fourth")
    assert.equal(4, x:settle().delivered)
    assert.equal("mine", key_of(requests_of("first")[1]))
    assert.equal("mine", key_of(requests_of("second")[1]))
    local third, fourth = key_of(requests_of("third")[1]),
      key_of(requests_of("fourth")[1])
    assert.equal(36, #third)
    assert.equal(36, #fourth)
    assert.not_equal(third, fourth)
  end)

  it("raises when it cannot be sent, and is not shown", function()
    for _, key in ipairs { "", ("k"):rep(256), "se\ncret", "secret\r",
      "\0secret", "secret\127", "secret\27[0m", 5, true, {} } do
      for _, options in ipairs {
        { idempotency_key = key },
        { idempotency_key = key, future = true },
      } do
        local ok, message = pcall(x.client.events.capture, { name = "a.b" },
          options)
        assert.is_false(ok)
        assert.matches("^bad argument #2 to 'capture' %(option "
          .. "'idempotency_key': ", message)
        assert.is_nil(message:find("cret", 1, true))
        ok, message = pcall(x.client.post, x.client, "/x", nil, options)
        assert.is_false(ok)
        assert.matches("^bad argument #3 to 'post' %(option "
          .. "'idempotency_key': ", message)
      end
    end
    assert.equal(0, x.client:stats().accepted)
    assert.is_nil((x.server:accept(0)))
  end)
end)
