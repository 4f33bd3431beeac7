local script = require "spec.support.script"
local seerstack = require "seerstack"
local server = require "spec.support.server"

local NAN = 0 / 0
local LONGEST = 2147483

-- Nothing listens there, and nothing is sent.
local NOWHERE = "http://127.0.0.1:1"

local function with(options)
  local all = { api_key = "sk_test_options", base_url = NOWHERE }
  for name, value in pairs(options) do
    all[name] = value
  end
  return all
end

local function refusal(options)
  local ok, message = pcall(seerstack.new, options)
  assert.is_false(ok)
  assert.is_string(message)
  return message
end

local function assert_refused(name, value, expected)
  local message = refusal(with { [name] = value })
  local start = "bad argument #1 to 'new' (option '" .. name .. "': "
  assert.equal(start, message:sub(1, #start))
  if expected then
    assert.equal(start .. expected .. ")", message)
  end
end

local function assert_accepted(name, value)
  assert.has_no.errors(function()
    seerstack.new(with { [name] = value }):close()
  end)
end

local TIMES = {
  "timeout", "connect_timeout", "initial_retry_delay", "max_retry_delay",
  "exit_timeout", "max_age",
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
    local message = refusal(with { ["wait\0x"] = true })
    assert.matches("unknown option", message, 1, true)
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
    local silent = server.new()
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

describe("api_key", function()
  it("is refused when it is blank", function()
    for _, key in ipairs { "", " ", " \t\r\n" } do
      assert_refused("api_key", key)
      local message = refusal(with { api_key = key })
      assert.matches("SEERSTACK_API_KEY", message, 1, true)
    end
  end)

  it("is refused, and not shown, when it is a number", function()
    local message = refusal { api_key = 12345678 }
    assert.truthy(message:find("api_key", 1, true), message)
    assert.is_nil(message:find("12345678", 1, true), message)
  end)

  it("is refused, and not shown, with a control character", function()
    for _, bad in ipairs { "\r", "\n", "\r\n", "\0", "\t", "\27", "\127" } do
      for _, key in ipairs { "sk_se" .. bad .. "cret", "sk_secret" .. bad } do
        assert_refused("api_key", key)
        local message = refusal(with { api_key = key })
        assert.is_nil(message:find("sk_se", 1, true))
        assert.is_nil(message:find("cret", 1, true))
      end
    end
  end)

  it("is refused when it is no string", function()
    assert_refused("api_key", 5, "string expected, got number")
    assert_refused("api_key", false, "string expected, got boolean")
  end)
end)

describe("base_url", function()
  it("is http or https, with or without a path", function()
    for _, url in ipairs {
      "http://127.0.0.1:1", "https://example.com", "https://example.com/",
      "http://localhost:8080/a/b/", "HTTPS://EXAMPLE.COM", "http://[::1]:80",
    } do
      assert_accepted("base_url", url)
    end
  end)

  it("is refused otherwise", function()
    for _, url in ipairs {
      "", " ", "example.com", "ftp://example.com", "http://",
      "https://example.com?a=b", "https://example.com#a", "file:///etc",
      "https://example.com/p#", "https://example.com/p?",
      "https://exa mple.com", "javascript:alert(1)", "https://h:port",
    } do
      assert_refused("base_url", url)
    end
  end)

  it("is refused, and not shown, with user information", function()
    assert_refused("base_url", "https://jane:pa55word@example.com")
    local message = refusal(with {
      base_url = "https://jane:pa55word@example.com",
    })
    assert.is_nil(message:find("jane", 1, true))
    assert.is_nil(message:find("pa55word", 1, true))
  end)

  it("is refused with a control character", function()
    for _, bad in ipairs { "\r\n", "\0", "\t", "\127" } do
      assert_refused("base_url", "https://example.com" .. bad)
      assert_refused("base_url", "https://exa" .. bad .. "mple.com")
    end
  end)

  it("is refused when it is no string", function()
    assert_refused("base_url", 5, "string expected, got number")
    assert_refused("base_url", {}, "string expected, got table")
  end)

  it("loses its trailing slashes", function()
    local function shown(url)
      return tostring(seerstack.new(with { base_url = url }))
    end
    assert.equal("seerstack.client (http://127.0.0.1:1)",
      shown("http://127.0.0.1:1/"))
    assert.equal("seerstack.client (http://127.0.0.1:1/a)",
      shown("http://127.0.0.1:1/a/"))
    assert.equal("seerstack.client (http://127.0.0.1:1/a)",
      shown("http://127.0.0.1:1/a///"))
    assert.equal("seerstack.client (http://127.0.0.1:1/a)",
      shown("http://127.0.0.1:1/a"))
  end)
end)

describe("the environment", function()
  local function run(env, options)
    local result = script.run {
      env = {
        SEERSTACK_API_KEY = env.key or false,
        SEERSTACK_BASE_URL = env.url or false,
      },
      code = ([[
        local ok, result = pcall(require "seerstack".new, %s)
        io.write(ok and "made " or "refused ", tostring(result))
      ]]):format(options or "nil"),
    }
    assert.equal(0, result.status, result.stderr)
    assert.equal("", result.stderr)
    return result.stdout
  end

  it("supplies the key", function()
    assert.equal("made seerstack.client (https://api.seerstack.com)",
      run { key = "sk_test_env" })
    assert.equal("made seerstack.client (https://api.seerstack.com)",
      run { key = " sk_test_env\n" })
  end)

  it("must have a key when no option gives it", function()
    local expected = "refused bad argument #1 to 'new' (the environment "
      .. "variable SEERSTACK_API_KEY is missing or empty; the option "
      .. "'api_key' may be given instead)"
    for _, options in ipairs { "nil", "{}", "{ timeout = 5 }" } do
      assert.equal(expected, run({}, options))
      assert.equal(expected, run({ key = "" }, options))
      assert.equal(expected, run({ key = " \t\n" }, options))
    end
  end)

  it("is not asked for a key that an option gives", function()
    assert.matches("^made ", run({}, '{ api_key = "sk_test_option" }'))
    assert.matches("^made ",
      run({ key = "sk_\r\nx" }, '{ api_key = "sk_test_option" }'))
    assert.matches("^refused ", run({ key = "sk_x" }, '{ api_key = "" }'))
  end)

  it("must not have a control character in the key", function()
    local text = run { key = "sk_se\r\ncret" }
    assert.matches("^refused bad argument #1 to 'new' %(option 'api_key'",
      text)
    assert.matches("SEERSTACK_API_KEY", text, 1, true)
    assert.is_nil(text:find("sk_se", 1, true))
    assert.is_nil(text:find("cret", 1, true))
  end)

  it("supplies the base URL, without the space around it", function()
    for _, url in ipairs {
      "http://127.0.0.1:1/p", " http://127.0.0.1:1/p/ \n",
    } do
      assert.equal("made seerstack.client (http://127.0.0.1:1/p)",
        run { key = "sk_x", url = url })
    end
  end)

  it("may have a blank base URL, which means none", function()
    for _, url in ipairs { "", "  ", "\n" } do
      assert.equal("made seerstack.client (https://api.seerstack.com)",
        run { key = "sk_x", url = url })
    end
  end)

  it("must not have a base URL that cannot be used", function()
    local text = run { key = "sk_x", url = "ftp://jane:pa55word@example.com" }
    assert.matches("^refused bad argument #1 to 'new' %(option 'base_url'",
      text)
    assert.matches("SEERSTACK_BASE_URL", text, 1, true)
    assert.is_nil(text:find("pa55word", 1, true))
  end)

  it("yields to the option base_url", function()
    assert.equal("made seerstack.client (http://127.0.0.1:1)",
      run({ key = "sk_x", url = "nonsense" },
        '{ base_url = "http://127.0.0.1:1" }'))
  end)
end)

describe("plain http", function()
  local function warnings(code)
    local result = script.run {
      env = { SEERSTACK_API_KEY = "sk_test_secret" },
      code = 'local seerstack = require "seerstack"\n' .. code,
    }
    assert.equal(0, result.status, result.stderr)
    assert.is_nil(result.stderr:find("sk_test_secret", 1, true))
    local _, lines = result.stderr:gsub("seerstack: [^\n]*plain http", "")
    return lines
  end

  it("is warned of, once", function()
    assert.equal(1, warnings [[
      seerstack.new { base_url = "http://example.com" }
      seerstack.new { base_url = "HTTP://example.org" }
    ]])
  end)

  it("is warned of for a host whose name only begins like a loopback's",
    function()
      assert.equal(1, warnings [[
        seerstack.new { base_url = "http://127.example.com" }
      ]])
    end)

  it("is not warned of when it stays on this machine, nor is https",
    function()
      assert.equal(0, warnings [[
        seerstack.new { base_url = "http://localhost:1" }
        seerstack.new { base_url = "http://127.0.0.1:1" }
        seerstack.new { base_url = "http://[::1]:1" }
        seerstack.new { base_url = "https://example.com" }
      ]])
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
      local ok, message = pcall(send, event, options)
      assert.is_false(ok)
      assert.equal(("bad argument #2 to '%s' (%s)"):format(name, expected),
        message)
    end
  end

  it("are a table", function()
    assert_request_refused("wait", "table expected, got string")
    assert_request_refused(true, "table expected, got boolean")
  end)

  it("are known", function()
    assert_request_refused({ wiat = true }, "unknown option 'wiat'")
    assert_request_refused({ api_key = "sk_x" }, "unknown option 'api_key'")
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
