-- A full queue that refuses, one that displaces, and what the default client
-- and a server that is down do.

return function(t)
  local seerstack = require "seerstack"
  return {
    dropped = 20,
    quiet = { [3] = true },
    run = function()
      t.arm()
      local refusing = t.new { api_key = "key-a",
        base_url = t.url("limited", "a"), max_queue_events = 2 }
      local displacing = t.new { api_key = "key-b",
        base_url = t.url("limited", "b"), max_queue_bytes = 1500,
        overflow = "drop_oldest", on_error = function() end }
      local down = t.new { api_key = "key-c", base_url = t.url "down",
        exit_timeout = 1 }
      for i = 1, 5 do
        t.go(function()
          t.try(refusing.events.capture { name = "n" .. i })
          t.try(displacing.users.identify { user_id = i, name = "n" })
          t.try(down.events.capture { name = "n" })
        end)
      end
      t.try(refusing:flush(t.patience))
      t.try(displacing:flush(t.patience))
      t.try(down:flush(0.2))
      t.try(seerstack.capture { name = "default" })
      displacing:poll()
    end,
  }
end
