local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local raw = seerstack.raw
local value, problem = h.bodies.value, h.bodies.problem

-- The body of what the client, in test mode, is given.
local function body(kind, event, options, client_options)
  local client = seerstack.new(h.merge({
    api_key = "sk_test_raw", base_url = "http://127.0.0.1:1",
    test_mode = true, log_level = "off",
  }, client_options))
  local send = kind == "post" and function(...)
    return client:post("/x", ...)
  end or kind == "identify" and client.users.identify or client.events.capture
  local ok, message, err = send(event, options)
  if not ok then
    return nil, message, err
  end
  return client:captured()[1].json
end

describe("seerstack.raw", function()
  local EXACT = {
    '{"id":76561197960287930,"list":[],"price":1.50}', "[]", "{}", "null",
    "-0", "1E400", "0.10", "123456789012345678901234567890", '"\\u00e9\\/"',
    '"\\ud83d\\ude00"', '"\195\169"', '{"a":1,"a":2}', "[1, 2,\n{ }\t]",
  }

  it("is sent as it is, but for blanks around it", function()
    for _, text in ipairs(EXACT) do
      assert.equal(text, value(raw(text)))
      assert.equal(text, value(raw(" \t\r\n" .. text .. "\n ")))
      assert.equal(text, tostring(raw(" " .. text)))
    end
    assert.equal('[1,{"x":[]}]', value { 1, raw '{"x":[]}' })
  end)

  it("may be the data of an event, and the attributes of a user", function()
    assert.matches('"data":{ "list": %[%] }}$',
      (body("capture", { name = "a.b", data = raw '{ "list": [] }' })))
    assert.equal('{"user_id":"u","attributes":{"n":9007199254740993}}',
      (body("identify", { user_id = "u",
        attributes = raw '{"n":9007199254740993}' })))
  end)

  it("is refused, by its field, when it is not JSON", function()
    for text, message in pairs {
      [""] = "not JSON from byte 1 on", ["{"] = "not JSON from byte 2 on",
      ["[1,]"] = "not JSON from byte 4 on", ["01"] = "not JSON from byte 2 on",
      ['{"a":1,}'] = "not JSON from byte 8 on", ["'a'"] =
        "not JSON from byte 1 on", ["nul"] = "not JSON from byte 4 on",
      ["1 2"] = "not JSON from byte 3 on", ["NaN"] = "not JSON from byte 1 on",
      ["1."] = "not JSON from byte 3 on", ["1e"] = "not JSON from byte 3 on",
      ['"\n"'] = "not JSON from byte 2 on", ['"\\x"'] =
        "not JSON from byte 2 on", ['"\\u12g4"'] = "not JSON from byte 2 on",
      ["1\0"] = "not JSON from byte 2 on", ['"\0"'] =
        "not JSON from byte 2 on", ["{1:2}"] = "not JSON from byte 2 on",
      ['{"a" 1}'] = "not JSON from byte 6 on", ['"a'] =
        "not JSON from byte 3 on", ["\239\187\1911"] =
        "not JSON from byte 1 on", ['"\255"'] = "not UTF-8 from byte 2 on",
      ['"\237\160\128"'] = "not UTF-8 from byte 2 on", ['"\195'] =
        "not UTF-8 from byte 2 on", ['"\\ud83d"'] =
        "not UTF-8 from byte 2 on", ['"\\ude00\\ud83d"'] =
        "not UTF-8 from byte 2 on", ['"\\ud83d\\u0041"'] =
        "not UTF-8 from byte 2 on",
    } do
      assert.equal("data.list[2]: " .. message,
        problem { list = { 1, raw(text) } }, text)
    end
  end)

  it("has as many levels as tables have", function()
    local function nested(levels)
      return raw(("["):rep(levels) .. ("]"):rep(levels))
    end
    assert.is_string(value(nested(99)))
    assert.equal("data.v: more than 100 levels of tables",
      problem { v = nested(100) })
    assert.equal("data.v: more than 100 levels of arrays and objects",
      problem { v = nested(101) })
    assert.equal("data.v: more than 100 levels of arrays and objects",
      problem { v = raw(("["):rep(1e6)) })
  end)

  it("counts for max_event_bytes", function()
    local _, message = body("capture",
      { name = "a", data = { raw('"' .. ("x"):rep(1000) .. '"') } }, nil,
      { max_event_bytes = 1000 })
    assert.equal(
      "event too large: more than 1000 bytes (max_event_bytes)", message)
  end)

  it("must be an object where names are needed", function()
    for _, text in ipairs { "5", "[]", '"x"', "null" } do
      local _, message, err = body("capture",
        { name = "a", data = raw(text) })
      assert.matches("^data: must be a table", message)
      assert.equal("ValidationError", err.name)
      _, message = body("capture", raw(text))
      assert.equal("event: must be an object", message)
    end
    local _, message = body("post", raw "5")
    assert.equal("body: must be an object or an array", message)
  end)

  it("may be the whole event, whose fields are checked as ever", function()
    local text = body("capture", raw [[ {
      "name": "level.won", "user_id": 76561197960287930,
      "timestamp": 0.5, "data": {"list":[],"big":76561197960287931},
      "extra": 1.50, "no": null, "yes": true, "list": [ ], "big": 1e2 } ]])
    assert.matches('"user_id":"76561197960287930"', text)
    assert.matches('"timestamp":"1970%-01%-01T00:00:00%.500Z"', text)
    for _, part in ipairs {
      '"name":"level.won"', '"data":{"list":[],"big":76561197960287931}',
      '"extra":1.50', '"no":null', '"yes":true', '"list":[ ]', '"big":1e2',
    } do
      assert.is_truthy(text:find(part, 1, true), part .. " in " .. text)
    end
    local without = cjson.decode(body("capture", raw '{"name":"a"}'))
    assert.matches("^20%d%d%-", without.timestamp)
    for case, message in pairs {
      ["{}"] = "name: a non-empty string is required",
      ['{"name":1}'] = "name: a non-empty string is required",
      ['{"name":"a","data":[]}'] = "data: must be a table, got userdata",
      ['{"name":"a","user_id":1.5}'] =
        "user_id: a non-empty string or an integral number is required",
      ['{"name":"a"'] = "event: not JSON from byte 12 on",
    } do
      assert.equal(message, select(2, body("capture", raw(case))), case)
    end
  end)

  it("may be the body of a post", function()
    assert.equal('[1,{"x":[]},1.0]', (body("post", raw '[ 1,{"x":[]},1.0 ]')))
    assert.equal("[]", (body("post", raw "[]")))
    assert.equal("{}", (body("post", raw "{ }")))
  end)

  it("is merged with defaults and extra fields by its names", function()
    local text = body("capture", { name = "a", data = raw '{"x":1e3,"y":1}' },
      { extra_body = { data = raw '{"y":2,"z":[]}' } },
      { default_data = { x = 5, w = 0 } })
    for _, part in ipairs { '"x":1e3', '"y":2', '"z":[]', '"w":0' } do
      assert.is_truthy(text:find(part, 1, true), part .. " in " .. text)
    end
    assert.equal("data: not JSON from byte 2 on", select(2,
      body("capture", { name = "a", data = raw "{" }, nil,
        { default_data = { x = 5 } })))
  end)

  it("is seen by before_send as a value whose text is tostring's", function()
    local seen
    local event = raw '{"name":"a","user_id":7,"data":{"x":[]}}'
    local text = body("capture", event, nil, {
      before_send = function(given)
        seen = given
        given.name = given.name .. "!"
        return given
      end,
    })
    assert.equal("a!", seen.name)
    assert.equal("7", seen.user_id)
    assert.equal('{"x":[]}', tostring(seen.data))
    assert.matches('"name":"a!".*"data":{"x":%[%]}', text)
  end)

  it("goes to on_error, where it cannot be sent", function()
    local event
    local client = seerstack.new {
      api_key = "k", base_url = "http://127.0.0.1:1", log_level = "off",
      on_error = function(_, given) event = given end,
    }
    local text = raw "{"
    client.events.capture(text)
    client:poll()
    assert.equal(text, event)
  end)

  it("raises for what is no string, and can be taken for no other userdata",
    function()
      for _, wrong in ipairs { 5, true, {}, seerstack.null } do
        local ok, message = pcall(raw, wrong)
        assert.is_false(ok)
        assert.matches("string expected, got", message)
      end
      assert.equal("data.v: a userdata cannot be sent",
        problem { v = io.stdout })
      assert.is_false(getmetatable(raw "1"))
      h.assert_raises("bad argument #1 to 'capture' (table expected, got "
        .. "userdata)", seerstack.new { api_key = "k" }.events.capture,
        io.stdout)
    end)
end)
