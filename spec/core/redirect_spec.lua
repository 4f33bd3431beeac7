-- Which redirects are followed, and how far; of queued events, too. What
-- goes where is in http_request_spec.lua.

local h = require "spec.helper"

local location = h.location

local ALL = { 301, 302, 303, 307, 308 }
local EVENT = { name = "a.b", timestamp = "2025-01-04T12:00:00Z" }

local x = h.exchange { max_retries = 0 }
local other = h.each_server()

-- What becomes of a waited-for event, and the requests that it took.
local function send(handler, options)
  local before = #x.requests
  options = options or {}
  options.future = true
  local future = assert(x.client.events.capture(EVENT, options))
  x:serve(handler, function() return future:done() end)
  local requests = {}
  for i = before + 1, #x.requests do
    requests[#requests + 1] = x.requests[i]
  end
  return requests, future:get(0)
end

-- An event that is redirected thus ends with an error at once.
local function refused(status, headers, body)
  local requests, response, message, err =
    send(h.sequence { { status, headers, body } })
  local what = status .. " " .. tostring((headers or {}).Location)
  assert.is_nil(response, what)
  assert.equal(1, #requests, what)
  assert.equal("APIStatusError", err.name, what)
  assert.equal(status, err.status, what)
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
  assert.equal("/capture", err.path)
  return message, err
end

-- Where an event goes that is redirected thus from `base`.
local function target(base, to)
  x:use {
    api_key = x.key, base_url = x.url .. base, max_retries = 0,
  }
  local requests, response = send(h.sequence { { 307, location(to) } })
  assert.is_table(response, to)
  assert.equal(2, #requests, to)
  return requests[2].target, requests[2]
end

local function hops(count, status)
  local answers = {}
  for i = 1, count do
    answers[i] = { status, location("/hop" .. i) }
  end
  return answers
end

describe("redirects", function()
  for _, status in ipairs { 302, 307 } do
    it("are followed ten times: " .. status, function()
      local requests, response = send(h.sequence(hops(10, status)))
      assert.same({ success = true }, response)
      assert.equal(11, #requests)
      assert.equal("/hop10", requests[11].target)
      local key = requests[1].headers["idempotency-key"]
      for _, request in ipairs(requests) do
        assert.equal(key, request.headers["idempotency-key"])
      end
    end)

    it("are refused the eleventh time: " .. status, function()
      local requests, response, message, err =
        send(h.sequence(hops(11, status)))
      assert.is_nil(response)
      assert.equal(11, #requests)
      assert.equal("/hop10", requests[11].target)
      assert.matches("^" .. status .. " .*too many redirects$", message)
      assert.equal("APIStatusError", err.name)
      assert.equal(status, err.status)
      assert.equal("/hop11", err.headers.location)
      assert.equal(1, h.adds_up(x.client).rejected)
    end)
  end

  it("are counted whatever their origin and status", function()
    local number = 0
    local function bounce(to)
      return function()
        number = number + 1
        return ALL[number % #ALL + 1], location(to .. "/" .. number)
      end
    end
    local future = x.client.events.capture(EVENT, { future = true })
    x:serve(bounce(other.url), function()
      other:serve {
        handler = bounce(x.url), until_ = function() return true end,
      }
      return future:done()
    end)
    local response, _, err = future:get(0)
    assert.is_nil(response)
    assert.equal("APIStatusError", err.name)
    assert.equal(6, #x.requests)
    assert.equal(5, #other.requests)
  end)

  it("in a loop come to an end, and are not retried", function()
    for _, status in ipairs(ALL) do
      local requests, response, _, err = send(function()
        return status, location "/capture"
      end, { max_retries = 2 })
      assert.is_nil(response)
      assert.equal("APIStatusError", err.name)
      assert.equal(11, #requests)
    end
  end)

  it("are counted anew in the next attempt", function()
    local answers = hops(10, 307)
    answers[11] = { 500 }
    for i, answer in ipairs(hops(10, 307)) do
      answers[11 + i] = answer
    end
    local requests, response = send(h.sequence(answers),
      { max_retries = 1 })
    assert.is_table(response)
    assert.equal(22, #requests)
    assert.equal("/capture", requests[12].target)
  end)

  it("share the timeout of the attempt", function()
    local requests, response, _, err = send(function()
      return "delay", 0.2, 307, location "/on"
    end, { timeout = 0.7 })
    assert.is_nil(response)
    assert.equal("APITimeoutError", err.name)
    assert.is_nil(err.status)
    assert.is_nil(err.headers)
    assert.is_nil(err.body)
    assert.is_true(#requests >= 1 and #requests < 6, #requests)
  end)
end)

describe("a Location", function()
  it("is taken relative to the request", function()
    for to, expected in pairs {
      ["/x"] = "/x", ["x"] = "/p/x", ["../x/y"] = "/x/y", ["./x"] = "/p/x",
      ["/a/../../x"] = "/x", ["?q=1&r"] = "/p/capture?q=1&r",
      ["x?q=/../y"] = "/p/x?q=/../y", ["/x#fragment"] = "/x",
      ["//127.0.0.1:" .. x.server.port .. "/x"] = "/x",
      [x.url] = "/", [x.url .. "?q=1"] = "/?q=1", [" \t/x \t"] = "/x",
    } do
      local got, request = target("/p/", to)
      assert.equal(expected, got, to)
      assert.equal("Bearer " .. x.key, request.headers.authorization, to)
    end
  end)

  it("is taken relative to the redirect before", function()
    local requests = send(h.sequence {
      { 307, location "/a/b/c" }, { 302, location "d" },
      { 307, location "?q=1" },
    })
    assert.equal("/a/b/d", requests[3].target)
    assert.equal("/a/b/d?q=1", requests[4].target)
  end)

  it("without a scheme may name another origin", function()
    local _, request = target("/p/", "//localhost:" .. x.server.port .. "/x")
    assert.equal("/x", request.target)
    assert.is_nil(request.headers.authorization)
  end)

  it("takes no query over", function()
    local requests = send(h.sequence { { 307, location "/x" } },
      { query = { a = "b" } })
    assert.equal("/capture?a=b", requests[1].target)
    assert.equal("/x", requests[2].target)
  end)

  it("stays one URL, whatever its bytes", function()
    assert.equal("/a%20b", target("", "/a b"))
    assert.equal("/%c3%a4?%c3%b6", target("", "/\195\164?\195\182"):lower())
    assert.equal("/a%0D%0AX-A:%20b", target("", "/a%0D%0AX-A:%20b"))
    -- libcurl 7 refuses control characters, 8 escapes them.
    for to, escaped in pairs {
      ["/a\tb"] = "/a%09b", ["/a\1b"] = "/a%01b", ["/a\127b"] = "/a%7fb",
    } do
      if h.libcurl() < 8 then
        refused(307, location(to))
      else
        assert.equal(escaped, target("", to):lower())
      end
    end
  end)

  it("may be long", function()
    local long = "/" .. ("x"):rep(3000)
    assert.equal(long, target("", long))
  end)

  it("may be missing or far too long: an error", function()
    for _, status in ipairs(ALL) do
      assert.matches("location", (refused(status, nil, "moved")))
      for _, length in ipairs { 5000, 20000 } do
        refused(status, location("/" .. ("x"):rep(length)))
      end
    end
  end)

  it("that is empty, or a fragment alone, leads nowhere: an error",
    function()
      for _, to in ipairs { "", "#here" } do
        refused(307, location(to))
      end
    end)

  it("with user information is refused", function()
    local authority = "127.0.0.1:" .. x.server.port
    for _, to in ipairs {
      "http://user:pass@" .. authority .. "/", "//user@" .. authority .. "/",
      "http://" .. authority .. "@127.0.0.1:" .. other.port .. "/",
      "//" .. authority .. "@127.0.0.1:" .. other.port .. "/",
    } do
      for _, status in ipairs { 302, 307 } do
        refused(status, location(to))
      end
    end
    assert.is_nil((other:accept(0)))
  end)

  it("with another scheme, or without a host, is refused", function()
    local authority = "127.0.0.1:" .. other.port
    for _, to in ipairs {
      "file:///etc/passwd", "file://" .. authority .. "/etc/passwd",
      "ftp://" .. authority .. "/", "gopher://" .. authority .. "/_POST",
      "dict://" .. authority .. "/", "ws://" .. authority .. "/",
      "javascript:alert(1)", "data:text/plain,x", "mailto:a@b.example",
      "//", "http://", "https://", "http:", "http://[::1",
      "http://127.0.0.1:99999/", "http:\\\\" .. authority .. "/",
    } do
      local message, err = refused(302, location(to), "the body")
      assert.matches("^302 redirect ", message)
      assert.equal("the body", err.body)
      refused(307, location(to))
    end
    assert.is_nil((other:accept(0)))
  end)
end)

describe("what is no redirect, or none that is followed,", function()
  it("is an error like any other: 300, 304, 305, 306", function()
    for _, status in ipairs { 300, 305, 306 } do
      for _, to in ipairs { "/x", other.url } do
        assert.equal(status .. " no",
          (refused(status, location(to), '{"error":"no"}')))
      end
    end
    assert.equal("304 status code (no body)",
      (refused(304, { Location = other.url, ["Content-Length"] = 0 })))
    assert.is_nil((other:accept(0)))
  end)

  it("is no success, though its body says so", function()
    local body = '{"success":true}'
    for _, status in ipairs { 300, 301, 302, 303, 307, 308 } do
      local _, err = refused(status, nil, body)
      assert.same({ success = true }, err.body)
      refused(status, location "file:///etc/passwd", body)
    end
    h.assert_counts(x.client, { delivered = 0, rejected = 12 })
  end)

  it("is a 2xx or a 4xx with a Location", function()
    local requests, response = send(h.sequence {
      { 201, location "/x", '{"success":true}' },
    })
    assert.same({ success = true }, response)
    assert.equal(1, #requests)
    local _, _, message = send(h.sequence {
      { 404, location "/x", '{"error":"no"}' },
    })
    assert.equal("404 no", message)
    assert.equal(2, #x.requests)
  end)
end)

describe("a queued event", function()
  it("follows 307 and 308 to the same origin, with all its headers",
    function()
      x.client:post("/p", { 1 }, {
        headers = { ["X-Mine"] = "mine" }, idempotency_key = "idem-1",
      })
      local stats = x:settle(h.sequence {
        { 307, location "/a" }, { 308, location(x.url .. "/b") },
      })
      assert.equal(1, stats.delivered)
      assert.equal(3, #x.requests)
      for i, expected in ipairs { "/p", "/a", "/b" } do
        local request = x.requests[i]
        assert.equal(expected, request.target)
        assert.equal("POST", request.method)
        assert.equal("[1]", request.body)
        assert.equal("mine", request.headers["x-mine"])
        assert.equal("idem-1", request.headers["idempotency-key"])
        assert.equal("Bearer " .. x.key, request.headers.authorization)
      end
    end)

  local function assert_kept(answer)
    local before = #x.requests
    x:use { max_in_flight = 1 }
    x:capture("a.b")
    x:serve(function() return h.answer(answer) end, function()
      return #x.requests >= before + 3
    end)
    assert.matches("^" .. answer[1] .. " ", x.client:stats().last_error)
    assert.equal(1, h.adds_up(x.client).pending)
    for i = before + 1, #x.requests do
      assert.equal("POST", x.requests[i].method)
      assert.equal("/capture", x.requests[i].target)
      assert.equal(x.requests[before + 1].body, x.requests[i].body)
    end
    local stats = x:settle()
    assert.equal(1, stats.delivered)
    assert.equal(0, stats.rejected)
    assert.is_nil((other:accept(0)))
  end

  for _, status in ipairs { 301, 302, 303 } do
    it("is kept by a " .. status .. ", and delivered when that has stopped",
      function()
        for _, to in ipairs { "/x", other.url } do
          assert_kept { status, location(to), '{"success":true}' }
        end
      end)
  end

  for _, status in ipairs { 307, 308 } do
    it("is kept by a " .. status .. " that is not followed", function()
      for _, to in ipairs {
        other.url, "http://localhost:" .. x.server.port .. "/x",
        "file:///etc/passwd", "http://u:p@127.0.0.1:" .. x.server.port,
      } do
        assert_kept { status, location(to) }
      end
      assert_kept { status }
    end)
  end

  it("has failed once when there is no answer where it was sent to",
    function()
      x:use {
        initial_retry_delay = 40, max_retry_delay = 40,
      }
      x:capture("a.b")
      x:serve(h.sequence {
        { 307, location "/gone" }, { "close" }, { "close" },
      }, function() return x.client:stats().last_error end)
      assert.is_nil(x.client:stats().last_error:match "^307")
      assert.equal(1, h.adds_up(x.client).pending)
      assert.is_false(x:paused())
    end)

  it("is told of once", function()
    local result = x:child({ code = [[
      local client = seerstack.new {
        max_in_flight = 2, initial_retry_delay = 0.01, max_retry_delay = 0.02,
      }
      for i = 1, 5 do
        client.events.capture { name = "n" .. i }
      end
      assert(client:flush(20))
      assert(client:stats().delivered == 5)
    ]] }, function()
      if #x.requests <= 10 then
        return 307, location(other.url)
      end
      return h.ok()
    end)
    local _, lines = result.stderr:gsub("\n", "")
    assert.equal(1, lines, result.stderr)
    assert.matches("^seerstack: warn: refused by " .. x.url .. ": 307 ",
      result.stderr)
    assert.is_nil((other:accept(0)))
  end)
end)
