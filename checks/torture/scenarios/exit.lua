-- The process ends with events that are not delivered: some of one client
-- that is closed in time, some of one that is collected, some of a third.

return function(t)
  require "seerstack"
  return {
    dead = true, -- what is left is delivered when nobody can ask any more
    elsewhere = true,
    run = function()
      t.arm()
      local client = t.new { api_key = "key-a",
        base_url = t.url("flaky", "a") }
      local collected = t.new { api_key = "key-a",
        base_url = t.url("ok", "a") }
      t.clients[2] = nil
      t.go(function()
        t.try(collected.events.capture { name = "c" })
      end)
      collected = nil
      collectgarbage()
      t.go(function()
        t.try(client.events.capture { name = "n" })
        t.try(client.users.identify { user_id = 1, name = "n" })
        t.try(client.users.identify { user_id = 1, name = "m" })
      end)
    end,
  }
end
