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
      t.record(client)
      t.try(client:flush(t.patience))
      t.try(client:stats())
    end,
  }
end
