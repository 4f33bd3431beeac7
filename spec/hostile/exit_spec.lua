-- What would end a process badly if it caught the thread at a bad time.

local h = require "spec.helper"

describe("a process that ends", function()
  local scripted = h.each_server()

  -- The libraries clean up after themselves then: what OpenSSL works with is
  -- gone while somebody may still be in it.
  it("does not leave the thread within the TLS library", function()
    local result = h.ended_well(h.start {
      code = [[
        local client = seerstack.new { exit_timeout = 0, log_level = "off" }
        assert(client.events.capture { name = "a.b" })
        local function is_preparing()
          local file = assert(io.open "/proc/self/fdinfo/1")
          local position = file:read "*a":match "pos:%s*(%d+)"
          file:close()
          return tonumber(position) > 0
        end
        while not is_preparing() do
          require "socket".sleep(0.01)
        end
      ]],
      env = h.environment("https://127.0.0.1:" .. scripted.port, "k", {
        LD_PRELOAD = h.preload "slow_tls", SEER_SLOW_TLS = 1500,
      }),
    })
    assert.equal("preparing\n", result.stdout)
  end)
end)
