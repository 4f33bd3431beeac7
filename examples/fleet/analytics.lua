-- What nginx.conf calls, on each server. The client is made in the master, and
-- each worker goes on with a connection to Redis of its own.

local ok, client = pcall(function()
  local redis = require "seerstack.redis"
  return require("seerstack").new {
    store = redis.open { url = os.getenv "EVENTS_REDIS" },
  }
end)
if not ok then
  ngx.log(ngx.ERR, "analytics are off: ", client)
  client = nil
end

local analytics = {}

-- Queues an event. It must not matter to the visitor whether that works.
function analytics.page_view()
  if not client then
    return
  end
  local queued, message = client.events.capture {
    name = "page.viewed",
    data = { path = ngx.var.uri, status = ngx.status },
  }
  if not queued then
    ngx.log(ngx.WARN, "no event: ", message)
  end
end

return analytics
