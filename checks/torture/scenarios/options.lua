-- A client with all that a client can have, and one made of it; requests with
-- options of their own.

return function(t)
  require "seerstack"
  return {
    dropped = 1,
    run = function()
      t.arm()
      local client = t.new {
        api_key = "key-a", base_url = t.url("ok", "a") .. "/",
        headers = { ["X-Site"] = "a", Authorization = "Bearer key-a" },
        query = { site = "a", ["ü"] = 1 },
        proxy = "http://user:secret@" .. t.proxy,
        ca_blob = t.authorities, http_version = "1.1",
        default_data = { site = "a" }, default_attributes = { site = "a" },
        rate_limit = 100000, overflow = "drop_oldest", log_level = "info",
        logger = function(_, message) return #message end,
        before_send = function(event)
          return event.name ~= "drop" and event or nil
        end,
      }
      local other = client:with_options {
        headers = { ["X-Other"] = "a" }, query = { other = "a" },
        before_send = false, proxy = false,
      }
      t.clients[#t.clients + 1] = other
      t.go(function()
        t.try(client.events.capture { name = "drop" })
        t.try(client.events.capture({ name = "n", data = { x = { 1 } } }, {
          headers = { ["X-More"] = "1" }, query = { more = 2 },
          idempotency_key = "one", extra_body = { data = { y = 2 } },
          timeout = 9, max_retries = 1,
        }))
        t.try(client.users.identify { user_id = "u", name = "n" })
      end)
      t.go(function()
        t.try(other.events.capture { name = "o", data = { big = 2 ^ 53 } })
      end)
      t.try(client:flush(t.patience))
      t.try(other:flush(t.patience))
      client:poll()
    end,
  }
end
