local h = require "spec.helper"
local seerstack = require "seerstack"

local NAN = 0 / 0
local LONGEST = 2147483
local NOWHERE = h.making.NOWHERE

local with, refusal = h.making.with, h.making.refusal
local assert_refused = h.making.assert_refused
local assert_accepted = h.making.assert_accepted

local TIMES = {
  "timeout", "connect_timeout", "initial_retry_delay", "max_retry_delay",
  "max_connection_age", "exit_timeout", "exit_connect_timeout", "max_age",
}

local COUNTS = {
  max_retries = { 0, 1000 },
  max_in_flight = { 1, 1000 },
  max_queue_events = { 1, 10000000 },
  max_queue_bytes = { 1, 2 ^ 40 },
  max_event_bytes = { 1, 2 ^ 30 },
  rate_limit = { 1, 1000000000 },
}

describe("new", function()
  it("needs no option but the key", function()
    local client = seerstack.new {
      api_key = "sk_test_options", base_url = NOWHERE,
    }
    assert.is_true(client:close())
  end)

  it("raises when its argument is no table", function()
    assert.equal("bad argument #1 to 'new' (table expected, got string)",
      refusal("sk_test_options"))
    assert.equal("bad argument #1 to 'new' (table expected, got boolean)",
      refusal(false))
  end)

  it("points at the line that calls it", function()
    local ok, message = pcall(function()
      return (seerstack.new { api_key = 1 })
    end)
    assert.is_false(ok)
    assert.matches("^%S*options_spec%.lua:%d+: bad argument #1 to 'new'",
      message)
  end)

  it("raises for an option that it does not know", function()
    assert.equal("bad argument #1 to 'new' (unknown option 'flushat')",
      refusal(with { flushat = 20 }))
    assert.equal("bad argument #1 to 'new' (unknown option 'Timeout')",
      refusal(with { Timeout = 20 }))
    assert.equal("bad argument #1 to 'new' (unknown option '')",
      refusal(with { [""] = 20 }))
  end)

  it("does not take the beginning of a name for the name", function()
    assert.equal([[bad argument #1 to 'new' (unknown option 'wait\0x\0')]],
      refusal(with { ["wait\0x\0"] = true }))
    assert.matches("unknown option", refusal(with { wai = true }), 1, true)
  end)

  it("raises for names that are no strings", function()
    assert.equal(
      "bad argument #1 to 'new' (unknown option: a number as its name)",
      refusal { "sk_test_secret" })
    assert.equal(
      "bad argument #1 to 'new' (unknown option: a boolean as its name)",
      refusal(with { [true] = 1 }))
    assert.equal(
      "bad argument #1 to 'new' (unknown option: a table as its name)",
      refusal(with { [{}] = 1 }))
  end)

  it("raises when it gets a table that only metamethods fill", function()
    local message = "the options are read by raw access, and there are none, "
      .. "only a metatable with __index or __pairs"
    local client = seerstack.new(with { test_mode = true })
    local calls = {
      ["#1 to 'new'"] = seerstack.new,
      ["#1 to 'configure'"] = seerstack.configure,
      ["#1 to 'with_options'"] = function(o) client:with_options(o) end,
      ["#2 to 'capture'"] = function(o)
        client.events.capture({ name = "a" }, o)
      end,
      ["#3 to 'post'"] = function(o) client:post("/x", nil, o) end,
    }
    for place, call in pairs(calls) do
      for _, name in ipairs { "__index", "__pairs" } do
        local ok, err = pcall(call, setmetatable({}, { [name] = error }))
        assert.is_false(ok)
        assert.matches("bad argument " .. place .. " (" .. message .. ")", err,
          1, true)
      end
    end
    assert.is_true((client.events.capture({ name = "a" },
      setmetatable({}, { __metatable = 1 }))))
  end)

  it("reads its options by raw access", function()
    local options = setmetatable(with {}, {
      __index = function() error("__index was called") end,
      __pairs = function() error("__pairs was called") end,
    })
    assert.is_true(seerstack.new(options):close())
  end)

  it("leaves its argument as it was", function()
    local options = with { timeout = 5, rate_limit = false }
    seerstack.new(options):close()
    assert.same(with { timeout = 5, rate_limit = false }, options)
  end)
end)

describe("an option that is a text", function()
  it("is refused when it has a zero, be it behind what is right", function()
    for name, text in pairs {
      api_key = "sk", base_url = NOWHERE, proxy = NOWHERE,
      overflow = "reject", log_level = "warn", http_version = "1.1",
      ca_file = "/dev/null", client_cert = "/dev/null",
      client_key = "/dev/null", client_key_password = "x",
    } do
      assert_refused(name, text .. "\0")
      assert_refused(name, text .. "\0x")
    end
  end)
end)

describe("an option that is a time", function()
  it("is a positive number of seconds", function()
    for _, name in ipairs(TIMES) do
      for _, value in ipairs { 1, 0.25, 1e-9, 5e-324, LONGEST } do
        assert_accepted(name, value)
      end
    end
  end)

  it("is refused when it is negative, NaN, infinite or too long", function()
    for _, name in ipairs(TIMES) do
      for _, value in ipairs {
        -1, -1e-9, NAN, -math.huge, math.huge, LONGEST + 1,
      } do
        assert_refused(name, value)
      end
    end
  end)

  it("is refused when it is 0, unless it is exit_timeout", function()
    for _, name in ipairs(TIMES) do
      if name == "exit_timeout" then
        assert_accepted(name, 0)
      else
        assert_refused(name, 0, "a number of seconds > 0 expected, got 0")
      end
    end
  end)

  it("is refused when it is of another type", function()
    for _, name in ipairs(TIMES) do
      for _, value in ipairs { "5", false, true, {}, print } do
        assert_refused(name, value)
      end
    end
  end)

  it("is refused with the value that was given", function()
    assert_refused("timeout", -1, "a number of seconds > 0 expected, got -1")
    assert_refused("timeout", "5",
      "a number of seconds > 0 expected, got string")
    assert_refused("exit_timeout", -2,
      "a number of seconds >= 0 expected, got -2")
    assert_refused("timeout", 2147484,
      "a number of seconds <= 2147483 expected, got 2147484")
  end)

  it("is rounded up to whole milliseconds", function()
    local silent = h.server.new()
    local client = seerstack.new(with {
      base_url = silent.url, exit_timeout = 0.0301,
    })
    assert.is_true(client.events.capture { name = "a.b" })
    local result, message = client:flush()
    assert.is_nil(result)
    assert.matches("timed out after 0.031 s", message, 1, true)
    silent:serve {
      handler = function() return 200, nil, '{"success":true}' end,
      until_ = function() return client:stats().pending == 0 end,
    }
    assert.equal(1, client:stats().delivered)
    silent:close()
  end)
end)

describe("an option that is a count", function()
  it("is an integral number within its range", function()
    for name, range in pairs(COUNTS) do
      assert_accepted(name, range[1])
      assert_accepted(name, range[2])
      assert_accepted(name, range[1] + 0.0)
    end
  end)

  it("is refused outside of it", function()
    for name, range in pairs(COUNTS) do
      for _, value in ipairs {
        range[1] - 1, range[2] + 1, range[1] + 0.5, -1, NAN, math.huge,
        -math.huge,
      } do
        assert_refused(name, value)
      end
    end
  end)

  it("is refused when it is of another type", function()
    for name in pairs(COUNTS) do
      for _, value in ipairs { "5", true, {}, print } do
        assert_refused(name, value)
      end
      if name ~= "rate_limit" then
        assert_refused(name, false)
      end
    end
  end)

  it("is refused with its range and the value that was given", function()
    assert_refused("max_in_flight", 0,
      "an integer from 1 to 1000 expected, got 0")
    assert_refused("max_in_flight", "5",
      "an integer from 1 to 1000 expected, got string")
    assert_refused("max_in_flight", 2.5,
      "an integer from 1 to 1000 expected, got 2.5")
    assert_refused("rate_limit", true,
      "an integer from 1 to 1000000000, or false, expected, got boolean")
  end)

  it("is without limit when it is rate_limit and false", function()
    assert_accepted("rate_limit", false)
  end)
end)

describe("overflow", function()
  it("is 'reject' or 'drop_oldest'", function()
    assert_accepted("overflow", "reject")
    assert_accepted("overflow", "drop_oldest")
  end)

  it("is refused otherwise", function()
    for _, value in ipairs { "drop", "REJECT", "", "reject\0", 1, false } do
      assert_refused("overflow", value)
    end
    assert_refused("overflow", 1,
      "'reject' or 'drop_oldest' expected, got 1")
  end)
end)

describe("wait", function()
  it("is a boolean", function()
    assert_accepted("wait", true)
    assert_accepted("wait", false)
  end)

  it("is refused otherwise", function()
    for _, value in ipairs { "true", 1, 0, {} } do
      assert_refused("wait", value)
    end
    assert_refused("wait", "yes", "boolean expected, got string")
  end)
end)

describe("the options of a request", function()
  local client

  before_each(function()
    client = seerstack.new(with { exit_timeout = 0 })
  end)

  after_each(function()
    assert.equal(0, client:stats().accepted)
  end)

  local function assert_request_refused(options, expected)
    local event = { name = "a.b", user_id = "u" }
    for name, send in pairs {
      capture = client.events.capture, identify = client.users.identify,
    } do
      h.assert_raises(("bad argument #2 to '%s' (%s)"):format(name, expected),
        send, event, options)
    end
  end

  it("are a table", function()
    assert_request_refused("wait", "table expected, got string")
    assert_request_refused(true, "table expected, got boolean")
  end)

  it("are known", function()
    assert_request_refused({ wiat = true }, "unknown option 'wiat'")
    assert_request_refused({ api_key = "sk_x" }, "unknown option 'api_key'")
    assert_request_refused({ ["wait\0x"] = true },
      [[unknown option 'wait\0x']])
    assert_request_refused({ "wait" },
      "unknown option: a number as its name")
  end)

  it("are of the type and the range that they have in new", function()
    assert_request_refused({ wait = 1 },
      "option 'wait': boolean expected, got 1")
    assert_request_refused({ timeout = 0 },
      "option 'timeout': a number of seconds > 0 expected, got 0")
    assert_request_refused({ timeout = false },
      "option 'timeout': a number of seconds > 0 expected, got boolean")
    assert_request_refused({ max_retries = -1 },
      "option 'max_retries': an integer from 0 to 1000 expected, got -1")
  end)
end)
