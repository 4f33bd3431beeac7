-- An event for each request that HAProxy serves; see haproxy.cfg.

local seerstack = require "seerstack"

-- In its chroot HAProxy finds no authorities: they are read before it enters.
-- A file with none but the API's is better here, for every connection parses
-- them all.
local file = assert(io.open("/etc/ssl/certs/ca-certificates.crt", "rb"))
local authorities = file:read "*a"
file:close()

-- The key is in HAProxy's environment: Debian's /etc/default/haproxy.
local client = seerstack.new {
  thread = false, -- HAProxy lets none be started: the task below sends
  ca_blob = authorities,
  max_in_flight = 2,
  logger = function(level, message)
    core.Warning("seerstack: " .. level .. ": " .. message)
  end,
}

core.register_action("capture", { "http-req" }, function(txn)
  client.events.capture {
    name = "page.requested",
    data = { method = txn.f:method(), path = txn.f:path() },
  }
end)

-- Nothing that waits may be called in HAProxy: wait, flush, close.
core.register_task(function()
  while true do
    local left = client:pump(0)
    core.msleep(left > 0 and 1 or 20)
  end
end)
