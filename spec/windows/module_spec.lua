-- The module for Windows, under wine, against the stand-in over TCP. What it
-- shares with other systems is proved there: these specs are of what a system
-- has to give, which is threads, sockets, an end, TLS and files.

local cjson = require "cjson"
local h = require "spec.helper"
local windows = require "spec.support.windows"

describe("on Windows, the module", function()
  local api = h.standin()

  local function ended_well(code)
    return windows.ended_well(api, code)
  end

  it("is loaded", function()
    assert.equal(require "seerstack"._VERSION .. "\n",
      ended_well "print(seerstack._VERSION)")
  end)

  it("sends an event that is waited for, and reads the answer", function()
    local output = ended_well [[
      local client = seerstack.new { timeout = 100 }
      local response = assert(client.events.capture({ name = "a.b",
        data = { text = "\195\164" } }, { wait = true }))
      print(response.success)
    ]]
    assert.equal("true\n", output)
    assert.equal("ä", cjson.decode(api:events()[1].body).data.text)
  end)

  it("tells of what the server refuses", function()
    local output = ended_well [[
      local client = seerstack.new { api_key = "sk_wrong", timeout = 100,
        log_level = "off" }
      local _, message, err = client.events.capture({ name = "a.b" },
        { wait = true })
      print(message ~= nil, err.name, err.status)
    ]]
    assert.equal("true\tAuthenticationError\t401\n", output)
  end)

  it("delivers without a thread, when it is asked to", function()
    local output = ended_well [[
      local client = seerstack.new { thread = false }
      capture(client, 1, 5)
      print(client:pump(100))
    ]]
    assert.equal("0\n", output)
    h.assert_received(api, 5)
  end)

  it("says that processes share no budget there", function()
    local result = windows.run(api, [[
      local client = seerstack.new { share_rate_limit = true }
      capture(client, 1, 3)
      assert(client:flush(100))
    ]])
    assert.equal(0, result.status)
    assert.matches("the rate limit is this process's alone, not shared: ",
      result.stderr)
    h.assert_received(api, 3)
  end)

  it("has no stores", function()
    assert.equal("false\n",
      ended_well [[print((pcall(require, "seerstack.sqlite")))]])
  end)
end)
