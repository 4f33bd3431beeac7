local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local load = h.load
local jit = rawget(_G, "jit")
local MAXINTEGER = rawget(math, "maxinteger") -- nil before Lua 5.3
local MININTEGER = rawget(math, "mininteger")

local NO_NAME = "name: a non-empty string is required"
local NO_USER = "user_id: a non-empty string or an integral number is required"
local NOT_EXACT =
  "user_id: a number beyond 2^53 is not exact; give a string"
local NO_TIME = "timestamp: must be a non-empty string or a number of "
  .. "seconds from 0 to 253402300799"

-- A copy of t with more fields.
local function with(t, fields)
  local copy = {}
  for k, v in pairs(t) do
    copy[k] = v
  end
  for k, v in pairs(fields) do
    copy[k] = v
  end
  return copy
end

local CAPTURE = { name = "x", timestamp = "t" }

local function captured(fields)
  return h.bodies.one(with(CAPTURE, fields))
end

local function assert_captured(expected, fields)
  assert.equal('{"name":"x",' .. expected .. "}", captured(fields))
end

local function assert_refused(expected, event, kind)
  h.assert_error("ValidationError", expected, nil,
    h.bodies.refused(event, kind))
end

local function timestamp_of(seconds)
  local body = h.bodies.one { name = "x", timestamp = seconds }
  return cjson.decode(body).timestamp
end

-- What the user_id of a capture and of an identify is written as.
local function assert_user(expected, user_id)
  assert_captured('"user_id":' .. expected .. ',"timestamp":"t"',
    { user_id = user_id })
  assert.equal('{"user_id":' .. expected .. "}",
    h.bodies.one({ user_id = user_id }, "identify"))
end

local function assert_no_user(expected, user_id)
  assert_refused(expected, { name = "x", user_id = user_id })
  assert_refused(expected, { user_id = user_id }, "identify")
end

local NO_NAMES = {
  5, true, false, {}, print, seerstack.null, "",
}

describe("capture", function()
  it("sends name, user_id, timestamp and data, in this order", function()
    assert.equal('{"name":"invoice.paid","user_id":"user_123",'
      .. '"timestamp":"2025-01-04T12:00:00Z","data":{"amount":2000}}',
      h.bodies.one {
        name = "invoice.paid", user_id = "user_123",
        timestamp = "2025-01-04T12:00:00Z", data = { amount = 2000 },
      })
  end)

  it("sends what is not given as nothing, but a timestamp", function()
    assert.matches('^{"name":"x","timestamp":"[^"]+"}$',
      h.bodies.one { name = "x" })
  end)

  it("lets names of the service's own events pass", function()
    assert.equal('{"name":"$pageview","timestamp":"t"}',
      h.bodies.one { name = "$pageview", timestamp = "t" })
  end)

  it("refuses a name that is no string, or empty", function()
    assert_refused(NO_NAME, {})
    assert_refused(NO_NAME, { data = {} })
    for _, name in ipairs(NO_NAMES) do
      assert_refused(NO_NAME, { name = name })
    end
  end)

  it("repairs what is not UTF-8 in a name or user_id", function()
    assert.equal('{"name":"a\239\191\189","user_id":"\239\191\189b",'
      .. '"timestamp":"t"}', h.bodies.one {
        name = "a\255", user_id = "\255b", timestamp = "t",
      })
  end)

  it("takes a user_id of null as none", function()
    assert_captured('"timestamp":"t"', { user_id = seerstack.null })
  end)

  it("sends data that is empty as {}", function()
    assert_captured('"timestamp":"t","data":{}', { data = {} })
  end)

  it("sends no data when it is null", function()
    assert_captured('"timestamp":"t"', { data = seerstack.null })
  end)

  if jit then
    it("takes a NULL pointer of LuaJIT's for null", function()
      local null = require "ffi".new "void *"
      assert_captured('"timestamp":"t"', { user_id = null, data = null })
      assert_captured('"timestamp":"t","data":{"a":null}',
        { data = { a = null } })
    end)
  end

  it("refuses data that is an array", function()
    local message = "data: must be a table of named values, not an array"
    for _, data in ipairs {
      { 1 }, { { a = 1 }, { b = 2 } }, seerstack.array {},
      seerstack.array { 1 }, { [2] = "b", [1] = "a" },
    } do
      assert_refused(message, { name = "x", data = data })
    end
  end)

  it("takes data with number keys that make no array", function()
    assert_captured('"timestamp":"t","data":{"2":true}',
      { data = { [2] = true } })
    assert_captured('"timestamp":"t","data":{"0":true}',
      { data = { [0] = true } })
  end)

  it("refuses data that is no table", function()
    for _, data in ipairs { "text", 5, true, print, io.stdout } do
      assert_refused("data: must be a table, got " .. type(data),
        { name = "x", data = data })
    end
  end)

  it("sends unknown fields as given, after the others", function()
    assert_captured('"timestamp":"t","data":{"a":1},"email":["x"]',
      { data = { a = 1 }, email = { "x" } })
    assert_captured('"timestamp":"t","7":"seven"', { [7] = "seven" })
    assert_captured('"timestamp":"t","extra":null',
      { extra = seerstack.null })
    assert_captured('"timestamp":"t","name\\u0000":1', { ["name\0"] = 1 })
    assert_captured('"timestamp":"t","Name":2', { Name = 2 })
    local decoded = cjson.decode(captured { a = { b = { 1 } }, c = "d" })
    assert.same({
      name = "x", timestamp = "t", a = { b = { 1 } }, c = "d",
    }, decoded)
  end)

  it("refuses unknown fields that cannot be sent, by their names", function()
    assert_refused("callback: a function cannot be sent",
      with(CAPTURE, { callback = print }))
    assert_refused("list[2].x: a function cannot be sent",
      with(CAPTURE, { list = { 1, { x = print } } }))
    assert_refused("[3]: a function cannot be sent",
      with(CAPTURE, { [3] = print }))
    assert_refused('["two words"]: a function cannot be sent',
      with(CAPTURE, { ["two words"] = print }))
    assert_refused("a boolean cannot be a key",
      with(CAPTURE, { [true] = 1 }))
    assert_refused('the keys 1 and "1" collide',
      with(CAPTURE, { [1] = 1, ["1"] = 2 }))
  end)

  it("reads fields by raw access", function()
    local event = setmetatable({ timestamp = "t" }, {
      __index = { name = "inherited" },
    })
    assert_refused(NO_NAME, event)
    event.name = "own"
    assert.equal('{"name":"own","timestamp":"t"}', h.bodies.one(event))
  end)

  it("leaves the caller's table as it is", function()
    local data = { list = { 1 }, [5] = 1.5 }
    local event = { name = "x", user_id = 7, data = data, [1] = "one" }
    h.bodies.one(event)
    assert.same({
      name = "x", user_id = 7, data = { list = { 1 }, [5] = 1.5 },
      [1] = "one",
    }, event)
    assert.equal(data, event.data)
  end)

  it("sends what the tables held when it was called", function()
    local event = { name = "x", timestamp = "t", data = { a = 1 } }
    local list = h.bodies.during(function(send)
      assert.is_true(send(event))
      event.data.a, event.name = 2, "y"
    end)
    assert.same({ '{"name":"x","timestamp":"t","data":{"a":1}}' }, list)
  end)
end)

