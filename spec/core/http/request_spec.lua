-- Redirects of waited-for requests: what goes where. Which are followed at
-- all is in redirect_spec.lua, what TLS has to do with it in
-- redirect_tls_spec.lua.

local h = require "spec.helper"

local location = h.location

local EVENT = { name = "a.b", timestamp = "2025-01-04T12:00:00Z" }
local SECRETS = {
  "authorization", "cookie", "proxy-authorization", "x-of-client",
  "x-of-request", "accept-language",
}

local x = h.exchange {
  log_level = "off",
  headers = {
    Cookie = "session=of-client", ["X-Of-Client"] = "of-client",
    ["User-Agent"] = "of-client", ["Accept-Language"] = "of-client",
  },
}
local other = h.each_server()

local OF_REQUEST = {
  future = true, max_retries = 0, idempotency_key = "idem-1",
  headers = {
    ["X-Of-Request"] = "of-request", ["Content-Language"] = "of-request",
    ["Proxy-Authorization"] = "Basic of-request",
  },
}

-- Serves both origins, each with the answers of its list and 200 from then
-- on, until the future is done, and returns what it gives.
local function settle(future, first, second)
  local handler = h.sequence(second or {})
  return x:get(future, h.sequence(first), function()
    other:serve { handler = handler, until_ = function() return true end }
  end)
end

-- Sends an event with headers of its own; raises unless it succeeds.
local function send(first, second, options)
  local future = assert(x.client.events.capture(EVENT,
    h.merge(OF_REQUEST, options)))
  local response, http = assert(settle(future, first, second))
  assert.same({ success = true }, response)
  assert.equal(200, http.status)
  return http
end

