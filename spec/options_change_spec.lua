-- Options that change while they are read: a finalizer runs at any time. Each
-- is read once, so it is as it was before, or as it is after and wrong.

local h = require "spec.helper"

describe("options", function()
  it("may be changed by a finalizer while they are read", function()
    local result = h.script.run { code = [[
      local seerstack = require "seerstack"
      local function with_finalizer(f)
        if not newproxy then
          return setmetatable({}, { __gc = f })
        end
        local value = newproxy(true)
        getmetatable(value).__gc = f
        return value
      end
      local ENDS = {
        "option 'api_key': string expected, got table)",
        "option 'base_url': string expected, got table)",
        "option 'headers': table expected, got 1)",
      }
      local made, changed = 0, 0
      for round = 1, 3000 do
        local options = {
          api_key = "sk_x", base_url = "http://127.0.0.1:1", test_mode = true,
          headers = { ["X-A"] = "1" },
        }
        local function change()
          options.api_key, options.base_url, options.headers = {}, {}, 1
        end
        for _ = 1, 20 do
          with_finalizer(change)
        end
        collectgarbage("step", round % 50)
        local ok, client = pcall(seerstack.new, options)
        if ok then
          assert(client.events.capture { name = "a" })
          assert(client:captured()[1].headers["x-a"] == "1")
          made = made + 1
        else
          local known = false
          for _, text in ipairs(ENDS) do
            known = known or client:find(text, 1, true)
          end
          assert(known, client)
          changed = changed + 1
        end
      end
      print(made + changed)
    ]] }
    assert.equal(0, result.status, result.stderr)
    assert.equal("3000\n", result.stdout)
  end)
end)