describe("a user_id", function()
  it("is a string as given", function()
    assert_user('"user_123"', "user_123")
    assert_user('"0012"', "0012")
    assert_user('" "', " ")
    assert_user('"76561197960287930"', "76561197960287930")
    assert_user('"a\\u0000b"', "a\0b")
  end)

  it("is an integral number, with all its digits, as a string", function()
    assert_user('"0"', 0)
    assert_user('"0"', -0.0)
    assert_user('"42"', 42)
    assert_user('"-5"', -5)
    assert_user('"100000000000001"', 100000000000001)
    assert_user('"9007199254740991"', 2 ^ 53 - 1)
    assert_user('"-9007199254740991"', 1 - 2 ^ 53)
  end)

  it("is no float of 2^53 or more, which may have been another number",
    function()
      for _, user_id in ipairs {
        2 ^ 53, -2 ^ 53, 2 ^ 60, -2 ^ 63, 2 ^ 64, 1e300,
      } do
        assert_no_user(NOT_EXACT, user_id)
      end
    end)

  if MAXINTEGER then
    it("is an integer of Lua 5.3 of up to 64 bits", function()
      assert_user('"76561197960287930"', 76561197960287930)
      assert_user('"9007199254740993"', 9007199254740993)
      assert_user('"9223372036854775807"', MAXINTEGER)
      assert_user('"-9223372036854775808"', MININTEGER)
    end)
  else
    it("is refused when its literal was rounded", function()
      assert_no_user(NOT_EXACT, 76561197960287930)
      assert_no_user(NOT_EXACT, 9007199254740993)
    end)
  end

  if jit then
    it("is an int64_t or uint64_t of LuaJIT", function()
      assert_user('"76561197960287930"', load "return 76561197960287930LL" ())
      assert_user('"18446744073709551615"',
        load "return 18446744073709551615ULL" ())
      assert_user('"-1"', load "return -1LL" ())
    end)

    it("is no other C data", function()
      assert_no_user(NO_USER, require "ffi".new("double", 1))
      assert_no_user(NO_USER, require "ffi".new("int64_t[1]"))
    end)
  end

  it("is nothing else", function()
    for _, user_id in ipairs {
      "", 1.5, 0 / 0, 1 / 0, -1 / 0, true, false, {}, print, io.stdout,
    } do
      assert_no_user(NO_USER, user_id)
    end
  end)
end)

