-- Clients that have captured nothing: made, asked, closed; and the first event
-- of each, which is captured with the next try if the first one fails.

return function(t)
  require "seerstack"

  -- Whether it can, which is so at the second try if one call has failed.
  local function capture(client)
    local done = false
    for _ = 1, 2 do
      t.go(function()
        done = done or t.try(client.events.capture { name = "first" })
      end)
    end
    assert(done or t.mode ~= "once", "the first event cannot be captured")
  end

  return {
    run = function()
      local clients = {}
      for i, site in ipairs { "a", "a", "b" } do
        clients[i] = t.new { api_key = "key-" .. site,
          base_url = t.url("ok", site) }
      end
      t.arm()
      for _, client in ipairs(clients) do
        t.go(function()
          t.try(client:stats())
          t.try(client:flush(0))
          t.try(client:pump(0))
        end)
        capture(client)
      end
      t.go(function()
        local closed = require "seerstack".new { api_key = "key-c",
          log_level = "off", proxy = false }
        t.try(closed:close())
        local result, _, err = closed.events.capture { name = "closed" }
        assert(result == nil and err.name == "ClosedError")
        assert(closed:stats().refused == 1)
      end)
      for _, client in ipairs(clients) do
        t.go(function() t.try(client:flush(t.patience)) end)
      end
    end,
  }
end
