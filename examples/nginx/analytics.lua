-- What nginx.conf calls. One client for all of nginx: init_by_lua makes it in
-- the master, and each worker goes on with a queue and a thread of its own.

-- The website comes up whatever is missing: the key, the module, lua-cjson.
local ok, client = pcall(function()
  local seerstack = require "seerstack"
  -- With a store even a worker that is killed loses nothing: docs/stores.md.
  -- install -d -o www-data -m 700 /var/lib/nginx/events, and then
  -- store = require "seerstack.sqlite".open {
  --   directory = "/var/lib/nginx/events" }
  return seerstack.new {}
end)
if not ok then
  ngx.log(ngx.ERR, "analytics are off: ", client)
  client = nil
end

local analytics = { client = client }

-- Queues an event. It must not matter to the visitor whether that works.
function analytics.capture(event)
  if not client then
    return false
  end
  local queued, message = client.events.capture(event)
  if not queued then
    ngx.log(ngx.WARN, "no event: ", message)
  end
  return queued
end

-- Sends an event and returns the answer, or nil, message, err. It is this
-- request that waits: `wait = true` would hold up the whole worker.
function analytics.send(event)
  if not client then
    return {} -- as if it had been sent
  end
  local future, message, err = client.events.capture(event,
    { future = true, timeout = 5, max_retries = 0 })
  if not future then
    return nil, message, err
  end
  while not future:done() do
    ngx.sleep(0.005)
  end
  return future:get()
end

function analytics.page_view()
  analytics.capture {
    name = "page.viewed",
    data = { path = ngx.var.uri, status = ngx.status },
  }
end

function analytics.sign_up()
  local response, message = analytics.send {
    name = "user.signup",
    user_id = ngx.var.arg_user,
  }
  if not response then
    ngx.log(ngx.WARN, "not signed up: ", message)
    return ngx.exit(503)
  end
  ngx.say("Welcome!")
end

return analytics