describe("a timestamp", function()
  it("is the time of the call when none is given", function()
    for _, event in ipairs {
      { name = "x" }, { name = "x", timestamp = seerstack.null },
    } do
      local before = os.time() -- of a clock that is some ms late
      local text = cjson.decode(h.bodies.one(event)).timestamp
      local after = math.floor(require "socket".gettime())
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", text)
      local second = text:sub(1, 19)
      assert.is_true(os.date("!%Y-%m-%dT%H:%M:%S", before) <= second)
      assert.is_true(second <= os.date("!%Y-%m-%dT%H:%M:%S", after))
    end
  end)

  it("is a string as given", function()
    for _, text in ipairs {
      "2025-01-04T12:00:00Z", "2025-01-04T12:00:00+01:00", "yesterday",
    } do
      assert.equal(text, timestamp_of(text))
    end
  end)

  it("is a number of seconds, written in UTC with milliseconds", function()
    for seconds, text in pairs {
      [0] = "1970-01-01T00:00:00.000Z",
      [0.001] = "1970-01-01T00:00:00.001Z",
      [951782400] = "2000-02-29T00:00:00.000Z",
      [1700000000] = "2023-11-14T22:13:20.000Z",
      [1700000000.123] = "2023-11-14T22:13:20.123Z",
      [1735689599.5] = "2024-12-31T23:59:59.500Z",
      [4107542400] = "2100-03-01T00:00:00.000Z",
      [253402300799] = "9999-12-31T23:59:59.000Z",
    } do
      assert.equal(text, timestamp_of(seconds))
    end
  end)

  it("keeps every millisecond of a number", function()
    local events = {}
    for ms = 0, 999 do
      events[#events + 1] =
        { name = "x", timestamp = tonumber(("1700000000.%03d"):format(ms)) }
    end
    for i, body in ipairs(h.bodies.of(events)) do
      assert.equal(("2023-11-14T22:13:20.%03dZ"):format(i - 1),
        cjson.decode(body).timestamp)
    end
  end)

  it("is rounded to the millisecond, but not past the year 9999", function()
    assert.equal("1970-01-01T00:00:00.000Z", timestamp_of(0.0004))
    assert.equal("1970-01-01T00:00:00.001Z", timestamp_of(0.0006))
    assert.equal("1970-01-01T00:00:01.000Z", timestamp_of(0.9999))
    assert.equal("9999-12-31T23:59:59.999Z", timestamp_of(253402300799.9999))
  end)

  it("is refused when it is out of range, empty or something else",
    function()
      for _, timestamp in ipairs {
        -1, -0.001, 253402300800, 1e300, 1 / 0, -1 / 0, 0 / 0, "", true, {},
        print,
      } do
        assert_refused(NO_TIME, { name = "x", timestamp = timestamp })
      end
    end)

  if jit then
    it("is no int64_t of LuaJIT", function()
      assert_refused(NO_TIME,
        { name = "x", timestamp = load "return 1735992000LL" () })
    end)
  end
end)

describe("identify", function()
  it("sends user_id, email, name and attributes, in this order", function()
    assert.equal('{"user_id":"user_123","email":"grace@hopper.com",'
      .. '"name":"Grace Hopper","attributes":{"plan":"enterprise"}}',
      h.bodies.one({
        user_id = "user_123", email = "grace@hopper.com",
        name = "Grace Hopper", attributes = { plan = "enterprise" },
      }, "identify"))
  end)

  it("adds nothing that is not given, and no timestamp", function()
    assert.equal('{"user_id":"u"}',
      h.bodies.one({ user_id = "u" }, "identify"))
  end)

  it("needs a user_id", function()
    assert_refused(NO_USER, {}, "identify")
    assert_refused(NO_USER, { email = "x" }, "identify")
    assert_refused(NO_USER, { user_id = seerstack.null }, "identify")
  end)

  it("sends email and name when they are empty or null", function()
    assert.equal('{"user_id":"u","email":null,"name":""}', h.bodies.one({
      user_id = "u", email = seerstack.null, name = "",
    }, "identify"))
  end)

  it("refuses email and name that are no strings", function()
    for _, value in ipairs { 5, true, {}, print } do
      assert_refused("email: must be a string",
        { user_id = "u", email = value }, "identify")
      assert_refused("name: must be a string",
        { user_id = "u", name = value }, "identify")
    end
  end)

  it("treats attributes as capture treats data", function()
    local function sent(attributes)
      return h.bodies.one({ user_id = "u", attributes = attributes },
        "identify")
    end
    assert.equal('{"user_id":"u","attributes":{}}', sent {})
    assert.equal('{"user_id":"u"}', sent(seerstack.null))
    assert_refused("attributes: must be a table of named values, not an array",
      { user_id = "u", attributes = { 1 } }, "identify")
    assert_refused("attributes: must be a table, got string",
      { user_id = "u", attributes = "x" }, "identify")
    assert_refused("attributes.a[1]: a function cannot be sent",
      { user_id = "u", attributes = { a = { print } } }, "identify")
  end)

  it("sends timestamp and data as it sends any unknown field", function()
    assert.equal('{"user_id":"u","timestamp":5}',
      h.bodies.one({ user_id = "u", timestamp = 5 }, "identify"))
    assert.equal('{"user_id":"u","data":[1]}',
      h.bodies.one({ user_id = "u", data = { 1 } }, "identify"))
  end)
end)
