-- Two clients take turns on the same handles of libcurl: nothing of one may
-- be in the requests of the other.

return function(t)
  require "seerstack"
  local function make(site, options)
    options.api_key = "key-" .. site
    options.base_url = t.url("ok", site, options.tls)
    options.tls = nil
    options.headers = { ["X-Site"] = site }
    options.query = { site = site }
    return t.new(options)
  end
  return {
    run = function()
      local plain = make("a", { max_in_flight = 1 })
      local proxied = make("b", { proxy = "http://" .. t.proxy })
      local secure = make("c", { tls = true, ca_blob = t.authorities })
      local other = make("d", { tls = true,
        ca_file = os.getenv "TORTURE_CA" })
      t.arm()
      for _ = 1, 2 do
        for i, client in ipairs { plain, proxied, secure, other } do
          t.go(function()
            local site = ("abcd"):sub(i, i)
            t.try(client.events.capture { name = "n", site = site })
            t.try(client:flush(t.patience))
          end)
        end
      end
    end,
  }
end
