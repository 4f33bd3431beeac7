-- Test mode, and a client that is not enabled.

return function(t)
  require "seerstack"
  return {
    dropped = 5,
    elsewhere = true,
    run = function()
      t.arm()
      local client = t.new { test_mode = true, api_key = "sk_kept",
        headers = { ["X-A"] = "sk_kept" } }
      local off = t.new { enabled = false }
      t.go(function()
        t.try(client.events.capture { name = "n", data = { 1, x = 2 } })
        t.try(client:post("/p", { 1, 2 }, { wait = true, query = { a = 1 } }))
      end)
      t.go(function()
        local future = t.try(client.users.identify({ user_id = 1 },
          { future = true }))
        if future then
          t.try(future:get())
        end
      end)
      t.go(function()
        for _, request in ipairs(client:captured()) do
          assert(request.json, "no text")
          assert(request.headers["x-a"] == "***", "a secret")
        end
      end)
      t.go(function()
        t.try(off.events.capture { name = "n" })
        t.try(off.events.capture({ name = "n" }, { wait = true }))
      end)
    end,
  }
end
