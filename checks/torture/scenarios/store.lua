-- Events go to a store, which is one for all runs: what a run leaves there in
-- a bad state, the next ones find.

return function(t)
  require "seerstack"
  require "seerstack.sqlite"
  return {
    run = function()
      t.arm()
      local store
      t.go(function()
        store = require "seerstack.sqlite".open {
          directory = os.getenv "TORTURE_DIRECTORY" .. "/events",
        }
      end)
      local client = t.new { api_key = "key-a", base_url = t.url("ok", "a"),
        store = store }
      t.record(client)
      if store then
        t.try(client:persist(0.5))
      end
      t.try(client:flush(t.patience))
      t.try(client:stats())
    end,
  }
end
