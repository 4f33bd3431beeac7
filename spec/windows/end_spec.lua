-- How a program ends on Windows, where a library's own handlers of exit are
-- called when its threads are gone.

local h = require "spec.helper"
local windows = require "spec.support.windows"

local EVENTS = 900

describe("on Windows, events are delivered", function()
  local api = h.standin()

  local function run(ending, options, url)
    return windows.run(api, ([[
      local client = seerstack.new { rate_limit = false, %s }
      capture(client, 1, %d)
      %s
    ]]):format(options or "exit_timeout = 200", EVENTS, ending), url)
  end

  for ending, expected in pairs {
    [""] = 0, ["os.exit(0)"] = 0, ["os.exit(0, true)"] = 0,
    ["os.exit(3)"] = 3,
  } do
    it("at the end " .. ending, function()
      local result = run(ending)
      assert.equal("", result.stderr)
      assert.equal(expected, result.status)
      h.assert_received(api, EVENTS)
    end)
  end

  it("at an error", function()
    local result = run 'error "its own"'
    assert.equal(1, result.status)
    assert.matches("its own", result.stderr)
    h.assert_received(api, EVENTS)
  end)

  it("or it is said that they are not", function()
    local result = run("", "exit_timeout = 0.5", "http://127.0.0.1:1")
    assert.equal(0, result.status)
    assert.matches("seerstack: error: 900 events were not delivered before"
      .. " exit: ", result.stderr)
  end)

  it("or it is said that they may be lost, where no handler is called",
    function()
      local result = run 'require "windows_end"'
      assert.equal(5, result.status)
      assert.matches("seerstack: error: %d+ events may be lost: ",
        result.stderr)
    end)
end)
