-- Requests that are waited for: a response, an error, a retry, futures.

return function(t)
  require "seerstack"
  return {
    rejected = 6,
    run = function()
      t.arm()
      local good = t.new { api_key = "key-a", base_url = t.url("ok", "a") }
      local bad = t.new { api_key = "key-b", base_url = t.url("bad", "b"),
        on_error = function() end }
      local flaky = t.new { api_key = "key-c", base_url = t.url("flaky", "c"),
        wait = true }
      t.go(function()
        t.try(good.events.capture({ name = "w" }, { wait = true }))
      end)
      t.go(function()
        t.try(bad.events.capture({ name = "b" }, { wait = true }))
      end)
      t.go(function()
        t.try(flaky.users.identify { user_id = 1, name = "f" })
      end)
      t.go(function()
        local one = t.try(good:post("/p", { 1 }, { future = true }))
        local other = t.try(bad:post("/p?x=1", nil, { future = true }))
        t.try(good.events.capture({ name = "dropped" }, { future = true }))
        if one then
          one:done()
          t.try(one:get(t.patience))
        end
        if other then
          tostring(other)
          t.try(other:get(t.patience))
        end
      end)
      collectgarbage()
    end,
  }
end
