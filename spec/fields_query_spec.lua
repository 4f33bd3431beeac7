-- The query parameters that a client, with_options and a request add and
-- remove, and how numbers are spelled in these and in headers.

local h = require "spec.helper"
local seerstack = require "seerstack"

local EVENT = { name = "a" }

-- Numbers and how they are spelled: exactly.
local NUMBERS = {
  { 0, "0" }, { -0.0, "0" }, { 1, "1" }, { -1, "-1" }, { 3.0, "3" },
  { 0.1, "0.1" }, { -2.5, "-2.5" }, { 1e15, "1000000000000000" },
  { 2 ^ 53, "9007199254740992" }, { -2 ^ 53, "-9007199254740992" },
  { 1 / 3, "0.3333333333333333" }, { 5e-324, "4.94065645841247e-324" },
}

local tointeger = rawget(math, "tointeger")
if tointeger then
  for number, text in pairs {
    [tointeger(2 ^ 53) + 1] = "9007199254740993",
    [-tointeger(2 ^ 53) - 1] = "-9007199254740993",
    [rawget(math, "maxinteger")] = "9223372036854775807",
    [rawget(math, "mininteger")] = "-9223372036854775808",
  } do
    NUMBERS[#NUMBERS + 1] = { number, text }
  end
end
if rawget(_G, "jit") then
  local ffi = require "ffi"
  for _, case in ipairs {
    { ffi.new("int64_t", 2 ^ 53) + 1, "9007199254740993" },
    { -ffi.new("int64_t", 2 ^ 53) - 1, "-9007199254740993" },
    { ffi.new("uint64_t", 0) - 1, "18446744073709551615" },
  } do
    NUMBERS[#NUMBERS + 1] = case
  end
end

-- { name = value }, decoded; each name is there once.
local function parse(query)
  local found = {}
  local function decode(text)
    return (text:gsub("%%(%x%x)", function(digits)
      return string.char(tonumber(digits, 16))
    end))
  end
  for encoded, value in query:gmatch "([^&=]*)=([^&]*)" do
    local name = decode(encoded)
    assert(found[name] == nil, name .. " is there twice")
    found[name] = decode(value)
  end
  return found
end

for where, view in pairs(h.views.all) do
  describe("the query, " .. where .. ",", function()
    local function query(of_client, of_request)
      local requests = view({ query = of_client }, function(client)
        assert(client.events.capture(EVENT, { query = of_request }))
      end)
      assert.equal(1, #requests)
      assert.equal("/capture", requests[1].path)
      assert.same(h.views.headers(), requests[1].headers)
      return requests[1].query
    end

    it("is not there when nothing is given", function()
      assert.is_nil(query())
      assert.is_nil(query({}, {}))
      assert.is_nil(query({ a = false }, { b = false }))
    end)

    it("of a client goes with each of its requests", function()
      local requests = view({ query = { a = 1 } }, function(client)
        assert(client.events.capture(EVENT))
        assert(client.users.identify { user_id = "u" })
        assert(client:post("/x"))
        assert(client.events.capture(EVENT, { query = {} }))
      end)
      assert.equal(4, #requests)
      for _, request in ipairs(requests) do
        assert.equal("a=1", request.query)
      end
    end)

    it("of a request goes over the client's, with that one alone", function()
      local requests = view({ query = { a = 1, b = 2, c = 3 } },
        function(client)
          assert(client.events.capture(EVENT,
            { query = { b = "two", c = false, d = 4 } }))
          assert(client.events.capture { name = "other" })
        end)
      assert.same({ a = "1", b = "two", d = "4" }, parse(requests.a.query))
      assert.equal("a=1&b=2&c=3", requests.other.query)
    end)

    it("of with_options goes over the client's, which keeps its own",
      function()
        local requests = view({ query = { a = 1, b = 2, c = 3 } },
          function(client)
            local other = client:with_options {
              query = { b = "two", c = false, d = 4 },
            }
            assert(other.events.capture({ name = "second" },
              { query = { a = false, c = 5 } }))
            assert(client.events.capture { name = "first" })
            return other
          end)
        assert.equal("a=1&b=2&c=3", requests.first.query)
        assert.same({ b = "two", c = "5", d = "4" },
          parse(requests.second.query))
      end)

    it("loses what is false, also all of it", function()
      assert.equal("a=1", query({ a = 1, b = 2 }, { b = false, c = false }))
      assert.is_nil(query({ a = 1 }, { a = false }))
    end)

    it("distinguishes names by case", function()
      assert.equal("A=1&a=2", query { a = 2, A = 1 })
      assert.same({ a = "1", A = "2" }, parse(query({ a = 1 }, { A = 2 })))
    end)

    it("may have empty values", function()
      assert.equal("a=", query { a = "" })
      assert.equal("a=", query({ a = 1 }, { a = "" }))
    end)

    it("keeps what is unreserved, and encodes every other byte", function()
      local kept = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        .. "0123456789-._~"
      assert.equal(kept .. "=" .. kept, query { [kept] = kept })
      local all, encoded = {}, {}
      for byte = 0, 255 do
        all[#all + 1] = string.char(byte)
        encoded[#encoded + 1] = kept:find(string.char(byte), 1, true)
          and string.char(byte) or ("%%%02X"):format(byte)
      end
      local text, code = table.concat(all), table.concat(encoded)
      assert.equal(code .. "=" .. code, query { [text] = text })
      assert.equal(code .. "=" .. code, query(nil, { [text] = text }))
      assert.equal("a=%0D%0AX-Other%3A%20y%0D%0A%0D%0A",
        query { a = "\r\nX-Other: y\r\n\r\n" })
    end)

    it("tells names apart before they are encoded", function()
      assert.same({ ["a b"] = "1", ["a%20b"] = "2" },
        parse(query({ ["a b"] = 1 }, { ["a%20b"] = 2 })))
      assert.same({ ["a="] = "2", a = "=1" },
        parse(query({ a = "=1", ["a="] = 1 }, { ["a="] = 2 })))
    end)

    it("and headers spell numbers exactly", function()
      for _, case in ipairs(NUMBERS) do
        local number, text = case[1], case[2]
        local given = { n = number }
        local requests = view({ headers = given, query = given },
          function(client)
            assert(client.events.capture(EVENT))
            assert(client.events.capture({ name = "b" },
              { headers = { m = number }, query = { m = number } }))
          end)
        assert.same(h.views.headers { n = text }, requests.a.headers)
        assert.equal("n=" .. text, requests.a.query)
        assert.same(h.views.headers { n = text, m = text },
          requests.b.headers)
        assert.same({ n = text, m = text }, parse(requests.b.query))
      end
    end)

    it("has the order of its names, whatever the table's is", function()
      local names, up, down = {}, {}, {}
      for i = 1, 26 do
        names[i] = string.char(64 + i)
        names[26 + i] = string.char(96 + i)
      end
      for i = 1, 52 do
        up[names[i]], down[names[53 - i]] = "x", "x"
      end
      local expected = table.concat(names, "=x&") .. "=x"
      assert.equal(expected, query(up))
      assert.equal(expected, query(down))
      assert.equal(expected, query(nil, up))
      assert.equal(expected, query(nil, down))
      assert.equal(query({ a = 1, b = 2 }, { c = 3, a = 4 }),
        query({ b = 2, a = 1 }, { a = 4, c = 3 }))
    end)

    it("comes behind that of a post's path", function()
      local requests = view({ query = { a = 1 } }, function(client)
        assert(client:post("/x"))
        assert(client:post("/x?y=1", { name = "p" }))
        assert(client:post("/x/y?y=1&z=%20", nil, { query = { b = "&" } }))
        assert(client:post("/x?y=1", nil, { query = { a = false } }))
      end)
      local seen = {}
      for i, request in ipairs(requests) do
        seen[i] = { request.path, request.query }
      end
      assert.same({
        { "/x", "a=1" }, { "/x", "y=1&a=1" },
        { "/x/y", "y=1&z=%20&a=1&b=%26" }, { "/x", "y=1" },
      }, seen)
      assert.equal('{"name":"p"}', requests[2].json)
    end)

    it("is a post's own when nothing else is given", function()
      local requests = view({}, function(client)
        assert(client:post("/x?y=1&y=2"))
        assert(client:post("/x?"))
      end)
      assert.equal("y=1&y=2", requests[1].query)
      assert.equal("/x", requests[2].path)
    end)
  end)
end

describe("the query of a client whose base URL has a path", function()
  it("goes behind both paths", function()
    local x = h.open()
    for _, base in ipairs { "/p", "/p/" } do
      local before = #x.requests
      x:use {
        base_url = x.url .. base, query = { a = 1 }, max_in_flight = 1,
      }
      assert(x.client.events.capture(EVENT))
      assert(x.client:post("/x?y=1", nil, { query = { b = 2 } }))
      x:settle()
      assert.equal("/p/capture?a=1", x.requests[before + 1].target)
      assert.equal("/p/x?y=1&a=1&b=2", x.requests[before + 2].target)
    end
    x:close()
  end)

  it("is captured without that path", function()
    local client = seerstack.new {
      base_url = "http://127.0.0.1:1/p", query = { a = 1 }, test_mode = true,
    }
    assert(client.events.capture(EVENT))
    assert(client:post("/x?y=1"))
    local requests = client:captured()
    assert.equal("/capture", requests[1].path)
    assert.equal("a=1", requests[1].query)
    assert.equal("/x", requests[2].path)
    assert.equal("y=1&a=1", requests[2].query)
  end)
end)

describe("a table of query parameters", function()
  local SECRET = "s3cr3t"
  local EXPECTED = "'a': a string, a number or false expected, got "

  it("raises when it cannot be sent, and quotes no value", function()
    local client = seerstack.new { test_mode = true }
    for _, case in ipairs {
      { { SECRET }, "a string as a name expected, got number" },
      { { [true] = SECRET }, "a string as a name expected, got boolean" },
      { { [""] = SECRET }, "a name is empty" },
      { { a = true }, EXPECTED .. "boolean" },
      { { a = { SECRET } }, EXPECTED .. "table" },
      { { a = print }, EXPECTED .. "function" },
      { { a = seerstack.null }, EXPECTED .. "userdata" },
      { { a = 0 / 0 }, "'a': a finite number expected" },
      { { a = 1 / 0 }, "'a': a finite number expected" },
    } do
      local options = { query = case[1] }
      for place, call in pairs {
        ["#1 to 'new'"] = function() return seerstack.new(options) end,
        ["#1 to 'with_options'"] = function()
          return client:with_options(options)
        end,
        ["#2 to 'capture'"] = function()
          return client.events.capture(EVENT, options)
        end,
        ["#3 to 'post'"] = function()
          return client:post("/x", nil, options)
        end,
      } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.is_truthy(message:find("bad argument " .. place
          .. " (option 'query': " .. case[2] .. ")", 1, true), message)
        assert.is_nil(message:find(SECRET, 1, true), message)
      end
    end
    assert.same({}, client:captured())
  end)

  it("has 8192 bytes at most, as they are encoded", function()
    local client = seerstack.new { test_mode = true }
    assert(client.events.capture(EVENT, { query = { a = ("v"):rep(8000) } }))
    assert.equal("a=" .. ("v"):rep(8000), client:captured()[1].query)
    for _, query in ipairs {
      { a = ("v"):rep(4200), b = ("v"):rep(4200) }, { a = ("v"):rep(8193) },
      { [("a"):rep(8193)] = 1 }, { a = ("\255"):rep(2800) },
    } do
      local options = { query = query }
      for place, call in pairs {
        ["#1 to 'new'"] = function() return seerstack.new(options) end,
        ["#1 to 'with_options'"] = function()
          return client:with_options(options)
        end,
        ["#2 to 'identify'"] = function()
          return client.users.identify({ user_id = "u" }, options)
        end,
      } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.is_truthy(message:find("bad argument " .. place
          .. " (option 'query': more than 8192 bytes)", 1, true), message)
      end
    end
    assert.same({}, client:captured())
  end)
end)
