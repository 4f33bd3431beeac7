-- An event for each request that HAProxy serves; see haproxy.cfg.

-- In its chroot HAProxy finds no authorities: they are read before it enters.
-- A file with none but the API's is better here, for every connection parses
-- them all.
local function read_authorities()
  local file = assert(io.open("/etc/ssl/certs/ca-certificates.crt", "rb"))
  local authorities = file:read "*a"
  file:close()
  return authorities
end

-- HAProxy comes up whatever is missing: the key, the module, lua-cjson. The
-- key is in HAProxy's environment: Debian's /etc/default/haproxy.
local ok, client = pcall(function()
  return require "seerstack".new {
    thread = false, -- HAProxy lets none be started: the task below sends
    ca_blob = read_authorities(),
    max_in_flight = 2,
    logger = function(level, message)
      core.Warning("seerstack: " .. level .. ": " .. message)
    end,
  }
end)
if not ok then
  core.Alert("analytics are off: " .. client)
end

core.register_action("capture", { "http-req" }, function(txn)
  if ok then
    client.events.capture {
      name = "page.requested",
      data = { method = txn.f:method(), path = txn.f:path() },
    }
  end
end)

-- Nothing that waits may be called in HAProxy: wait, flush, close.
core.register_task(function()
  while ok do
    local left = client:pump(0)
    core.msleep(left > 0 and 1 or 20)
  end
end)
