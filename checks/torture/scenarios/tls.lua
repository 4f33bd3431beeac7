-- Over TLS: with authorities as text, and from a file; redirects, also from
-- plain http, and to it.

return function(t)
  require "seerstack"
  return {
    rejected = 3,
    run = function()
      t.arm()
      local blob = t.new { api_key = "key-a",
        base_url = t.url("hop", "a", true), ca_blob = t.authorities }
      local file = t.new { api_key = "key-b",
        base_url = t.url("away", "b"), ca_file = os.getenv "TORTURE_CA",
        headers = { ["X-Site"] = "b" } }
      local down = t.new { api_key = "key-c",
        base_url = t.url("plain", "c", true), ca_blob = t.authorities }
      t.go(function()
        t.try(blob.events.capture { name = "n" })
        t.try(blob:flush(t.patience))
      end)
      t.go(function()
        t.try(file.events.capture({ name = "n" }, { wait = true }))
      end)
      t.go(function()
        t.try(down.events.capture({ name = "n" }, { wait = true }))
      end)
    end,
    quiet = { [2] = true, [3] = true }, -- queued, they are not followed
  }
end
