-- Two clients take turns on one handle of libcurl, step by step: what one has
-- left half set must not be used for the other. Only "b" has a proxy.

return function(t)
  require "seerstack"
  local function make(site, proxy)
    return t.new {
      api_key = "key-" .. site, base_url = t.url("turn", site),
      headers = { ["X-Site"] = site }, proxy = proxy, thread = false,
    }
  end
  return {
    run = function()
      local plain = make("a", false)
      local proxied = make("b", "http://" .. t.proxy)
      t.try(plain.events.capture { name = "first" })
      t.try(plain:flush(t.patience))
      t.arm()
      for _ = 1, 2 do
        t.go(function()
          t.try(proxied.events.capture { name = "n" })
          proxied:pump()
          t.try(plain.events.capture { name = "n" })
          t.try(plain:flush(t.patience))
          t.try(proxied:flush(t.patience))
        end)
      end
    end,
  }
end
