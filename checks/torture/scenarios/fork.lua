-- A fork in the middle: both processes go on.

return function(t)
  require "seerstack"
  return {
    rejected = t.mode == "once" and 0 or 1, -- the future's, after its attempts
    run = function()
      t.arm()
      local client = t.new { api_key = "key-a", base_url = t.url("ok", "a") }
      t.go(function()
        t.try(client.events.capture { name = "before" })
        t.try(client.events.capture({ name = "before" }, { future = true }))
      end)
      local child = t.host.fork(function()
        t.try(client.events.capture { name = "child" })
        t.try(client:flush(t.patience))
        t.try(client.users.identify { user_id = 1, name = "child" })
        t.try(client:stats())
      end)
      t.go(function()
        t.try(client.events.capture { name = "after" })
        t.try(client:flush(t.patience))
      end)
      if child then
        t.host.wait(child)
      end
    end,
  }
end
