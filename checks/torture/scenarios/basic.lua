-- Events are captured, and flushed.

return function(t)
  require "seerstack"
  return {
    check = function(client)
      t.check_cost(client, { api_key = "key-a", base_url = t.url("ok", "a"),
        log_level = "off", proxy = false })
    end,
    run = function()
      t.arm()
      local client = t.new { api_key = "key-a", base_url = t.url("ok", "a") }
      t.go(function()
        for i = 1, 3 do
          t.try(client.events.capture {
            name = "n" .. i, user_id = i, data = { x = 1.5, y = { "z", { } } },
          })
        end
      end)
      t.go(function()
        t.try(client.users.identify { user_id = "u", email = "e@x" })
        t.try(client.users.identify { user_id = "u", name = "n" })
      end)
      t.try(client:flush(t.patience))
      t.try(client:stats())
    end,
  }
end
