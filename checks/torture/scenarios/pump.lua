-- Without a thread: whoever waits sends.

return function(t)
  require "seerstack"
  return {
    rejected = t.mode == "once" and 0 or 1, -- the future's, after its attempts
    run = function()
      t.arm()
      local client = t.new { api_key = "key-a", base_url = t.url("ok", "a"),
        thread = false }
      t.go(function()
        t.try(client.events.capture { name = "n" })
        t.try(client.events.capture { name = "m" })
        client:pump()
        client:pump(0.5)
      end)
      t.go(function()
        local future = t.try(client.events.capture({ name = "f" },
          { future = true }))
        if future then
          future:done()
          t.try(future:get(t.patience))
        end
      end)
      t.try(client:flush(t.patience))
    end,
  }
end
