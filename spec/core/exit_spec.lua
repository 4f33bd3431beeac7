-- The end of a process while the API is slow; the rest is in process_spec.

local script = require "spec.support.script"
local standin = require "dev.standin"

describe("at exit", function()
  local api

  before_each(function()
    api = standin.start()
    api:config { delay = 3 }
  end)

  after_each(function() api:stop() end)

  -- What is in flight was connected before the exit began, and is answered
  -- more than two seconds after.
  local function run(thread)
    return script.run {
      code = ([[
        local seerstack = require "seerstack"
        local client = seerstack.new { max_in_flight = 1, thread = %s }
        for _ = 1, 2 do
          client.events.capture { name = "a" }
        end
        client:pump(0.3)
        os.execute "sleep 0.3"
      ]]):format(thread),
      env = script.environment(api.url, api.key),
    }
  end

  for _, thread in ipairs { "true", "false" } do
    it("a connection that has just been used counts, thread = " .. thread,
      function()
        local result = run(thread)
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
        assert.equal(2, api:count())
      end)
  end
end)
