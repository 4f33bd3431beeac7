-- Events that cannot be sent, by programs that do not look at the result.

local exchange = require "spec.support.exchange"
local script = require "spec.support.script"

local function told_by(code)
  local result = script.run {
    code = [[
      local client = require "seerstack".new {
        api_key = "sk_test_invalid", base_url = "http://127.0.0.1:1",
        exit_timeout = 0,
      }
    ]] .. code,
    env = script.environment(false, false),
  }
  assert.equal(0, result.status)
  return result.stderr, result.stdout
end

describe("an event that cannot be sent", function()
  it("is told on the standard error, once per kind", function()
    local stderr, stdout = told_by [[
      for _ = 1, 3 do
        client.events.capture { event = "signup" }
        client.events.capture { name = "a.b", data = { f = print } }
        client.users.identify { name = "Jane" }
        client:post("/\195\164", {})
      end
      print(client:stats().invalid, client:stats().accepted)
    ]]
    assert.equal([[
seerstack: warn: capture: name: a non-empty string is required; the event ]]
      .. [[is not sent
seerstack: warn: capture: data.f: a function cannot be sent; the event ]]
      .. [['a.b' is not sent
seerstack: warn: identify: user_id: a non-empty string or an integral ]]
      .. [[number is required; the event 'Jane' is not sent
seerstack: warn: post: path: must have at most 8192 bytes, be ASCII ]]
      .. [[(percent-encode the rest), begin with one "/", have no space, ]]
      .. [[control character, "#", "\" or segment ".."; the event is not sent
]], stderr)
    assert.equal("12\t0\n", stdout)
  end)

  it("is told the logger, and not who waits or wants no warning", function()
    local x = exchange.open()
    local heard = {}
    local function logger(level, message)
      heard[#heard + 1] = level .. " " .. message
    end
    local client = x:new { logger = logger }
    assert.is_nil((client.events.capture({}, { wait = true })))
    assert.is_nil((client.events.capture({}, { future = true })))
    client:poll()
    assert.same({}, heard)
    assert.is_nil((client.events.capture {}))
    client:poll()
    assert.same({ "warn capture: name: a non-empty string is required; "
      .. "the event is not sent" }, heard)
    assert.equal(3, client:stats().invalid)
    local quiet = x:new { logger = logger, log_level = "error" }
    assert.is_nil((quiet.events.capture {}))
    quiet:poll()
    assert.equal(1, #heard)
    assert.equal(1, quiet:stats().invalid)
    x:close()
  end)

  it("does not show the key in its name", function()
    local x = exchange.open()
    local heard
    local client = x:new {
      api_key = "sk_test_in_name", logger = function(_, message)
        heard = message
      end,
    }
    client.events.capture { name = "sk_test_in_name", data = 1 }
    client:poll()
    assert.not_matches("sk_test_in_name", heard)
    assert.matches("data: must be a table", heard)
    x:close()
  end)
end)
