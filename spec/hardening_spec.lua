-- What the compiler and the linker were asked for is in what they made.

local h = require "spec.helper"

local path = h.library "seerstack"

local function ask(question)
  return h.shell.output("LC_ALL=C readelf -W " .. question .. " "
    .. h.shell.quote(path))
end

describe("the module", function()
  it("has all its symbols bound when it is loaded, and stays", function()
    local dynamic = ask "-d"
    assert.matches("%(FLAGS_1%)[^\n]* NOW", dynamic)
    assert.matches("%(FLAGS_1%)[^\n]* NODELETE", dynamic)
    assert.not_matches("TEXTREL", dynamic)
  end)

  it("has tables that cannot be written, and a stack without code",
    function()
      local segments = ask "-l"
      assert.matches("GNU_RELRO", segments)
      local flags = segments:match "GNU_STACK%s+%S+ %S+ %S+ %S+ %S+ (%u+)"
      assert.equal("RW", flags)
      assert.not_matches(" RWE ", segments)
    end)

  it("exports luaopen_seerstack alone", function()
    local exported = {}
    for name in ask("--dyn-syms"):gmatch
      "%s%u+%s+%u+%s+DEFAULT%s+%d+ (%S+)" do
      exported[#exported + 1] = name
    end
    assert.same({ "luaopen_seerstack" }, exported)
  end)

  -- The sanitizers' own checks are in their place.
  if not os.getenv "SANITIZER" then
    it("guards its stack, and what writes into memory of known size",
      function()
        local symbols = ask "--dyn-syms"
        assert.matches(" __stack_chk_fail", symbols)
        assert.matches(" __v?snprintf_chk", symbols)
        assert.matches(" __memcpy_chk", symbols)
      end)
  end
end)
