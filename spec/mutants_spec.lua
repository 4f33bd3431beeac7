local h = require "spec.helper"
local list = require "checks.mutants.list"

describe("the list of deliberate defects", function()
  for _, mutant in ipairs(list) do
    it("has a place and a test for: " .. mutant.what, function()
      local source = assert(h.shell.read(mutant.file))
      local first, last = source:find(mutant.from, 1, true)
      assert.is_truthy(first)
      assert.is_nil(source:find(mutant.from, last + 1, true))
      assert.is_truthy(h.shell.read(mutant.spec))
      assert.is_string(mutant.title)
    end)
  end

  it("has twenty of them at least", function()
    assert.is_true(#list >= 20)
  end)
end)
