-- before_send, on_error and logger; what they are told of.

return function(t)
  require "seerstack"
  return {
    rejected = 20, dropped = 20,
    run = function()
      t.arm()
      local client, told
      client = t.new {
        api_key = "key-a", base_url = t.url("bad", "a"), log_level = "debug",
        max_queue_events = 3, overflow = "drop_oldest",
        before_send = function(event)
          event.extra = { 1, 2 }
          return event
        end,
        on_error = function(err, event, json)
          if not told and not t.checking then
            told = true
            client.events.capture { name = "again" }
          end
          return err.message .. tostring(event) .. json
        end,
        logger = function(level, message, fields)
          return level .. message .. tostring(fields.url)
        end,
      }
      for i = 1, 5 do
        t.go(function()
          t.try(client.events.capture { name = "n" .. i, data = { i = i } })
        end)
      end
      t.try(client:flush(t.patience))
      t.go(client.poll, client)
      t.go(client.poll, client)
    end,
  }
end
