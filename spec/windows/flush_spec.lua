-- Many events at once, on Windows.

local h = require "spec.helper"
local windows = require "spec.support.windows"

describe("on Windows, the module", function()
  local api = h.standin()

  it("delivers 5,000 queued events with a flush", function()
    local output = windows.ended_well(api, [[
      local client = seerstack.new { rate_limit = false }
      capture(client, 1, 5000)
      print(client:flush(500), client:stats().delivered)
    ]])
    assert.equal("true\t5000\n", output)
    h.assert_received(api, 5000)
  end)
end)