local function names_of(request)
  local names = {}
  for name in pairs(request.headers) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function assert_post(first, request)
  assert.equal("POST", request.method)
  assert.is_true(#first.body > 0)
  assert.equal(first.body, request.body)
  assert.equal(first.headers["content-type"], request.headers["content-type"])
end

local function assert_get(request)
  assert.equal("GET", request.method)
  assert.equal("", request.body)
  for name in pairs(request.headers) do
    assert.is_nil(name:match "^content%-", name)
  end
  assert.is_nil(request.headers["transfer-encoding"])
end

-- What a request brings that has kept its origin, and the one before had.
local function assert_trusted(first, request)
  assert.equal("Bearer " .. x.key, request.headers.authorization)
  assert.equal("session=of-client", request.headers.cookie)
  assert.equal("of-client", request.headers["x-of-client"])
  assert.equal("of-client", request.headers["user-agent"])
  assert.equal("of-request", request.headers["x-of-request"])
  assert.equal("Basic of-request", request.headers["proxy-authorization"])
  assert.equal(first.headers["idempotency-key"],
    request.headers["idempotency-key"])
end

-- Nothing of the caller's but the body and the Idempotency-Key.
local function assert_stranger(first, request)
  for _, name in ipairs(SECRETS) do
    assert.is_nil(request.headers[name], name)
  end
  assert.is_nil(request.head:find(x.key, 1, true))
  assert.is_nil(request.head:find("of-client", 1, true))
  assert.is_nil(request.head:find("of-request", 1, true))
  assert.equal("idem-1", first.headers["idempotency-key"])
  assert.equal("idem-1", request.headers["idempotency-key"])
  assert.equal("application/json", request.headers.accept)
  assert.matches("^Seerstack/Lua ", request.headers["user-agent"])
end

describe("a redirect to the same origin", function()
  for _, status in ipairs { 307, 308 } do
    it(status .. " keeps method, body and all headers", function()
      send { { status, location "/other" } }
      local first, second = x.requests[1], x.requests[2]
      assert.equal(2, #x.requests)
      assert.equal("/other", second.target)
      assert_post(first, second)
      assert_trusted(first, second)
      assert.equal("of-request", second.headers["content-language"])
      assert.same(first.order, second.order)
    end)
  end

  for _, status in ipairs { 301, 302, 303 } do
    it(status .. " becomes a GET without a body, and keeps the other headers",
      function()
        send { { status, location "/other" } }
        local first, second = x.requests[1], x.requests[2]
        assert.equal(2, #x.requests)
        assert.equal("/other", second.target)
        assert.equal("POST", first.method)
        assert.equal("of-request", first.headers["content-language"])
        assert_get(second)
        assert_trusted(first, second)
      end)
  end

  it("is followed by identify and post, with a query and without a body",
    function()
      local client, redirect = x.client, { { 307, location "/to?c=3" } }
      settle(assert(client.users.identify({ user_id = "u" },
        h.merge(OF_REQUEST))), redirect)
      settle(assert(client:post("/p?a=1", { 1, 2 },
        h.merge(OF_REQUEST, { query = { b = 2 } }))), redirect)
      settle(assert(client:post("/none", nil, h.merge(OF_REQUEST))), redirect)
      local targets = {}
      for i, request in ipairs(x.requests) do
        targets[i] = request.method .. " " .. request.target .. " "
          .. request.body
        assert_trusted(x.requests[1], request)
      end
      assert.same({
        'POST /identify {"user_id":"u"}', 'POST /to?c=3 {"user_id":"u"}',
        "POST /p?a=1&b=2 [1,2]", "POST /to?c=3 [1,2]", "POST /none ",
        "POST /to?c=3 ",
      }, targets)
      assert.equal("0", x.requests[6].headers["content-length"])
    end)

  it("gives the last answer, and counts one event", function()
    local http = send {
      { 302, { Location = "/a", ["X-Hop"] = "1", ["Set-Cookie"] = "a=b" },
        '{"success":false}' },
      { 200, { ["X-Last"] = "yes" }, '{"success":true}' },
    }
    assert.equal("session=of-client", x.requests[2].headers.cookie)
    assert.equal("yes", http.headers["x-last"])
    assert.is_nil(http.headers["x-hop"])
    assert.is_nil(http.headers.location)
    h.assert_counts(x.client, { accepted = 1, delivered = 1 })
  end)

  it("gives the last answer's error, with the path that was asked for",
    function()
      local future = x.client.events.capture(EVENT, h.merge(OF_REQUEST))
      local err = h.assert_error("UnprocessableEntityError", "422 no",
        settle(future, {
          { 307, location "/other" }, { 422, nil, '{"error":"no"}' },
        }))
      assert.equal("/capture", err.path)
      assert.equal(1, h.adds_up(x.client).rejected)
    end)

  it("stays a GET when a 307 follows, and a POST until then", function()
    send {
      { 308, location "/1" }, { 302, location "/2" }, { 307, location "/3" },
      { 308, location "/4" },
    }
    assert.equal(5, #x.requests)
    assert_post(x.requests[1], x.requests[2])
    for i = 3, 5 do
      assert_get(x.requests[i])
      assert_trusted(x.requests[1], x.requests[i])
    end
  end)

  it("leaves nothing to the next request", function()
    send({ { 302, location(other.url) } }, {})
    assert.equal("GET", other.requests[1].method)
    send {}
    assert_post(x.requests[1], x.requests[2])
    assert_trusted(x.requests[1], x.requests[2])
    assert.equal("/capture", x.requests[2].target)
  end)

  it("is forgotten by the next attempt", function()
    send({ { 302, location(other.url .. "/b") } }, { { 500 } },
      { max_retries = 1 })
    assert.same({ "POST", "POST" },
      { x.requests[1].method, x.requests[2].method })
    assert.equal("/capture", x.requests[2].target)
    assert.equal(1, #other.requests)
    assert_post(x.requests[1], x.requests[2])
    assert_trusted(x.requests[1], x.requests[2])
  end)

  it("is followed by who waits as by who has a future", function()
    local code = [[
      local client = seerstack.new { max_retries = 0 }
      local options = { wait = %s, future = %s }
      local result, http, err = client.events.capture({ name = "a" }, options)
      if options.future then
        result, http, err = result:get()
      end
      print(result.success, http.status, err)
    ]]
    for _, how in ipairs { { "true", "nil" }, { "nil", "true" } } do
      local before = #x.requests
      local child = x:child({ code = code:format(how[1], how[2]) },
        h.sequence { { 308, location "/1" }, { 303, location "/2" } })
      assert.equal("true\t200\tnil\n", child.stdout)
      local methods = {}
      for i = before + 1, #x.requests do
        methods[#methods + 1] = x.requests[i].method
      end
      assert.same({ "POST", "POST", "GET" }, methods)
    end
  end)
end)

describe("a redirect to another origin", function()
  for _, status in ipairs { 307, 308 } do
    it(status .. " keeps method and body, not the key nor any header given",
      function()
        send { { status, location(other.url .. "/to?q=1") } }
        local first, second = x.requests[1], other.requests[1]
        assert.equal(1, #x.requests)
        assert.equal(1, #other.requests)
        assert.equal("/to?q=1", second.target)
        assert.equal("127.0.0.1:" .. other.port, second.headers.host)
        assert_post(first, second)
        assert_stranger(first, second)
        assert.same({
          "accept", "content-length", "content-type", "host",
          "idempotency-key", "user-agent",
        }, names_of(second))
      end)
  end

  for _, status in ipairs { 301, 302, 303 } do
    it(status .. " becomes a GET without the key or any header given",
      function()
        send { { status, location(other.url .. "/to") } }
        local first, second = x.requests[1], other.requests[1]
        assert.equal(1, #other.requests)
        assert_get(second)
        assert_stranger(first, second)
        assert.same({ "accept", "host", "idempotency-key", "user-agent" },
          names_of(second))
      end)
  end

  it("is one to localhost from 127.0.0.1, on the same port", function()
    send { { 307, location("http://localhost:" .. x.server.port .. "/to") } }
    assert.equal(2, #x.requests)
    assert.equal("localhost:" .. x.server.port, x.requests[2].headers.host)
    assert_post(x.requests[1], x.requests[2])
    assert_stranger(x.requests[1], x.requests[2])
  end)

  it("is none when only the case of scheme and host differs", function()
    x.client, x.key = h.client("http://localhost:" .. x.server.port)
    local future = x.client.events.capture(EVENT, { future = true })
    assert.is_table((settle(future, {
      { 307, location("HTTP://LocalHost:" .. x.server.port .. "/to") },
    })))
    assert.equal("/to", x.requests[2].target)
    assert.equal("Bearer " .. x.key, x.requests[2].headers.authorization)
  end)

  it("does not give the key back to the first origin", function()
    for _, status in ipairs { 307, 302 } do
      local before, there = #x.requests, #other.requests
      send({ { status, location(other.url) }, { 307, location "/again" } },
        { { status, location(x.url .. "/back") } })
      local first = x.requests[before + 1]
      assert.equal(before + 3, #x.requests)
      assert.equal("/back", x.requests[before + 2].target)
      assert.equal("/again", x.requests[before + 3].target)
      assert_stranger(first, x.requests[before + 2])
      assert_stranger(first, x.requests[before + 3])
      assert_stranger(first, other.requests[there + 1])
    end
  end)

  it("does not bring the key when it stays at the other one", function()
    send({ { 308, location(other.url) } },
      { { 308, location "/second" }, { 307, location(other.url .. "/3") } })
    assert.equal(3, #other.requests)
    for _, request in ipairs(other.requests) do
      assert_post(x.requests[1], request)
      assert_stranger(x.requests[1], request)
    end
  end)

  it("brings no key when nobody listens there", function()
    other:close_listener()
    local future = x.client.events.capture(EVENT,
      h.merge(OF_REQUEST, { max_retries = 1 }))
    local _, _, err = settle(future, {
      { 307, location(other.url) }, { 307, location(other.url) },
    })
    assert.equal("APIConnectionError", err.name)
    assert.is_nil(err.status)
    assert.equal(2, #x.requests)
    assert_trusted(x.requests[1], x.requests[2])
  end)
end)
