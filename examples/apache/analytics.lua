-- An event for each request that Apache has served; see apache2.conf.

local seerstack = require "seerstack"

-- The key is in Apache's environment: Debian's /etc/apache2/envvars.
local client = seerstack.new {
  exit_timeout = 7, -- `apachectl stop` kills what takes longer than 9
}

function capture(request)
  if request.uri == "*" then
    return apache2.OK -- Apache's own, to wake its children
  end
  local ok, message = client.events.capture {
    name = "page.requested",
    data = {
      method = request.method,
      path = request.uri,
      status = request.status,
    },
  }
  if not ok then
    request:warn("seerstack: " .. message)
  end
  return apache2.OK
end
