local exchange = require "spec.support.exchange"
local server = require "spec.support.server"
local slow = require "spec.support.slow"
local socket = require "socket"
local standin = require "dev.standin"
local wait = require "spec.support.wait"

local REJECTED = {
  400, 406, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 424, 426, 428,
  431, 451, 499,
}
local RETRIED = { 408, 500, 501, 502, 503, 504, 520, 599 }
local PAUSING = {
  300, 301, 302, 303, 304, 305, 307, 308,
  401, 402, 403, 404, 405, 407, 421, 423, 425, 429,
}

-- So slow that what comes sooner was not the sender's own next attempt.
local SLOW = { initial_retry_delay = 40, max_retry_delay = 40 }

local x

-- Of its troubles only the counts tell.
local function new(options)
  local all = { log_level = "off" }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return x:new(all)
end

before_each(function()
  x = exchange.open { log_level = "off" }
end)

after_each(function()
  x:close()
end)

-- The n-th attempt of the only event gets the n-th answer, and 200 follows.
local function deliver(answers)
  x:capture("a.b")
  return x:settle(exchange.sequence(answers))
end

local function assert_same_event(requests)
  for _, request in ipairs(requests) do
    assert.equal(requests[1].body, request.body)
    assert.equal(requests[1].path, request.path)
    assert.equal(requests[1].headers["idempotency-key"],
      request.headers["idempotency-key"])
  end
end

-- An event whose first attempt gets the answer is kept, and the endpoint
-- pauses or does not. Returns the number of requests that it took.
local function assert_kept(paused, answers)
  local before = #x.requests
  x.client = new(SLOW)
  x:capture("a.b")
  x:serve(exchange.sequence(answers), function()
    return x.client:stats().last_error
  end)
  assert.equal(paused, x:paused())
  assert.equal(1, exchange.adds_up(x.client).pending)
  return #x.requests - before
