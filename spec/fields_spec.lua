-- The headers that a client, with_options and a request add, replace and
-- remove. The query is in fields_query_spec.lua.

local h = require "spec.helper"
local seerstack = require "seerstack"

local EVENT, USER = { name = "a" }, { user_id = "u" }

local OWN = { "Accept", "Content-Type", "User-Agent", "Authorization" }

-- Sends one of each kind.
local function send_all(client, options)
  assert(client.events.capture(EVENT, options))
  assert(client.users.identify(USER, options))
  assert(client:post("/x", { 1 }, options))
  assert(client:post("/x", nil, options))
end

local function assert_headers(count, expected, requests)
  assert.equal(count, #requests)
  for _, request in ipairs(requests) do
    assert.same(h.views.headers(expected), request.headers)
  end
end

for where, view in pairs(h.views.all) do
  describe("headers, " .. where .. ",", function()
    -- The headers of one event, with options of a client and of its request.
    local function headers(of_client, of_request)
      local requests = view({ headers = of_client }, function(client)
        assert(client.events.capture(EVENT, { headers = of_request }))
      end)
      assert.equal(1, #requests)
      return requests[1].headers
    end

    it("are the SDK's when none are given", function()
      assert_headers(4, {}, view({}, send_all))
      assert_headers(4, {}, view({ headers = {} }, function(client)
        send_all(client, { headers = {} })
      end))
    end)

    it("of a client go with each of its requests", function()
      assert_headers(8, { ["x-id"] = "1", b = "two" },
        view({ headers = { ["X-Id"] = "1", b = "two" } }, function(client)
          send_all(client)
          send_all(client, { headers = {} })
        end))
    end)

    it("of a request go with that one alone", function()
      local requests = view({ headers = { ["X-A"] = "a" } }, function(client)
        send_all(client, { headers = { ["X-Id"] = "1" } })
        assert(client.events.capture { name = "other" })
      end)
      assert.same(h.views.headers { ["x-a"] = "a" }, requests.other.headers)
      table.remove(requests)
      assert_headers(4, { ["x-a"] = "a", ["x-id"] = "1" }, requests)
    end)

    it("of with_options go over the client's, which keeps its own",
      function()
        local requests = view({
          headers = { ["X-A"] = "a", ["X-B"] = "b", ["X-C"] = "c" },
        }, function(client)
          local other = client:with_options {
            headers = { ["x-a"] = "A", ["X-B"] = false, ["X-D"] = "d" },
          }
          local third = other:with_options {}
          assert(other.events.capture { name = "second" })
          assert(client.events.capture { name = "first" })
          assert(third:close())
          return other
        end)
        assert.equal(2, #requests)
        assert.same(h.views.headers {
          ["x-a"] = "a", ["x-b"] = "b", ["x-c"] = "c",
        }, requests.first.headers)
        assert.same(h.views.headers {
          ["x-a"] = "A", ["x-c"] = "c", ["x-d"] = "d",
        }, requests.second.headers)
      end)

    it("are inherited through with_options without any", function()
      local requests = view({ headers = { ["X-A"] = "a", Accept = false } },
        function(client)
          local third = client:with_options {}:with_options { timeout = 5 }
          assert(third.events.capture(EVENT))
          return third
        end)
      assert_headers(1, { ["x-a"] = "a", accept = false }, requests)
    end)

    it("match without regard to case, and the later layer wins", function()
      local requests = view({ headers = {
        ["x-LEVEL"] = "client", ACCEPT = "a/client", ["user-agent"] = "c/1",
      } }, function(client)
        local other = client:with_options { headers = {
          ["X-level"] = "with", ["user-AGENT"] = "w/1",
        } }
        send_all(other, { headers = {
          ["x-level"] = "request", ["accepT"] = "a/request",
          ["CONTENT-type"] = "text/x", authorization = "Basic abc",
        } })
        return other
      end)
      assert_headers(4, {
        ["x-level"] = "request", accept = "a/request", ["user-agent"] = "w/1",
        ["content-type"] = "text/x",
        authorization = requests[1].headers.authorization,
      }, requests)
      assert.matches("^Basic ", requests[1].headers.authorization)
    end)

    it("that are false remove the SDK's, and nothing else takes their place",
      function()
        for _, name in ipairs(OWN) do
          local gone = { [name] = false }
          local expected = { [name:lower()] = false }
          assert_headers(4, expected, view({ headers = gone }, send_all))
          assert_headers(4, expected, view({}, function(client)
            send_all(client, { headers = gone })
          end))
          assert_headers(4, expected, view({}, function(client)
            local other = client:with_options { headers = gone }
            send_all(other)
            return other
          end))
        end
      end)

    it("may all be removed", function()
      local gone = {}
      for _, name in ipairs(OWN) do
        gone[name:upper()] = false
      end
      for _, request in ipairs(view({ headers = gone }, send_all)) do
        assert.same({}, request.headers)
      end
    end)

    it("that are false remove an earlier layer's, or nothing", function()
      assert.same(h.views.headers { b = "2" },
        headers({ a = 1, b = 2, c = false }, { A = false, d = false }))
    end)

    it("that were removed may come back", function()
      assert.same(h.views.headers { accept = "a/b", a = "1" },
        headers({ Accept = false, a = false }, { ACCEPT = "a/b", a = 1 }))
    end)

    it("may be empty, which is not the same as removed", function()
      assert.same(h.views.headers {
        a = "", b = "", c = "", accept = "", ["content-type"] = "",
        ["user-agent"] = "",
      }, headers({ a = "", b = " \t ", Accept = "", ["User-Agent"] = " " },
        { c = "", ["Content-Type"] = "" }))
    end)

    it("lose the blanks around their values, and no other byte", function()
      assert.same(h.views.headers {
        a = "x  y", b = "x\ty", c = "caf\195\169 \128\255", d = "a: b; c, d",
        e = ";", f = ":", g = "%41?&",
      }, headers {
        a = " x  y\t", b = "\tx\ty", c = "caf\195\169 \128\255",
        d = "a: b; c, d", e = ";", f = ":", g = "%41?&",
      })
    end)

    it("may have a name of any characters that a name has", function()
      local name = "aZ09!#$%&'*+-.^_`|~"
      assert.same(h.views.headers { [name:lower()] = "x" },
        headers { [name] = "x" })
    end)

    it("may be many and long", function()
      local given, expected = {}, {}
      for i = 1, 50 do
        given["X-" .. i] = ("v"):rep(i * 10)
        expected["x-" .. i] = given["X-" .. i]
      end
      assert.same(h.views.headers(expected), headers(given))
      assert.same(h.views.headers(expected), headers(nil, given))
    end)

    it("are read when they are given, by raw access", function()
      local given = setmetatable({ a = "1" }, {
        __index = function() error("__index was called") end,
        __pairs = function() error("__pairs was called") end,
      })
      local requests = view({ headers = given }, function(client)
        given.a, given.b = "2", "3"
        assert(client.events.capture(EVENT))
      end)
      assert_headers(1, { a = "1" }, requests)
      assert.same({ a = "2", b = "3" }, { a = rawget(given, "a"),
        b = rawget(given, "b") })
    end)
  end)
end

describe("the order of headers", function()
  -- The names in the order in which they are sent.
  local function order(of_client, of_request)
    local x = h.open { headers = of_client }
    assert(x.client.events.capture(EVENT, { headers = of_request }))
    x:settle()
    local names = {}
    for i, header in ipairs(x.requests[1].order) do
      names[i] = header.name
    end
    x:close()
    return table.concat(names, " ")
  end

  it("is that of their names, whatever the table's is", function()
    local names, up, down = {}, {}, {}
    for i = 1, 26 do
      names[i] = "X-" .. string.char((i % 2 == 0 and 96 or 64) + i)
    end
    for i = 1, 26 do
      up[names[i]], down[names[27 - i]] = i, 27 - i
    end
    local sorted = table.concat(names, " ")
    for _, given in ipairs { up, down } do
      assert.is_truthy(order(given):find(sorted, 1, true))
      assert.is_truthy(order(nil, given):find(sorted, 1, true))
    end
    assert.equal(order(up), order(down))
  end)
end)

describe("clients with one key", function()
  local x = h.exchange()

  local function sent_by(client)
    local before = #x.requests
    assert(client.events.capture(EVENT))
    x:serve(nil, function() return client:stats().pending == 0 end)
    return x.requests[before + 1].headers
  end

  it("and equal headers send the same, also when one of them is gone",
    function()
      local options = { api_key = x.key, headers = { ["X-Id"] = "1" } }
      local first, second = x:new(options), x:new(options)
      for _ = 1, 2 do
        assert.equal("1", sent_by(first)["x-id"])
        assert.equal("1", sent_by(second)["x-id"])
      end
      first:close()
      assert.equal("1", sent_by(second)["x-id"])
      getmetatable(first).__gc(first)
      assert.equal("1", sent_by(second)["x-id"])
    end)

  it("and other headers do not mix them", function()
    local clients = {}
    for i = 1, 3 do
      clients[i] = x:new { api_key = x.key, headers = { ["X-Id"] = i } }
    end
    for _ = 1, 3 do
      for i, client in ipairs(clients) do
        assert.equal(tostring(i), sent_by(client)["x-id"])
      end
      assert.is_nil(sent_by(x.client)["x-id"])
    end
  end)
end)

describe("a table of headers", function()
  local SECRET = "s3cr3t"
  local EXPECTED = "a string, a number or false expected, got "
  local CONTROL, NAME = "'X-Id' has a control character",
    "a name has a character that no header's name has"

  -- Tables, and what is said of them: never a value.
  local REFUSED = {
    { { SECRET }, "a string as a name expected, got number" },
    { { [true] = SECRET }, "a string as a name expected, got boolean" },
    { { [""] = SECRET }, "a name is empty" },
    { { ["X-Id"] = true }, "'X-Id': " .. EXPECTED .. "boolean" },
    { { ["X-Id"] = { SECRET } }, "'X-Id': " .. EXPECTED .. "table" },
    { { ["X-Id"] = print }, "'X-Id': " .. EXPECTED .. "function" },
    { { ["X-Id"] = seerstack.null }, "'X-Id': " .. EXPECTED .. "userdata" },
    { { ["X-Id"] = 0 / 0 }, "'X-Id': a finite number expected" },
    { { ["X-Id"] = -1 / 0 }, "'X-Id': a finite number expected" },
    { { ["X-Id"] = "a", ["x-ID"] = SECRET },
      "'X-Id' and 'x-ID' are the same header" },
    { { ["x-id"] = false, ["X-ID"] = SECRET },
      "'X-ID' and 'x-id' are the same header" },
  }

  local function refuse(name, value, said)
    REFUSED[#REFUSED + 1] = { { [name] = value }, said }
  end

  for _, byte in ipairs { "\r\n", "\r", "\n", "\0", "\27", "\127", "\11" } do
    refuse("X-Id", SECRET .. byte .. "X-Other: y", CONTROL)
    refuse("X-Id", SECRET .. byte, CONTROL)
    refuse("X-Id", byte .. SECRET, CONTROL)
    refuse("X-Id" .. byte, SECRET, NAME)
    refuse("X-Id: " .. SECRET .. byte .. "X-Other", SECRET, NAME)
  end
  for byte in (" \t:;,()<>@[]{}\"/\\?=\195\128\255"):gmatch "." do
    refuse("X-" .. SECRET .. byte, SECRET, NAME)
    refuse(byte .. "X", false, NAME)
  end
  for _, name in ipairs {
    "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect",
    "Idempotency-Key",
  } do
    for _, spelled in ipairs { name, name:lower(), name:upper() } do
      refuse(spelled, SECRET, "'" .. spelled .. "' cannot be given")
      refuse(spelled, false, "'" .. spelled .. "' cannot be given")
    end
  end

  local function assert_refused(place, said, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert.is_truthy(message:find("bad argument " .. place
      .. " (option 'headers': " .. said .. ")", 1, true), message)
    assert.is_nil(message:find(SECRET, 1, true), message)
  end

  it("raises when it cannot be sent, and quotes no value", function()
    local client = seerstack.new { test_mode = true }
    for _, case in ipairs(REFUSED) do
      local options, said = { headers = case[1] }, case[2]
      assert_refused("#1 to 'new'", said, seerstack.new, options)
      assert_refused("#1 to 'configure'", said, seerstack.configure, options)
      assert_refused("#1 to 'with_options'", said, client.with_options,
        client, options)
      assert_refused("#2 to 'capture'", said, client.events.capture, EVENT,
        options)
      assert_refused("#2 to 'identify'", said, client.users.identify, USER,
        options)
      assert_refused("#3 to 'post'", said, client.post, client, "/x", {},
        options)
    end
    assert.same({}, client:captured())
    assert.equal(0, client:stats().accepted)
  end)

  it("has 16384 bytes at most", function()
    local client = seerstack.new { test_mode = true }
    local half, long = ("v"):rep(8000), ("v"):rep(8300)
    assert(client.events.capture(EVENT, { headers = { A = half, B = half } }))
    client = client:with_options { headers = { A = half, B = half } }
    assert(client.events.capture(EVENT))
    assert.equal(1, #client:captured())
    for place, call in pairs {
      ["#1 to 'new'"] = seerstack.new,
      ["#1 to 'configure'"] = seerstack.configure,
      ["#1 to 'with_options'"] = function(options)
        return client:with_options(options)
      end,
      ["#2 to 'capture'"] = function(options)
        return client.events.capture(EVENT, options)
      end,
      ["#3 to 'post'"] = function(options)
        return client:post("/x", nil, options)
      end,
    } do
      for _, headers in ipairs {
        { A = long, B = long }, { A = ("v"):rep(16385) },
        { [("A"):rep(16385)] = "v" },
      } do
        assert_refused(place, "more than 16384 bytes", call,
          { headers = headers })
      end
    end
    assert.same({}, client:captured())
    local ok, message = pcall(client.with_options, client,
      { headers = { C = half } })
    assert.is_false(ok)
    assert.matches("option 'headers': more than 16384 bytes with those of the "
      .. "client", message, 1, true)
    client = client:with_options { headers = { A = false, C = half } }
    assert(client.events.capture(EVENT))
    assert.equal(half, client:captured()[1].headers.c)
  end)
end)

describe("neither Expect nor Transfer-Encoding", function()
  it("is ever sent", function()
    local x = h.open { max_event_bytes = 4000000 }
    for _, headers in ipairs {
      {}, { ["X-Id"] = "1" }, { ["Content-Type"] = false },
      { Accept = false, ["User-Agent"] = "" }, { TE = "trailers" },
    } do
      for _, size in ipairs { 0, 1000, 900000, 3000000 } do
        local before = #x.requests
        local body = size > 0 and { x = ("x"):rep(size) } or nil
        assert(x.client:post("/x", body, { headers = headers }))
        x:settle()
        local request = x.requests[before + 1]
        assert.equal(before + 1, #x.requests)
        assert.is_nil(request.headers.expect)
        assert.is_nil(request.headers["transfer-encoding"])
        assert.equal(tostring(#request.body),
          request.headers["content-length"])
        assert.is_true(#request.body >= size)
      end
    end
    x:close()
  end)
end)

describe("headers over HTTP/2", function()
  it("are added, replaced and removed as well", function()
    local api = h.start_standin()
    local client = seerstack.new {
      api_key = api.key, base_url = api.tls_url, ca_file = api.ca_file,
      http_version = "2", headers = { ["X-Id"] = "1", Accept = false },
    }
    assert(client.events.capture(EVENT, { wait = true, headers = {
      ["x-ID"] = "2", ["User-Agent"] = false, ["X-Empty"] = "",
    } }))
    local event = api:events()[1]
    assert.equal("HTTP/2.0", event.protocol)
    assert.equal("2", event.headers["x-id"])
    assert.equal("", event.headers["x-empty"])
    assert.is_nil(event.headers.accept)
    assert.is_nil(event.headers["user-agent"])
    assert.is_nil(event.headers.expect)
    client:close()
    api:stop()
  end)
end)
