local h = require "spec.helper"

-- The program that `make test-unit` runs, from the same build as the module:
-- with a sanitizer, if that has one.
local program = "build/core"
  .. os.getenv("LUA_CPATH"):match("^build/[^/-]*(.-)/%?%.so") .. "/unit/unit"

local function run(arguments)
  local pipe = assert(io.popen(program .. " " .. arguments .. " 2>&1"))
  local output = pipe:read "*a"
  pipe:close()
  return output
end

describe("in the core", function()
  for title in run "--list":gmatch "[^\n]+" do
    it(title, function()
      local output = run(h.shell.quote(title))
      assert.equal("1 passed, 0 failed\n", output)
    end)
  end
end)
