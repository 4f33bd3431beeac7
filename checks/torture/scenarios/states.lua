-- States are opened and closed, one with events that are not sent yet.

local CODE = [[
  local seerstack = require "seerstack"
  local client = seerstack.new { api_key = "key-a", base_url = %q,
    log_level = "off", proxy = false, timeout = 5, exit_timeout = 5 }
  client.events.capture { name = "n" }
  local future = client.events.capture({ name = "f" }, { future = true })
  local closer = setmetatable({}, { __gc = function()
    client.events.capture({ name = "late" })
  end })
]]

return function(t)
  require "seerstack"
  return {
    run = function()
      t.arm()
      local client = t.new { api_key = "key-a", base_url = t.url("ok", "a") }
      for _ = 1, 2 do
        t.go(t.host.state, CODE:format(t.url("ok", "a")))
      end
      t.try(client.events.capture { name = "n" })
      t.try(client:flush(t.patience))
    end,
  }
end
