-- What the official SDKs do, row by row of the table in the API's
-- description, on a real socket: from the row "Errors" on. The others are in
-- contract_spec.lua.

local cjson = require "cjson"
local h = require "spec.helper"

local x = h.exchange()

local function each_call(f)
  return h.calls.each(x, f)
end

describe("Errors:", function()
  local NAMES = {
    [400] = "BadRequestError", [401] = "AuthenticationError",
    [402] = "APIStatusError", [403] = "PermissionDeniedError",
    [404] = "NotFoundError", [408] = "APIStatusError",
    [409] = "ConflictError", [418] = "APIStatusError",
    [422] = "UnprocessableEntityError", [429] = "RateLimitError",
    [500] = "InternalServerError", [503] = "InternalServerError",
    [599] = "InternalServerError",
  }

  it("have the status's name, status, headers, body, message and path",
    function()
      each_call(function(send, path)
        for status, name in pairs(NAMES) do
          local _, response, message, err = send(function()
            return status, { ["X-Id"] = "r1" }, '{"error":"no","code":7}'
          end, { max_retries = 0 })
          assert.is_nil(response)
          assert.equal(status .. " no", message)
          assert.equal(message, tostring(err))
          assert.equal("r1", err.headers["x-id"])
          err.headers = nil
          assert.same({
            name = name, message = message, status = status, path = path,
            body = { error = "no", code = 7 },
          }, setmetatable(err, nil))
        end
      end)
    end)

  it("have a message of the error, or else 200 bytes of the text", function()
    local long = ("x"):rep(199) .. "\195\164" .. ("y"):rep(300)
    each_call(function(send)
      for body, text in pairs {
        ['{"error":"the reason","message":"m"}'] = "the reason",
        ['{"message":"m"}'] = '{"message":"m"}',
        ['{"error":{"message":"m"}}'] = '{"error":{"message":"m"}}',
        ["<html>"] = "<html>", [""] = "status code (no body)",
        [("z"):rep(500)] = ("z"):rep(200), [long] = ("x"):rep(199),
      } do
        local _, _, message, err = send { { 400, nil, body } }
        assert.equal("400 " .. text, message)
        if type(err.body) ~= "table" then -- it is JSON, and decoded, else
          assert.equal(body ~= "" and body or nil, err.body)
        end
      end
    end)
  end)

  it("are APIConnectionError or APITimeoutError without a response",
    function()
      each_call(function(send, path)
        for what, name in pairs {
          close = "APIConnectionError", hold = "APITimeoutError",
        } do
          local _, response, message, err = send({ { what } },
            { max_retries = 0, timeout = 0.5 })
          assert.is_nil(response)
          assert.same({ name = name, message = message, path = path },
            setmetatable(err, nil))
        end
      end)
    end)
end)

