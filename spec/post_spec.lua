local h = require "spec.helper"
local seerstack = require "seerstack"

-- So slow that what comes sooner was not the sender's own next attempt.
local SLOW = {
  initial_retry_delay = 40, max_retry_delay = 40, log_level = "off",
}

local assert_error = h.assert_error_like
local x = h.exchange()

local function post(...)
  return assert(x.client:post(...))
end

local function serve_until_done(future, handler)
  return x:get(future, handler)
end

-- The only request that has come.
local function only_request()
  assert.equal(1, #x.requests)
  return x.requests[1]
end

describe("client:post", function()
  it("returns true and sends the body to the path", function()
    assert.same({ true }, {
      x.client:post("/some/path", { any = { "thing" } }),
    })
    assert.equal(1, x:settle().delivered)
    local request = only_request()
    assert.equal("POST", request.method)
    assert.equal("/some/path", request.target)
    assert.equal('{"any":["thing"]}', request.body)
    assert.equal("Bearer " .. x.key, request.headers.authorization)
    assert.equal("application/json", request.headers["content-type"])
    assert.equal("application/json", request.headers.accept)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$",
      request.headers["idempotency-key"])
  end)

  it("adds nothing to the body, and demands nothing of it", function()
    for _, case in ipairs {
      { {}, "{}" },
      { seerstack.array {}, "[]" },
      { { 1, "two", { three = 3 } }, '[1,"two",{"three":3}]' },
      { { user_id = 5 }, '{"user_id":5}' },
      { { name = "" }, '{"name":""}' },
      { { data = 5 }, '{"data":5}' },
      { { timestamp = 0 }, '{"timestamp":0}' },
      { { n = seerstack.null }, '{"n":null}' },
      { { n = 2 ^ 53 }, '{"n":9007199254740992}' },
    } do
      local before = #x.requests
      post("/x", case[1])
      x:settle()
      assert.equal(before + 1, #x.requests)
      assert.equal(case[2], x.requests[before + 1].body)
    end
  end)

  it("sends no body without one", function()
    post("/one")
    post("/two", nil)
    post("/three", nil, { headers = { ["X-A"] = "b" } })
    post("/four", nil, { future = true })
    assert.equal(4, x:settle().delivered)
    assert.equal(4, #x.requests)
    for _, request in ipairs(x.requests) do
      assert.equal("POST", request.method)
      assert.equal("0", request.headers["content-length"])
      assert.equal("", request.body)
      assert.is_nil(request.headers["transfer-encoding"])
      assert.is_nil(request.headers.expect)
    end
  end)

  it("mixes bodies and none on a connection", function()
    x:use { max_in_flight = 1 }
    for i = 1, 6 do
      post("/" .. i, i % 2 == 0 and { i = i } or nil)
    end
    x:settle()
    for i, request in ipairs(x.requests) do
      assert.equal("/" .. i, request.path)
      assert.equal(i % 2 == 0 and ('{"i":%d}'):format(i) or "", request.body)
    end
    assert.equal(6, #x.requests)
  end)

  it("gives the response to a future", function()
    local response, http = serve_until_done(post("/x", {}, { future = true }),
      function() return 201, { ["X-A"] = "b" }, '{"id":"7"}' end)
    assert.same({ id = "7" }, response)
    assert.equal(201, http.status)
    assert.equal("b", http.headers["x-a"])
  end)

  it("waits for the response, and returns it", function()
    local result = x:child({ code = [[
      local client = seerstack.new { max_retries = 0 }
      local response, http = client:post("/x?y=1", { a = 1 }, { wait = true })
      print(response.path, http.status)
      local _, message, err = client:post("/bad?y=1", nil, { wait = true })
      print(message, err.name, err.status, err.path)
    ]] }, function(request)
      if request.path == "/bad" then
        return 404, nil, '{"error":"no such path"}'
      end
      return 200, nil, '{"path":"' .. request.target .. '"}'
    end)
    assert.equal("/x?y=1\t200\n"
      .. "404 no such path\tNotFoundError\t404\t/bad?y=1\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  it("returns nil, message, err for a body that cannot be sent", function()
    x:use { max_event_bytes = 100 }
    assert_error("ValidationError", "^body%.f: a function cannot be sent$",
      x.client:post("/x", { f = print }))
    assert_error("ValidationError", "^body%[2%]%.f: a function ",
      x.client:post("/x", { 1, { f = print } }, { future = true }))
    assert_error("ValidationError", ".",
      x.client:post("/x", { x = ("x"):rep(100) }))
    assert.equal(0, x.client:stats().accepted)
    x.client:close()
    assert_error("ClosedError", "^client is closed$", x.client:post("/x"))
    assert.is_nil((x.server:accept(0)))
  end)

  it("raises on misuse", function()
    local client = x.client
    h.assert_raises("bad argument #1 to 'post' (string expected, got nil)",
      client.post, client)
    h.assert_raises("bad argument #1 to 'post' (string expected, got number)",
      client.post, client, 5, {})
    h.assert_raises("bad argument #1 to 'post' (string expected, got table)",
      client.post, client, { name = "a.b" })
    h.assert_raises("bad argument #2 to 'post' (table expected, got string)",
      client.post, client, "/x", "{}")
    h.assert_raises("bad argument #2 to 'post' (table expected, got boolean)",
      client.post, client, "/x", false)
    h.assert_raises("bad argument #3 to 'post' (table expected, got number)",
      client.post, client, "/x", nil, 5)
    h.assert_raises("bad argument #3 to 'post' (unknown option 'wiat')",
      client.post, client, "/x", nil, { wiat = true })
    assert.is_false((pcall(client.post, "/x", {})))
    assert.equal(0, client:stats().accepted)
  end)
end)

-- libcurl 8.14 leaves out a query that is empty; 8.23 has codes in capitals.
local function as_sent(path)
  local version = h.libcurl()
  if version < 8 then
    return path
  elseif version < 8.15 then
    return (path:gsub("%?$", ""))
  end
  return (path:gsub("%%%x%x", string.upper))
end

describe("the path of a post", function()
  it("is appended to the base URL as it is", function()
    local paths = {
      "/", "/x", "/x/", "/a/b-c_d.e~f", "/a//b", "/a;b=c", "/a,b", "/%2F%20",
      "/a%00", "/@evil.com", "/:80", "/a:b@c", "/http://evil/", "/x?", "/?x",
      "/x?page=2", "/x?q=a%20b&r=/c?d", "/x?y=//evil", "/'\"<>{}|^`",
      "/...", "/.a", "/..a/b", "/a..b", "/a./b..", "/%2e%2e%2e", "/%2Ea",
      "/x?/../y", "/" .. ("x"):rep(8000),
    }
    for _, base in ipairs { "", "/", "/v1", "/v1/", "/a%20b/c" } do
      local key = h.key()
      local client = h.client(x.url .. base, { api_key = key,
        max_in_flight = 1 })
      x.client = client
      local before = #x.requests
      for _, path in ipairs(paths) do
        post(path)
      end
      x:settle()
      assert.equal(before + #paths, #x.requests)
      for i, path in ipairs(paths) do
        local request = x.requests[before + i]
        assert.equal(base:gsub("/$", "") .. as_sent(path), request.target)
        assert.equal("Bearer " .. key, request.headers.authorization)
        assert.equal(x.url, "http://" .. request.headers.host)
      end
    end
  end)

  it("may have a query, to which those of the options are added", function()
    x:use {
      query = { v = "1", w = "2" }, max_in_flight = 1, log_level = "off",
    }
    post "/x?page=2"
    post("/x?page=2", nil, { query = { a = "b c", w = false } })
    post("/x", {}, { query = { v = false, w = 3 } })
    x:settle()
    local targets = {}
    for i, request in ipairs(x.requests) do
      targets[i] = request.target
    end
    assert.same({ "/x?page=2&v=1&w=2", "/x?page=2&v=1&a=b%20c", "/x?w=3" },
      targets)
  end)

  it("is refused when it does not begin with one slash, or cannot be sent",
    function()
      for _, path in ipairs {
        "/../x", "/a/../../x", "/..", "/a/..", "/../", "/%2e%2e/x", "/%2E./x",
        "/.%2e", "/.", "/./x", "/a/./b", "/a/%2e/b", "/..?x", "/a//../b",
        "/" .. ("x"):rep(8192), "/x?" .. ("y"):rep(8192),
        "", "x", "evil", "x/y", "?x", "#x", "@evil.com", ":80/", ".evil.com",
        "-", "http://evil/", "https://evil", "//evil", "///evil", "//",
        "\\evil", "\\\\evil", "/\\evil", "/a\\b", "/a b", " /a", "/a ",
        "/a\tb", "/a\r\nX: y", "/a\nb", "\n/a", "/\0", "/a\0b", "\0", "/a#b",
        "/#", "/a?b#c", "/a?b c", "/\127", "/\195\169", "/a?\255",
      } do
        for _, options in ipairs { {}, { future = true }, { wait = true } } do
          local err = assert_error("ValidationError", "^path: ",
            x.client:post(path, { a = 1 }, options))
          assert.is_nil(err.status)
          assert_error("ValidationError", "^path: ",
            x.client:post(path, nil, options))
        end
      end
      assert.equal(0, x.client:stats().accepted)
      assert.is_nil((x.server:accept(0)))
    end)

  it("is in the error as it was given", function()
    x.client = h.client(x.url .. "/base")
    for _, path in ipairs { "/x", "/x?y=1&z", "/x?" } do
      local err = assert_error("BadRequestError", "^400 no$",
        serve_until_done(post(path, {}, { future = true,
          query = { q = "v" } }), function() return 400, nil, "no" end))
      assert.equal(path, err.path)
    end
    x.server:close()
    x.client = h.client(x.url, { max_retries = 0 })
    local err = assert_error("APIConnectionError", ".",
      x.client:post("/x?y", nil, { wait = true }))
    assert.equal("/x?y", err.path)
  end)
end)

describe("a post", function()
  it("is retried as an event is, the same each time", function()
    post("/x?y=1", { "b\195\182dy" }, { headers = { ["X-A"] = "b" } })
    local answers = {
      { 409 }, { "close" }, { 500 }, { 408 }, { 429 }, { "reset" }, { 401 },
      { 307, { Location = "/else" } },
    }
    x:settle(h.sequence(answers))
    assert.equal(9, #x.requests)
    for i, request in ipairs(x.requests) do
      assert.equal(i == 9 and "/else" or "/x?y=1", request.target)
      assert.equal('["b\195\182dy"]', request.body)
      assert.equal("b", request.headers["x-a"])
      assert.equal(x.requests[1].headers["idempotency-key"],
        request.headers["idempotency-key"])
    end
  end)

  it("is retried max_retries times when it is waited for", function()
    local future = post("/x", nil, { future = true, max_retries = 1 })
    assert_error("InternalServerError", "^503 ",
      serve_until_done(future, function() return 503 end))
    assert.equal(2, #x.requests)
    assert.equal(1, h.adds_up(x.client).rejected)
  end)

  for _, status in ipairs { 403, 404, 405 } do
    it("is rejected by " .. status .. ", and nothing else is held up",
      function()
        x:use(SLOW)
        post("/wrong", {})
        x:settle(function() return status end)
        assert.equal(1, h.adds_up(x.client).rejected)
        assert.is_nil(x.client:stats().retry_at)
        post("/right", {})
        x:capture("a.b")
        assert.equal(2, x:settle().delivered)
        assert.equal(3, #x.requests)
      end)

    it("is retried after " .. status .. " when x-should-retry says so",
      function()
        post("/x", {})
        assert.equal(1, x:settle(h.sequence {
          { status, { ["X-Should-Retry"] = "true" } },
        }).delivered)
        assert.equal(2, #x.requests)
      end)

    it("leaves it to events that " .. status .. " pauses what is queued",
      function()
        x:use(SLOW)
        x:capture("a.b")
        x:serve(function() return status end, function()
          return x:paused()
        end)
        post("/x", {})
        x:serve_while(function() return #x.requests == 1 end, nil, 0.2)
        assert.equal(2, h.adds_up(x.client).pending)
      end)
  end

  for _, status in ipairs { 401, 402, 407, 421, 423, 425, 429 } do
    it("is kept after " .. status .. ", and what is queued pauses", function()
      x:use(SLOW)
      post("/x", {})
      x:serve(function() return status end, function() return x:paused() end)
      x:capture("a.b")
      post("/y", {})
      x:serve_while(function() return #x.requests == 1 end, nil, 0.2)
      h.assert_counts(x.client, { pending = 3, rejected = 0 })
    end)
  end

  for _, status in ipairs { 401, 403, 404, 405 } do
    it("ends with " .. status .. " when it is waited for, and nothing pauses",
      function()
        x:use(SLOW)
        local future = post("/x", {}, { future = true })
        assert.equal(status, assert_error(({
          [401] = "AuthenticationError", [403] = "PermissionDeniedError",
          [404] = "NotFoundError", [405] = "APIStatusError",
        })[status], "^" .. status, serve_until_done(future, function()
          return status
        end)).status)
        assert.is_false(x:paused())
        assert.equal(1, #x.requests)
      end)
  end

  it("that is rejected is told to on_error, with its path", function()
    local heard = {}
    x:use {
      log_level = "off", max_in_flight = 1,
      on_error = function(err, body, json)
        heard[#heard + 1] = { err.name, err.path, body or "none", json }
      end,
    }
    post("/x?y=1", { 1, 2 })
    post "/z"
    x:settle(function() return 404 end)
    assert.equal(2, x.client:poll())
    assert.same({
      { "NotFoundError", "/x?y=1", { 1, 2 }, "[1,2]" },
      { "NotFoundError", "/z", "none", "" },
    }, heard)
  end)
end)

describe("seerstack.post", function()
  it("is post of the default client", function()
    local result = x:child({ code = [[
      print(seerstack.post("/queued", { 1 }))
      print((seerstack.post("/waited", nil, { wait = true })).success)
      local future = seerstack.post("/future?x", {}, { future = true })
      print(select(2, future:get()).status)
      print(select(3, seerstack.post("evil", {})).name)
      print((select(2, pcall(seerstack.post))))
      print(seerstack.default():flush(10))
      print(seerstack.poll() == 0, seerstack.stats().delivered == 3)
    ]] }, h.ok)
    assert.equal([[
true
true
200
ValidationError
bad argument #1 to 'post' (string expected, got nil)
true
true	true
]], result.stdout)
    assert.matches("^seerstack: warn: post: path: [^\n]*\n$", result.stderr)
    local bodies = {}
    for _, request in ipairs(x.requests) do
      bodies[request.target] = request.body
      assert.equal("Bearer " .. x.key, request.headers.authorization)
    end
    assert.same({
      ["/queued"] = "[1]", ["/waited"] = "", ["/future?x"] = "{}",
    }, bodies)
  end)

  it("returns nil, message, err without a key", function()
    local result = x:child({
      env = { SEERSTACK_API_KEY = "" },
      code = [[
        for _, name in ipairs { "post", "poll" } do
          local result, message, err = seerstack[name]("/x", {})
          print(result, message == err.message, err.name)
        end
      ]],
    })
    assert.equal(("nil\ttrue\tValidationError\n"):rep(2), result.stdout)
    assert.equal(0, #x.requests)
  end)
end)