end

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
    x.client = new { timeout = 0.1, initial_retry_delay = 0.02 }
    local stats = deliver { { "hold" }, { "hold" } }
    assert.equal(1, stats.delivered)
    assert.equal(3, #x.requests)
    assert_same_event(x.requests)
  end)

  it("is kept while nobody listens", function()
    local gone = server.refusing()
    local client = exchange.client(gone.url,
      { max_age = 0.5, log_level = "off" })
    assert.is_true(client.events.capture { name = "a.b" })
    wait.until_(function() return client:stats().last_error end)
    assert.equal(0, client:stats().rejected)
    wait.until_(function()
      return exchange.adds_up(client).dropped_by.expired == 1
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
    x:settle(exchange.sequence(answers))
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
    x:settle(exchange.sequence { { 500 } })
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
    local stats = x:settle(exchange.sequence { { 200, header "false" } })
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

describe("the delay before the next attempt", function()
  -- Events, each of a client of its own, for a failure of one must not
  -- hold another. Returns the seconds between each one's two attempts.
  local function gaps(answers, options)
    local clients, times = {}, {}
    for i = 1, #answers do
      clients[i] = new(options)
      assert(clients[i].events.capture { name = "n" .. i })
      times[i] = {}
    end
    x:serve(function(request)
      local i = tonumber(exchange.body_of(request).name:match "%d+")
      table.insert(times[i], socket.gettime())
      if #times[i] == 1 then
        return answers[i][1], answers[i][2]
      end
      return exchange.ok()
    end, function()
      for i = 1, #answers do
        if #times[i] < 2 then
          return false
        end
      end
      return true
    end)
    for i = 1, #answers do
      clients[i]:close(0)
      times[i] = times[i][2] - times[i][1]
    end
    return times
  end

  local function http_date(time)
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", time)
  end

  it("is what retry-after-ms or retry-after asks for", function()
    local cases = {
      { 0.2, { ["Retry-After-Ms"] = "200" } },
      { 0.2, { ["Retry-After-Ms"] = "199.5" } },
      { 0.2, { ["Retry-After-Ms"] = "200", ["Retry-After"] = "50" } },
      { 0.3, { ["Retry-After"] = "0.3" } },
      { 0.3, { ["Retry-After"] = " .3 " } },
      { 1.0, { ["retry-after"] = "1" } },
      { 0.25, { ["Retry-After-Ms"] = "0", ["Retry-After"] = "0.25" } },
      { 0.25, { ["Retry-After-Ms"] = "junk", ["Retry-After"] = "0.25" } },
    }
    local answers = {}
    for _, status in ipairs { 500, 503, 408, 429, 401 } do
      for _, case in ipairs(cases) do
        answers[#answers + 1] = { status, case[2] }
      end
    end
    -- Without the header it would be thirty seconds.
    local found = gaps(answers, SLOW)
    for i, gap in ipairs(found) do
      local asked = cases[(i - 1) % #cases + 1][1]
      assert.is_true(gap >= asked - 0.001, i .. ": " .. gap)
    end
  end)

  it("is until an HTTP date, by the answer's own clock", function()
    local date = "Sun, 06 Nov 1994 08:49:37 GMT"
    local found = gaps({
      { 503, { Date = date,
        ["Retry-After"] = "Sun, 06 Nov 1994 08:49:38 GMT" } },
      { 503, { Date = date,
        ["Retry-After"] = "Sunday, 06-Nov-94 08:49:38 GMT" } },
      { 503, { Date = date, ["Retry-After"] = "Sun Nov  6 08:49:38 1994" } },
    }, SLOW)
    for i = 1, 3 do
      assert.is_true(found[i] >= 0.999 and found[i] < 6, i .. ": " .. found[i])
    end
  end)

  it("is until an HTTP date, by the wall clock without a date", function()
    local asked = os.time() + 2
    local found = gaps({
      { 500, { ["Retry-After"] = http_date(asked) } },
      { 500, { ["Retry-After"] = http_date(asked), Date = "yesterday" } },
    }, SLOW)
    assert.is_true(socket.gettime() >= asked - 0.01)
    assert.is_true(found[1] < 8 and found[2] < 8)
  end)

  it("is computed when no future within a minute is asked for", function()
    local answers = {}
    for _, value in ipairs {
      "", "0", "0.0", "-1", "60", "61", "3600", "1e1", "NaN", "nan", "inf",
      "Infinity", "0x10", "junk", "10 s", "10,5", "99999999999999999999",
      "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT",
      "Sun, 99 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 1994", ("9"):rep(2000),
    } do
      table.insert(answers, { 500, { ["Retry-After"] = value } })
    end
    for _, value in ipairs {
      "", "0", "-5", "60000", "1e4", "NaN", "junk", "999999999999999999999",
    } do
      table.insert(answers, { 500, { ["Retry-After-Ms"] = value } })
    end
    for i, gap in ipairs(gaps(answers)) do
      assert.is_true(gap >= 0.014, i .. ": " .. gap)
    end
  end)

  it("doubles up to max_retry_delay, less a quarter at most", function()
    x.client = new { initial_retry_delay = 0.05, max_retry_delay = 0.1 }
    local answers = {}
    for i = 1, 9 do
      answers[i] = { 500 }
    end
    deliver(answers)
    for i, least in ipairs { 0.037, 0.074, 0.074, 0.074 } do
      local gap = x.requests[i + 1].time - x.requests[i].time
      assert.is_true(gap >= least, i .. ": " .. gap)
    end
    -- Without the limit it would be 25 seconds.
    assert.is_true(x.requests[10].time - x.requests[1].time < 8)
  end)

  it("is never more than max_retry_delay", function()
    x.client = new { initial_retry_delay = 40, max_retry_delay = 0.05 }
    assert.equal(1, deliver({ { 500 }, { 500 }, { 401 } }).delivered)
  end)

  for _, status in ipairs { 429, 503 } do
    it("pauses the endpoint when a " .. status
      .. " asks for a minute to an hour", function()
      for asked, expected in pairs { ["60"] = 60, ["90.5"] = 90.5,
        ["3600"] = 3600 } do
        local client = new()
        client.events.capture { name = "a.b" }
        x:serve(exchange.sequence { { status, { ["Retry-After"] = asked } } },
          function() return client:stats().last_error end)
        local pause = client:stats().retry_at - socket.gettime()
        assert.is_true(pause > expected - 9 and pause <= expected + 0.01,
          asked .. ": " .. pause)
      end
    end)
  end

  it("is no long pause for another status, or above an hour", function()
    local answers = {
      { 429, { ["Retry-After"] = "3600.5" } },
      { 503, { ["Retry-After"] = "3601" } },
      { 500, { ["Retry-After"] = "60" } },
      { 401, { ["Retry-After"] = "600" } },
    }
    for i, gap in ipairs(gaps(answers)) do
      assert.is_true(gap < 8, i .. ": " .. gap)
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
    x.client = new { timeout = 0.2 }
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
        x:settle(exchange.sequence { { death } })
        assert.equal(first + 3, #x.requests)
        assert_same_event { x.requests[first + 2], x.requests[first + 3] }
        assert.is_nil(x.client:stats().last_error)
      end
      assert.equal(4, exchange.adds_up(x.client).delivered)
    end)
end)

describe("a redirect", function()
  local function location(url)
    return { Location = url }
  end

  for _, status in ipairs { 307, 308 } do
    it(status .. " to the same origin is followed with the body", function()
      for _, to in ipairs { "/other/capture?a=1", x.url .. "/other/capture",
        "other/capture", "//127.0.0.1:" .. x.server.port .. "/x" } do
        x.client = new(SLOW)
        local before = #x.requests
        x:capture("a.b", { n = 1 })
        local stats = x:settle(exchange.sequence {
          { status, location(to) },
        })
        assert.equal(1, stats.delivered)
        assert.equal(before + 2, #x.requests)
        local first, second = x.requests[before + 1], x.requests[before + 2]
        assert.equal("POST", second.method)
        assert.equal("/" .. to:gsub("^[htp:]*//[^/]*", ""):gsub("^/", ""),
          second.target)
        assert.equal(first.body, second.body)
        assert.same(first.order, second.order)
      end
    end)
  end

  it("may be followed by others, ten in all", function()
    local function hops(count)
      local answers = {}
      for i = 1, count do
        answers[i] = { 307, location("/hop" .. i) }
      end
      return answers
    end
    assert.equal(1, deliver(hops(10)).delivered)
    assert.equal(11, #x.requests)
    assert.equal("/hop10", x.requests[11].path)
    assert.equal(11, assert_kept(true, hops(11)))
  end)

  it("begins at the base URL again in the next attempt", function()
    deliver { { 307, location "/other" }, { 500 } }
    assert.same({ "/capture", "/other", "/capture" }, {
      x.requests[1].path, x.requests[2].path, x.requests[3].path,
    })
    assert_same_event { x.requests[1], x.requests[3] }
  end)

  for _, status in ipairs { 301, 302, 303 } do
    it(status .. " is not followed: the endpoint backs off", function()
      local answer = { status, location "/other" }
      assert.equal(1, deliver({ answer }).delivered)
      assert.equal(2, #x.requests)
      assert_same_event(x.requests)
      assert.equal(1, assert_kept(true, { answer }))
    end)
  end

  it("to another origin is not followed: the key stays", function()
    local other = server.new()
    local authority = "127.0.0.1:" .. other.port
    for _, to in ipairs {
      other.url .. "/capture", "//" .. authority .. "/capture",
      "http://localhost:" .. other.port .. "/capture",
      "http://localhost:" .. x.server.port .. "/capture",
      "https://127.0.0.1:" .. x.server.port .. "/capture",
      "https://" .. authority .. "/capture",
      "http://a:b@127.0.0.1:" .. x.server.port .. "/capture",
      "http://127.0.0.1:" .. x.server.port .. "@" .. authority .. "/",
      "http:\\\\" .. authority .. "/", "http:///" .. authority,
      "ftp://" .. authority .. "/", "file:///etc/passwd", "//", "http://",
      "http://127.0.0.1:99999/",
    } do
      for _, status in ipairs { 307, 308 } do
        assert.equal(1, assert_kept(true, { { status, location(to) } }), to)
      end
    end
    assert.is_nil((other:accept(0)))
    other:close()
  end)
end)

describe("a waited-for request", function()
  local api, client

  setup(function()
    api = standin.start()
  end)

  teardown(function()
    api:stop()
  end)

  -- Sends one event, and returns what it was given and the number of
  -- requests that it took.
  local function send(behaviour, options)
    local key = exchange.key()
    api:reset()
    api:config { key = key, fail_status = false, fail_count = false,
      fail_headers = false }
    api:config(behaviour)
    options = options or {}
    options.api_key, options.log_level = key, "off"
    client = exchange.client(api.url, options)
    local response, message, err = client.events.capture({ name = "a.b" },
      { wait = true })
    return { response = response, message = message, err = err },
      api:status().requests
  end

  local function assert_error(status, result)
    assert.is_nil(result.response)
    assert.equal(status .. " ", result.message:match "^%d+ ")
    assert.equal(status, result.err.status)
    local stats = exchange.adds_up(client)
    assert.equal(1, stats.rejected)
    assert.equal(0, stats.pending)
  end

  it("is answered by a 2xx", function()
    local result, requests = send {}
    assert.same({ success = true }, result.response)
    assert.equal(1, requests)
    assert.equal(1, exchange.adds_up(client).delivered)
  end)

  for _, statuses in ipairs { REJECTED, PAUSING } do
    for _, status in ipairs(statuses) do
      if status ~= 429 and status ~= 304 then
        it("ends at once with " .. status, function()
          local result, requests = send { fail_status = status }
          assert_error(status, result)
          assert.equal(1, requests)
          assert.is_nil(client:stats().retry_at)
        end)
      end
    end
  end

  for _, status in ipairs { 408, 409, 429, 500, 502, 503, 599 } do
    it("is retried max_retries times after " .. status, function()
      for retries = 0, 2 do
        local result, requests = send({ fail_status = status },
          { max_retries = retries })
        assert_error(status, result)
        assert.equal(retries + 1, requests)
      end
      local result, requests = send { fail_status = status, fail_count = 2 }
      assert.same({ success = true }, result.response)
      assert.equal(3, requests)
    end)
  end

  it("is retried when x-should-retry says true", function()
    for _, status in ipairs { 400, 401, 422 } do
      local result, requests = send {
        fail_status = status, fail_headers = { ["X-Should-Retry"] = "true" },
      }
      assert_error(status, result)
      assert.equal(3, requests)
    end
  end)

  it("is not retried when x-should-retry says false", function()
    for _, status in ipairs { 408, 409, 429, 500 } do
      local result, requests = send {
        fail_status = status, fail_headers = { ["X-Should-Retry"] = "false" },
      }
      assert_error(status, result)
      assert.equal(1, requests)
    end
  end)

  it("waits as the server asks before it is retried", function()
    for name, value in pairs {
      ["Retry-After-Ms"] = "200", ["Retry-After"] = "0.2",
    } do
      local before = socket.gettime()
      local result = send({
        fail_status = 503, fail_count = 1, fail_headers = { [name] = value },
      }, SLOW)
      assert.same({ success = true }, result.response)
      assert.is_true(socket.gettime() - before >= 0.2)
      assert.is_true(socket.gettime() - before < 8 * slow)
    end
  end)

  it("takes no long pause, and retries as computed", function()
    for _, value in ipairs { "0", "60", "3600", "junk", "-1" } do
      local result = send {
        fail_status = 429, fail_count = 1,
        fail_headers = { ["Retry-After"] = value },
      }
      assert.same({ success = true }, result.response)
    end
  end)

  it("is retried when nobody listens", function()
    local gone = server.refusing()
    local lost = exchange.client(gone.url,
      { initial_retry_delay = 0.1, log_level = "off" })
    for retries = 0, 2 do
      local before = socket.gettime()
      local response, _, err = lost.events.capture({ name = "a.b" },
        { wait = true, max_retries = retries })
      assert.is_nil(response)
      assert.equal("APIConnectionError", err.name)
      assert.is_true(socket.gettime() - before >= 0.074 * retries)
    end
    assert.equal(3, exchange.adds_up(lost).rejected)
  end)

  it("is retried when there is no answer in time", function()
    local silent = exchange.open { timeout = 0.1, max_retries = 2 }
    local response, _, err = silent.client.events.capture({ name = "a.b" },
      { wait = true })
    assert.is_nil(response)
    assert.equal("APITimeoutError", err.name)
    silent:serve_requests(3)
    assert_same_event(silent.requests)
    assert.equal(3, #silent.requests)
    assert.equal(1, exchange.adds_up(silent.client).rejected)
    silent:close()
  end)

  it("has the same body and Idempotency-Key in every attempt", function()
    x:child({
      code = [[
        local client = require "seerstack".new {
          initial_retry_delay = 0.02, max_retries = 5,
        }
        assert(client.events.capture({ name = "a.b" }, { wait = true }))
      ]],
    }, exchange.sequence {
      { 500 }, { "close" }, { 429 }, { "reset" }, { 409 },
    })
    assert.equal(6, #x.requests)
    assert_same_event(x.requests)
  end)

  local REDIRECTED = [[
    local client = require "seerstack".new()
    local response, message, err = client.events.capture(
      { name = "a.b" }, { wait = true })
    print(response and "response" or message, err and err.name)
  ]]

  -- Redirects a program's request; returns what it had to say, and what came.
  local function redirect(status, to)
    local before = #x.requests
    local result = x:child({ code = REDIRECTED },
      exchange.sequence { { status, { Location = to } } })
    return result.stdout, x.requests[before + 1], x.requests[before + 2]
  end

  it("follows 307 and 308 with its body, 301 to 303 with a GET", function()
    for status, method in pairs {
      [301] = "GET", [302] = "GET", [303] = "GET", [307] = "POST",
      [308] = "POST",
    } do
      local printed, first, second = redirect(status, "/x")
      assert.equal("response\tnil\n", printed)
      assert.equal("POST", first.method)
      assert.equal("/x", second.target)
      assert.equal(method, second.method)
      assert.equal(method == "POST" and first.body or "", second.body)
      assert.equal("Bearer " .. x.key, second.headers.authorization)
    end
  end)

  it("ends with a redirect that leads nowhere", function()
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      local printed, _, second = redirect(status, nil)
      assert.equal(status .. " redirect without a location\tAPIStatusError\n",
        printed)
      assert.is_nil(second)
      printed, _, second = redirect(status, "ftp://127.0.0.1/x")
      assert.equal(status .. " redirect to what is no http or https URL\t"
        .. "APIStatusError\n", printed)
      assert.is_nil(second)
    end
  end)
end)
