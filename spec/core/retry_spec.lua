local h = require "spec.helper"

local REJECTED, RETRIED = h.retrying.REJECTED, h.retrying.RETRIED
local PAUSING, SLOW = h.retrying.PAUSING, h.retrying.SLOW
local new, deliver = h.retrying.new, h.retrying.deliver
local assert_kept = h.retrying.assert_kept
local assert_same_event = h.retrying.assert_same_event

local x = h.retrying.each()

describe("a queued event", function()
  for _, status in ipairs { 200, 201, 202, 204, 206, 299 } do
    it("is delivered by " .. status, function()
      local stats = deliver { { status } }
      assert.equal(1, stats.delivered)
      assert.equal(1, #x.requests)
      assert.is_nil(stats.last_error)
    end)
  end

  for _, status in ipairs(REJECTED) do
    it("is rejected by " .. status, function()
      local stats = deliver { { status } }
      assert.equal(1, stats.rejected)
      assert.equal(1, #x.requests)
      assert.is_nil(stats.retry_at)
    end)
  end

  for _, status in ipairs(RETRIED) do
    it("is kept after " .. status .. " and alone waits", function()
      assert.equal(1, deliver({ { status } }).delivered)
      assert.equal(2, #x.requests)
      assert_same_event(x.requests)
      assert.equal(1, assert_kept(false, { { status } }))
    end)
  end

  for _, status in ipairs(PAUSING) do
    it("is kept after " .. status .. " and the endpoint pauses", function()
      assert.equal(1, deliver({ { status } }).delivered)
      assert.equal(2, #x.requests)
      assert_same_event(x.requests)
      assert.equal(1, assert_kept(true, { { status } }))
    end)
  end

  for _, what in ipairs { "close", "reset" } do
    it("is kept when the server's answer is a " .. what, function()
      local stats = deliver { { what }, { what } }
      assert.equal(1, stats.delivered)
      assert.equal(3, #x.requests)
      assert_same_event(x.requests)
      assert.is_string(stats.last_error)
    end)
  end

  it("is kept when there is no answer in time", function()
    x.client = new { timeout = 1, initial_retry_delay = 0.02 }
    local stats = deliver { { "hold" }, { "hold" } }
    assert.equal(1, stats.delivered)
    assert.equal(3, #x.requests)
    assert_same_event(x.requests)
  end)

  it("is kept while nobody listens", function()
    local gone = h.server.refusing()
    local client = h.client(gone.url,
      { max_age = 1 })
    assert.is_true(client.events.capture { name = "a.b" })
    h.wait(function() return client:stats().last_error end)
    assert.equal(0, client:stats().rejected)
    h.wait(function()
      return h.adds_up(client).dropped_by.expired == 1
    end)
  end)

  it("is rejected by 409 after max_retries", function()
    for retries = 0, 2 do
      local first = #x.requests
      x.client = new { max_retries = retries }
      local stats = deliver { { 409 }, { 409 }, { 409 }, { 409 } }
      assert.equal(1, stats.rejected)
      assert.equal(retries + 1, #x.requests - first)
    end
  end)

  it("is delivered when 409 is followed by 200", function()
    local stats = deliver { { 409 }, { 409 } }
    assert.equal(1, stats.delivered)
    assert.equal(3, #x.requests)
  end)

  it("is tried for as long as it takes, whatever max_retries", function()
    x.client = new {
      max_retries = 0, initial_retry_delay = 0.001, max_retry_delay = 0.005,
    }
    local answers = {}
    for i = 1, 40 do
      answers[i] = i % 3 == 0 and { "close" } or { 500 }
    end
    local stats = deliver(answers)
    assert.equal(1, stats.delivered)
    assert.equal(41, #x.requests)
  end)

  it("has the same body and Idempotency-Key in every attempt", function()
    local answers = {
      { 500 }, { "close" }, { 408 }, { "reset" }, { 429 }, { 401 }, { 302 },
      { "raw", "garbage\r\n\r\n" }, { 503, { ["Retry-After"] = "0.01" } },
      { 409 }, { 500, { ["X-Should-Retry"] = "true" } },
    }
    x.client = new { max_retries = 20, max_retry_delay = 0.05 }
    x:capture("a.b", { list = { 1, 2 }, x = 0.1, text = "\195\164\1" })
    x:settle(h.sequence(answers))
    assert.equal(#answers + 1, #x.requests)
    assert_same_event(x.requests)
    x:capture("a.b")
    x:settle()
    assert.not_equal(x.requests[1].headers["idempotency-key"],
      x.requests[#x.requests].headers["idempotency-key"])
  end)

  it("goes behind others after a failure", function()
    x.client = new { max_in_flight = 1 }
    x:capture_many(4)
    x:settle(h.sequence { { 500 } })
    assert.same({ "n1", "n2", "n3", "n4", "n1" }, x:names())
  end)
end)

describe("x-should-retry", function()
  local function header(value)
    return { ["X-Should-Retry"] = value }
  end

  for _, status in ipairs { 500, 408, 409, 429, 401, 404, 302 } do
    it("false rejects a queued event after " .. status, function()
      local stats = deliver { { status, header "false" } }
      assert.equal(1, stats.rejected)
      assert.equal(1, #x.requests)
      assert.is_nil(stats.retry_at)
    end)
  end

  for _, status in ipairs { 400, 409, 422, 401, 404, 302, 500 } do
    it("true keeps a queued event after " .. status .. ", as 408 does",
      function()
        x.client = new { max_retries = 0 }
        assert.equal(1, deliver({ { status, header "true" } }).delivered)
        assert.equal(2, #x.requests)
        assert.equal(1, assert_kept(false, { { status, header "true" } }))
      end)
  end

  it("says nothing about a 2xx", function()
    assert.equal(1, deliver({ { 200, header "true" } }).delivered)
    x:capture("a.b")
    local stats = x:settle(h.sequence { { 200, header "false" } })
    assert.equal(2, stats.delivered)
    assert.equal(2, #x.requests)
  end)

  it("is ignored when it is neither true nor false", function()
    for _, value in ipairs { "", "maybe", "1", "truefalse" } do
      x.client = new()
      assert.equal(1, deliver({ { 400, header(value) } }).rejected)
      assert.equal(1, deliver({ { 500, header(value) } }).delivered)
    end
  end)
end)

describe("a 2xx", function()
  local LONG = ("x"):rep(100000)

  it("delivers though its body breaks off", function()
    for _, answer in ipairs {
      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"succ",
      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nX-Header: un",
      "HTTP/1.1 200 OK\r\n",
    } do
      x.client = new()
      local before = #x.requests
      x:capture("a.b")
      local stats = x:settle(function(_, peer)
        peer:send(answer)
        return "close"
      end)
      assert.equal(1, stats.delivered, answer)
      assert.equal(before + 1, #x.requests, answer)
    end
  end)

  it("delivers though its body stalls", function()
    x.client = new { timeout = 1 }
    local stats = deliver {
      { "raw", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" },
    }
    assert.equal(1, stats.delivered)
    assert.equal(1, #x.requests)
  end)

  it("delivers though its body is too long", function()
    for _, answer in ipairs {
      { 200, nil, LONG },
      { 200, { ["Transfer-Encoding"] = "chunked" },
        ("186a0\r\n" .. LONG .. "\r\n"):rep(3) .. "0\r\n\r\n" },
      { "raw", "HTTP/1.0 200 OK\r\n\r\n" .. LONG },
    } do
      x.client = new()
      local before = #x.requests
      assert.equal(1, deliver({ answer }).delivered)
      assert.equal(before + 1, #x.requests)
    end
  end)
end)

describe("a failure", function()
  it("is judged by its status though its body breaks off or is too long",
    function()
      for _, body in ipairs { "{", ("x"):rep(100000) } do
        x.client = new()
        x:capture("a.b")
        local before = #x.requests
        local stats = x:settle(function(_, peer)
          peer:send("HTTP/1.1 400 Bad\r\nContent-Length: 200000\r\n\r\n"
            .. body)
          return "close"
        end)
        assert.equal(1, stats.rejected)
        assert.equal(before + 1, #x.requests)
      end
    end)
end)

describe("a kept-alive connection that dies", function()
  it("makes libcurl send the same event again, which is no failure",
    function()
      x.client = new(SLOW)
      for _, death in ipairs { "close", "reset" } do
        local first = #x.requests
        x:capture("kept")
        x:settle()
        x:capture("died")
        x:settle(h.sequence { { death } })
        assert.equal(first + 3, #x.requests)
        assert_same_event { x.requests[first + 2], x.requests[first + 3] }
        assert.is_nil(x.client:stats().last_error)
      end
      assert.equal(4, h.adds_up(x.client).delivered)
    end)
end)
