-- Events that cannot be sent, by programs that do not look at the result.

local h = require "spec.helper"

local function told_by(code)
  local result = h.script.run {
    code = [[
      local client = require "seerstack".new {
        api_key = "sk_test_invalid", base_url = "http://127.0.0.1:1",
        exit_timeout = 0, thread = false, -- nothing is sent meanwhile
      }
    ]] .. code,
    env = h.environment(false, false),
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
seerstack: warn: capture: name: a non-empty string is required (did ]]
      .. [[you mean name by "event"?); the event to /capture ]]
      .. [[is not sent
seerstack: warn: capture: data.f: a function cannot be sent; the event ]]
      .. [['a.b' to /capture is not sent
seerstack: warn: identify: user_id: a non-empty string or an integral ]]
      .. [[number is required; the event 'Jane' to ]]
      .. [[/identify is not sent
seerstack: warn: post: path: must have at most 8192 bytes, be ASCII ]]
      .. [[(percent-encode the rest), begin with one "/", have no space, ]]
      .. [[control character, "#", "\" or segment ".."; the event to ]]
      .. "/\195\164 is not sent\n", stderr)
    assert.equal("12\t0\n", stdout)
  end)

  it("for a full queue or a failing before_send is told once, too", function()
    local stderr = told_by [[
      local full = client:with_options { max_queue_events = 1 }
      local failing = client:with_options {
        before_send = function() error("oops", 0) end,
      }
      for i = 1, 4 do
        full.events.capture { name = "n" .. i }
        failing.events.capture { name = "f" .. i }
      end
      full.events.capture({ name = "n" }, { wait = true })
      print(full:stats().refused, failing:stats().dropped)
    ]]
    assert.equal([[
seerstack: warn: capture: before_send failed: oops; the event 'f1' to ]]
      .. [[/capture is not sent
seerstack: warn: capture: queue full: max_queue_events is 1, ]]
      .. [[max_queue_bytes 16777216; the event 'n2' to /capture is not sent
]], stderr:gsub("seerstack: error: [^\n]*\n", ""))
  end)

  it("is told the logger, and not who waits or wants no warning", function()
    local x = h.open()
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
      .. "the event to /capture is not sent" }, heard)
    assert.equal(3, client:stats().invalid)
    local quiet = x:new { logger = logger, log_level = "error" }
    assert.is_nil((quiet.events.capture {}))
    quiet:poll()
    assert.equal(1, #heard)
    assert.equal(1, quiet:stats().invalid)
    x:close()
  end)

  it("does not show the key in its name", function()
    local x = h.open()
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

describe("a field that may be meant as another", function()
  local NAME = "name: a non-empty string is required"

  local function problem(event, method)
    local x = h.open()
    local space = method == "identify" and x.client.users or x.client.events
    local _, message = space[method or "capture"](event, { future = true })
    x:close()
    return message
  end

  it("is named in the message of an event that cannot be sent", function()
    assert.equal(NAME .. ' (did you mean name by "event", user_id by '
      .. '"userId", timestamp by "ts", data by "properties"?)', problem {
      event = "a", userId = 1, ts = 3, properties = {},
    })
    assert.equal("user_id: a non-empty string or an integral number is "
      .. 'required (did you mean user_id by "distinct_id", email by "Mail", '
      .. 'attributes by "traits"?)', problem({
      distinct_id = 1, Mail = "", traits = {}, name = "J",
    }, "identify"))
  end)

  it("is one edit away, whatever its capitals and separators", function()
    for _, given in ipairs {
      "nam", "names", "game", "nmae", "ame", "NAME", "_name_", "na-me",
    } do
      assert.equal(NAME .. (' (did you mean name by "%s"?)'):format(given),
        problem { [given] = "a" })
    end
    for _, given in ipairs {
      "na", "nemo", "naem_s", "amen", "", "_", "n\0ame", "n\195\164me",
      ("name"):rep(99), 5, true,
    } do
      assert.equal(NAME, (problem { [given] = "a" }):match "^[^;(]+$")
    end
  end)

  it("is no hint where the known field is given as well", function()
    assert.equal("data.f: a function cannot be sent", problem {
      name = "a", event = "b", data = { f = print }, properties = {},
    })
  end)

  it("is told once per kind where the event is sent", function()
    local stderr, stdout = told_by [[
      for _ = 1, 3 do
        client.events.capture { name = "a.b", userID = 1, color = "red" }
        client.events.capture { name = "a.b", props = {} }
        client.users.identify { user_id = 1, traits = {} }
        client.users.identify { user_id = 1, traits = {}, attributes = {} }
      end
      print(client:stats().invalid, client:stats().accepted)
    ]]
    assert.equal([[
seerstack: warn: capture: did you mean user_id by "userID"?; the event ]]
      .. [['a.b' to /capture is sent as it is
seerstack: warn: identify: did you mean attributes by "traits"?; the event ]]
      .. [[to /identify is sent as it is
]], (stderr:gsub("seerstack: error: 12 events were not [^\n]+\n", "")))
    assert.equal("0\t12\n", stdout)
  end)

  it("is told once where metamethods would show more", function()
    local stderr = told_by [[
      local shows = { __index = { plan = "pro" } }
      local lists = { __pairs = function() error "called" end }
      for _ = 1, 2 do
        client.events.capture { name = "a", data = {} }
        client.events.capture { name = "a", data = setmetatable({}, {}) }
        client.events.capture { name = "a",
          data = setmetatable({ x = 1 }, shows) }
      end
      for _ = 1, 2 do
        client.events.capture { name = "b", data = setmetatable({}, shows) }
        client.users.identify { user_id = 1,
          attributes = setmetatable({}, lists) }
        client.events.capture { name = "c", userId = 5 }
      end
    ]]
    assert.equal([[
seerstack: warn: capture: data is empty by raw access, and no metamethod is ]]
      .. [[called: copy what __index or __pairs would show; the event 'b' to ]]
      .. [[/capture is sent as it is
seerstack: warn: capture: did you mean user_id by "userId"?; the event 'c' ]]
      .. [[to /capture is sent as it is
]], (stderr:gsub("seerstack: error: 12 events were not [^\n]+\n", "")))
  end)

  it("is told nobody who wants no warnings", function()
    local x = h.open()
    local heard = 0
    for _, level in ipairs { "error", "warn" } do
      local client = x:new {
        log_level = level, logger = function() heard = heard + 1 end,
      }
      client.events.capture { name = "a", userid = 1 }
      client.events.capture { name = "a", userid = 1 }
      client:poll()
      assert.equal(level == "warn" and 1 or 0, heard)
    end
    x:close()
  end)
end)
