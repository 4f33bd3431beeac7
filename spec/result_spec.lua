local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local NAMES = {
  [400] = "BadRequestError",
  [401] = "AuthenticationError",
  [402] = "APIStatusError",
  [403] = "PermissionDeniedError",
  [404] = "NotFoundError",
  [408] = "APIStatusError",
  [409] = "ConflictError",
  [418] = "APIStatusError",
  [422] = "UnprocessableEntityError",
  [429] = "RateLimitError",
  [500] = "InternalServerError",
  [501] = "InternalServerError",
  [503] = "InternalServerError",
  [599] = "InternalServerError",
}

-- A program that waits for the answer to one request and tells, as JSON,
-- what it was given.
local PROGRAM = [[
  local cjson = require "cjson".new()
  cjson.encode_invalid_numbers("null")
  local client = seerstack.new()
  local function pack(...)
    return { n = select("#", ...), ... }
  end
  local results = pack(client.%s(
    { name = "a.b", user_id = "u" },
    { wait = true, max_retries = 0, timeout = 10 }))
  client:close(5)
  local stats = client:stats()
  print(cjson.encode {
    n = results.n, response = results[1], second = results[2],
    err = results[3], text = tostring(results[3]),
    kind = type(results[1]), delivered = stats.delivered,
    rejected = stats.rejected,
  })
]]

