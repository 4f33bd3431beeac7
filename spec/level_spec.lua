-- The level of what is told: log_level, or the environment's SEERSTACK_LOG.

local h = require "spec.helper"

describe("the level", function()
  local x = h.exchange()

  -- Which levels a program's lines have that gives occasion to each, and
  -- the lines.
  local function levels(level, options)
    local result = x:child({ env = { SEERSTACK_LOG = level }, code = ([[
      local function new(options)
        options.exit_timeout = 0
        %s
        return seerstack.new(options)
      end
      assert(new {}.events.capture({ name = "a" }, { wait = true }))
      new { base_url = "http://192.0.2.1" }.events.capture { name = "b" }
    ]]):format(options or "") })
    local found = {}
    for line in result.stderr:gmatch "[^\n]+" do
      found[assert(line:match "^seerstack: (%l+): ", line)] = true
    end
    assert.is_nil(result.stderr:find(x.key, 1, true))
    return found, result.stderr
  end

  local EXPECTED = {
    off = {}, error = { error = true }, warn = { error = true, warn = true },
    info = { error = true, warn = true, info = true },
    debug = { error = true, warn = true, info = true, debug = true },
  }

  for level, expected in pairs(EXPECTED) do
    it(level .. " is the environment's, or log_level", function()
      assert.same(expected, (levels(level)))
      assert.same(expected, (levels(" " .. level .. "\t\n")))
      assert.same(expected, (levels("debug",
        ("options.log_level = %q"):format(level))))
    end)
  end

  it("is warn when SEERSTACK_LOG is missing or blank", function()
    for _, value in ipairs { false, "", " \t\n" } do
      local found, text = levels(value)
      assert.same(EXPECTED.warn, found)
      assert.is_nil(text:find("SEERSTACK_LOG", 1, true))
    end
  end)

  it("is warn when SEERSTACK_LOG is none, which is told once", function()
    for _, value in ipairs { "junk", "warning", "2", "off,debug" } do
      local found, text = levels(value)
      assert.same(EXPECTED.warn, found)
      assert.is_truthy(text:find("seerstack: warn: SEERSTACK_LOG is no "
        .. "level: " .. value, 1, true), text)
      assert.equal(1, select(2, text:gsub("SEERSTACK_LOG", "")))
    end
  end)

  it("that is none makes one line of what it is", function()
    local _, text = levels "junk\nseerstack: error: forged\27[1m\n"
    assert.is_truthy(text:find("is no level: junk seerstack: error: forged "
      .. "[1m; it counts as warn\n", 1, true), text)
    assert.is_nil(text:find("\nseerstack: error: forged", 1, true))
  end)

  it("of log_level makes nothing of what SEERSTACK_LOG is", function()
    assert.same({}, (levels("junk", 'options.log_level = "off"')))
  end)

  it("is read when a client is made", function()
    local result = h.script.run {
      env = { SEERSTACK_LOG = "junk", SEERSTACK_API_KEY = "sk_x" },
      code = 'require "seerstack"',
    }
    assert.equal("", result.stderr)
  end)
end)
