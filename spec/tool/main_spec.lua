local h = require "spec.helper"

local COMMANDS = {
  "check", "send", "identify", "import", "listen", "doctor", "queue",
}

describe("seerstack", function()
  it("lists its commands and statuses, and fails without one", function()
    local result = h.tool.run {}
    assert.equal(2, result.status)
    assert.equal("", result.stdout)
    local help = h.ended_well(h.tool.run { "--help" }).stdout
    assert.equal(help, result.stderr)
    for _, command in ipairs(COMMANDS) do
      assert.matches("\n  " .. command .. " +%l", help)
    end
    assert.matches("Exit status: 0 done; .-130 interrupted", help)
  end)

  it("has a help for each command, with its options and the statuses",
    function()
      for _, command in ipairs(COMMANDS) do
        local help = h.ended_well(h.tool.run { command, "--help" }).stdout
        assert.matches("^Usage: seerstack " .. command .. "%f[%W]", help)
        assert.matches("\n  %-h, %-%-help +this text\n", help)
        assert.matches("\nExit status: ", help, 1, true)
        for line in help:gmatch "[^\n]+" do
          assert(#line <= 79, line)
        end
      end
    end)

  it("says its version", function()
    local version = require "seerstack"._VERSION
    assert.equal("seerstack " .. version .. "\n",
      h.ended_well(h.tool.run { "--version" }).stdout)
  end)

  local function assert_usage(message, words)
    local result = h.tool.run(words, { env = { SEERSTACK_API_KEY = "sk_x" } })
    assert.equal("seerstack: " .. message .. "\n", result.stderr)
    assert.equal("", result.stdout)
    assert.equal(2, result.status)
  end

  it("names what it does not know", function()
    assert_usage("unknown command 'sned'; see seerstack --help", { "sned" })
    assert_usage("unknown option '--usr'", { "send", "a.b", "--usr", "x" })
    assert_usage("unknown option '-x'", { "send", "-xy" })
    assert_usage("option '--json=1' takes no value", { "check", "--json=1" })
    assert_usage("option '-u' needs a value", { "send", "a.b", "-u" })
    assert_usage("--timeout: 'soon' is no number",
      { "check", "--timeout", "soon" })
    assert_usage("option 'base_url': an http or https URL expected",
      { "check", "--url", "ftp://x" })
  end)

  it("takes no word that it would not use", function()
    assert_usage("check: 'x' is one word too many; usage: seerstack check",
      { "check", "x" })
    assert_usage("check: '--x' is one word too many; usage: seerstack check",
      { "check", "--", "--x" })
    assert_usage("import: 'b' is one word too many; usage: seerstack import "
      .. "FILE [--from LINES]", { "import", "a", "b" })
    assert_usage("queue: --drain or --purge, not both",
      { "queue", "/nowhere", "--purge", "--drain" })
    assert_usage("'x' is neither name=text nor name:=JSON",
      { "send", "a.b", "--", "x" })
  end)

  it("has a status for a missing key", function()
    for _, key in ipairs { false, " " } do
      local result = h.tool.run({ "send", "a.b" },
        { env = { SEERSTACK_API_KEY = key } })
      assert.equal("seerstack: there is no key: set SEERSTACK_API_KEY\n",
        result.stderr)
      assert.equal(4, result.status)
    end
  end)
end)