describe("Redirects:", function()
  it("keep method and body, or become a GET; the key stays where it was",
    function()
      local methods = {
        [301] = "GET", [302] = "GET", [303] = "GET", [307] = "POST",
        [308] = "POST",
      }
      each_call(function(send, _, body)
        for status, method in pairs(methods) do
          for host, same in pairs { ["127.0.0.1"] = true, localhost = false }
          do
            local to = "http://" .. host .. ":" .. x.server.port .. "/to"
            local requests, response =
              send { { status, { Location = to } } }
            assert.is_table(response)
            assert.equal(2, #requests)
            assert.equal("/to", requests[2].target)
            assert.equal(method, requests[2].method)
            assert.equal(method == "POST" and body or "", requests[2].body)
            assert.equal(same and "Bearer " .. x.key or nil,
              requests[2].headers.authorization)
          end
        end
      end)
    end)

  it("are refused from https to http", function()
    local api = h.start_standin { key = x.key }
    api:config { fail_status = 307, fail_headers = { Location = x.url } }
    local client = x:new {
      api_key = x.key, base_url = api.tls_url, ca_file = api.ca_file,
    }
    local _, message, err = client.events.capture({ name = "a.b" },
      { wait = true })
    api:stop()
    assert.equal("307 redirect from https to http refused", message)
    assert.equal("APIStatusError", err.name)
    assert.is_nil((x.server:accept(0)))
  end)
end)

describe("Other paths:", function()
  it("are reached with the same key and retries", function()
    local seen = {}
    assert.is_true(x.client:post("/queued?a=1", { 1, { b = 2 } }))
    assert.is_true(x.client:post("/none"))
    local stats = x:settle(h.sequence { { 503 }, { 503 } })
    assert.equal(4, #x.requests)
    assert.equal(2, stats.delivered)
    for _, request in ipairs(x.requests) do
      seen[request.method .. " " .. request.target] = request.body
      assert.equal("Bearer " .. x.key, request.headers.authorization)
    end
    assert.same({
      ["POST /queued?a=1"] = '[1,{"b":2}]', ["POST /none"] = "",
    }, seen)
  end)

  it("are the API's own", function()
    for _, path in ipairs {
      "", "p", "//other.example/p", "http://other.example/p", "/a b", "/a#b",
      "/a\\b", "/a\r\nX: y",
    } do
      h.assert_error_like("ValidationError", "^path: ",
        x.client:post(path, {}))
    end
    assert.equal(0, x.client:stats().accepted)
  end)
end)

describe("Unknown fields:", function()
  it("are sent as given", function()
    local more = { plan = "pro", deep = { list = { 1, "2", true } } }
    local event = { name = "a.b", plan = more.plan, deep = more.deep }
    x.client.events.capture(event)
    x:settle()
    event.timestamp = h.body_of(x.requests[1]).timestamp
    assert.same(event, h.body_of(x.requests[1]))
    x.client.users.identify { user_id = "u", plan = "pro", deep = more.deep }
    x:settle()
    more.user_id = "u"
    assert.same(more, h.body_of(x.requests[2]))
  end)
end)

describe("Numbers:", function()
  it("arrive with all their digits", function()
    local numbers = { [0.1] = "0.1", [2 ^ 53] = "9007199254740992",
      [1e15] = "1000000000000000", [-2 ^ 53] = "-9007199254740992" }
    local largest = rawget(math, "maxinteger")
    if largest then
      numbers[largest] = "9223372036854775807"
      numbers[largest - 1] = "9223372036854775806"
    elseif rawget(_G, "jit") then
      local ffi = require "ffi"
      numbers[ffi.new("int64_t", 2 ^ 53) + 1] = "9007199254740993"
      numbers[ffi.new("uint64_t", 0) - 1] = "18446744073709551615"
    end
    for number, digits in pairs(numbers) do
      local before = #x.requests
      x.client.events.capture { name = "a", data = { n = number } }
      x.client:post("/p", { n = number })
      x:settle()
      for i = before + 1, before + 2 do
        assert.matches('"n":' .. digits .. "}", x.requests[i].body, 1, true)
      end
    end
  end)
end)

describe("Success:", function()
  it("is the decoded object, and status and headers", function()
    each_call(function(send)
      for status, body in pairs {
        [200] = '{"success":true,"id":"e1"}', [201] = "{}",
        [299] = ' {"list":[1]}\n',
      } do
        local _, response, http, err = send {
          { status, { ["X-Id"] = "r1" }, body },
        }
        assert.same(cjson.decode(body), response)
        assert.equal(status, http.status)
        assert.equal("r1", http.headers["x-id"])
        assert.is_nil(err)
      end
    end)
  end)

  it("is an empty table without a body", function()
    each_call(function(send)
      for _, answer in ipairs { { 200, nil, "" }, { 204 } } do
        local _, response, http = send { answer }
        assert.same({}, response)
        assert.equal(answer[1], http.status)
      end
    end)
  end)

  it("is none when the body denies it, or is no JSON object", function()
    each_call(function(send)
      for body, text in pairs {
        ['{"success":false,"error":"later"}'] = "later", ["<ok>"] = "<ok>",
        ["[true]"] = "[true]", ['{"success":true'] = '{"success":true',
      } do
        local requests, response, message, err = send { { 200, nil, body } }
        assert.equal(1, #requests)
        assert.is_nil(response)
        assert.equal("200 " .. text, message)
        assert.equal("APIStatusError", err.name)
        assert.equal(200, err.status)
      end
    end)
  end)
end)