-- What that program is given for an answer, in the form of server:serve.
local function given(answer, method)
  local s = h.server.new()
  local child = h.start {
    env = { SEERSTACK_BASE_URL = s.url, SEERSTACK_API_KEY = "sk_test_x" },
    code = PROGRAM:format(method or "events.capture"),
  }
  s:serve {
    handler = function()
      return answer[1], answer[2], answer[3]
    end,
    until_ = function() return child:done() end,
    deadline = 20,
  }
  local result = child:wait()
  s:close()
  assert.equal(0, result.status, result.stderr)
  assert.equal(1, #s.requests)
  return cjson.decode(result.stdout)
end

local function assert_error(name, message, answer)
  local got = given(answer)
  assert.equal(3, got.n)
  assert.equal("nil", got.kind)
  assert.equal(message, got.second)
  assert.equal(name, got.err.name)
  assert.equal(message, got.err.message)
  assert.equal(message, got.text)
  assert.equal("/capture", got.err.path)
  return got.err, got
end

describe("a 2xx", function()
  it("gives the decoded body, and status and headers", function()
    local got = given { 200, { ["X-Request-Id"] = "r1" },
      '{"success":true,"id":"e1","list":[1,2]}' }
    assert.equal(2, got.n)
    assert.same({ success = true, id = "e1", list = { 1, 2 } }, got.response)
    assert.equal(200, got.second.status)
    assert.equal("r1", got.second.headers["x-request-id"])
    assert.equal(1, got.delivered)
  end)

  it("may be another one than 200", function()
    local got = given { 202, nil, '{"success":true}' }
    assert.same({ success = true }, got.response)
    assert.equal(202, got.second.status)
  end)

  it("may have spaces around the body, and no 'success'", function()
    assert.same({ id = 1 }, given({ 200, nil, ' \r\n\t{"id":1}\n' }).response)
  end)

  it("gives an empty table for an empty body", function()
    for _, answer in ipairs { { 200, nil, "" }, { 204 } } do
      local got = given(answer)
      assert.equal("table", got.kind)
      assert.is_nil(next(got.response))
      assert.equal(answer[1], got.second.status)
    end
  end)

  it("is an error when its body is no JSON object, and was delivered",
    function()
      for _, body in ipairs {
        "<html>hello</html>", "{", '{"success":true', "[1]", '"text"', "1",
        "null", '{"success":true}x',
      } do
        local err, got = assert_error("APIStatusError", "200 " .. body,
          { 200, { ["X-A"] = "b" }, body })
        assert.equal(200, err.status)
        assert.equal("b", err.headers["x-a"])
        assert.equal(1, got.delivered)
      end
    end)

  it("is an error when it says that it is none", function()
    local err = assert_error("APIStatusError", "200 not today",
      { 200, nil, '{"success":false,"error":"not today"}' })
    assert.same({ success = false, error = "not today" }, err.body)
    assert_error("APIStatusError", '200 {"success":false}',
      { 200, nil, '{"success":false}' })
  end)
end)

describe("the headers of an answer", function()
  it("have lower-case names, and the values of a name joined", function()
    local got = given { 200, {
      ["X-Mixed-CASE"] = "One", ["Set-Cookie"] = { "a=1", "b=2", "c=3" },
      ["X-Space"] = "  padded \t", ["X-Colon"] = "a:b: c", ["X-Empty"] = "",
    }, "{}" }
    local headers = got.second.headers
    assert.equal("One", headers["x-mixed-case"])
    assert.is_nil(headers["X-Mixed-CASE"])
    assert.equal("a=1, b=2, c=3", headers["set-cookie"])
    assert.equal("padded", headers["x-space"])
    assert.equal("a:b: c", headers["x-colon"])
    assert.equal("", headers["x-empty"])
  end)
end)

describe("an error's name", function()
  local api, client

  setup(function()
    api = h.start_standin()
    client = seerstack.new { api_key = api.key, base_url = api.url }
  end)

  teardown(function()
    client:close()
    api:stop()
  end)

  for status, name in pairs(NAMES) do
    it("is " .. name .. " for " .. status, function()
      api:config { fail_status = status, fail_count = 1 }
      local err = h.assert_error(name, status .. " Failure asked for",
        client.events.capture({ name = "a.b" },
          { wait = true, max_retries = 0 }))
      assert.equal(status, err.status)
      assert.same({ error = "Failure asked for" }, err.body)
      assert.equal("application/json", err.headers["content-type"])
      assert.equal("/capture", err.path)
    end)
  end
end)

describe("an error", function()
  it("has a metatable that tells what it is", function()
    local client = seerstack.new {
      api_key = "sk_x", base_url = "http://127.0.0.1:1",
    }
    local _, message, err = client.events.capture {}
    assert.equal("seerstack.error", getmetatable(err).__name)
    assert.equal(message, tostring(err))
    assert.is_false((pcall(getmetatable(err).__tostring)))
    assert.is_false((pcall(getmetatable(err).__tostring, 5)))
    client:close()
  end)

  it("is what assert raises, as a string", function()
    local client = seerstack.new {
      api_key = "sk_x", base_url = "http://127.0.0.1:1",
    }
    local _, message = client.events.capture {}
    local ok, raised = pcall(function()
      assert(client.events.capture {})
    end)
    assert.is_false(ok)
    assert.matches(message, tostring(raised), 1, true)
    client:close()
  end)

  it("has the path of identify, too", function()
    local got = given({ 400, nil, '{"error":"no"}' }, "users.identify")
    assert.equal("/identify", got.err.path)
    assert.equal("400 no", got.second)
  end)
end)

describe("an error's message", function()
  it("is the status and the error that the API names", function()
    local err, got = assert_error("BadRequestError", "400 name is missing",
      { 400, nil, '{"error":"name is missing","code":7}' })
    assert.same({ error = "name is missing", code = 7 }, err.body)
    assert.equal(1, got.rejected)
  end)

  it("is the status and the text when the API names none", function()
    for _, body in ipairs {
      "not JSON", '{"error":{"code":1}}', '{"message":"x"}', "[1,2]", "5",
      '{"error":5}', "null",
    } do
      local err = assert_error("BadRequestError", "400 " .. body,
        { 400, nil, body })
      assert.equal(400, err.status)
    end
  end)

  it("is cut when the text is long, and the body is not", function()
    local text = ("x"):rep(1000)
    local err = assert_error("BadRequestError", "400 " .. text:sub(1, 200),
      { 400, nil, text })
    assert.equal(text, err.body)
  end)

  it("is not cut within a character", function()
    local text = "x" .. ("\195\164"):rep(500)
    assert_error("BadRequestError", "400 " .. text:sub(1, 199),
      { 400, nil, text })
  end)

  it("says so when there is no body", function()
    local err = assert_error("NotFoundError", "404 status code (no body)",
      { 404, nil, "" })
    assert.is_nil(err.body)
    assert.equal(404, err.status)
  end)

  it("is about the connection when there is no answer", function()
    for _, what in ipairs { "close", "reset" } do
      local got = given { what }
      assert.equal("APIConnectionError", got.err.name)
      assert.equal(got.err.message, got.second)
      assert.not_equal("", got.second)
      assert.is_nil(got.err.status)
      assert.is_nil(got.err.headers)
      assert.is_nil(got.err.body)
      assert.equal("/capture", got.err.path)
    end
  end)

  it("survives an answer that is none", function()
    local got = given { "raw", "SSH-2.0-OpenSSH_9.2\r\n\r\n" }
    assert.equal("nil", got.kind)
    assert.is_string(got.err.message)
  end)
end)

describe("an answer's JSON", function()
  it("may not be nested more than a hundred times", function()
    local deep = '{"a":' .. ("["):rep(200) .. ("]"):rep(200) .. "}"
    local err = assert_error("BadRequestError", "400 " .. deep:sub(1, 200),
      { 400, nil, deep })
    assert.equal(deep, err.body)
  end)

  it("may be as hostile as it likes", function()
    for _, body in ipairs {
      ("["):rep(60000), ('{"a":'):rep(10000), '"' .. ("\\u"):rep(5000),
      ("\0"):rep(1000), "\255\254{\0}\0", '{"error":"' .. "\0" .. '"}',
      ("9"):rep(60000), '{"\\u0000":1}',
    } do
      local got = given { 400, nil, body }
      assert.equal("BadRequestError", got.err.name)
      assert.is_true(#got.err.message <= 204)
    end
  end)

  it("is read without regard to the host's settings of lua-cjson",
    function()
      local s = h.server.new()
      local child = h.start {
        env = { SEERSTACK_BASE_URL = s.url, SEERSTACK_API_KEY = "sk_x" },
        code = [[
          cjson.decode_max_depth(1)
          local depth = cjson.decode_max_depth()
          cjson.decode = nil
          local client = seerstack.new { wait = true }
          local response = client.events.capture { name = "a.b" }
          print(depth, response.a.b.c == seerstack.null)
        ]],
      }
      s:serve {
        handler = function() return 200, nil, '{"a":{"b":{"c":null}}}' end,
        until_ = function() return child:done() end,
      }
      local result = child:wait()
      s:close()
      assert.equal(0, result.status, result.stderr)
      assert.equal("1\ttrue\n", result.stdout)
    end)
end)
