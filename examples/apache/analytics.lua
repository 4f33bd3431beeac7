-- An event for each request that Apache has served; see apache2.conf.

-- The website works whatever is missing: the key, the module, lua-cjson. The
-- key is in Apache's environment: Debian's /etc/apache2/envvars.
local on, client = pcall(function()
  return require "seerstack".new {
    exit_timeout = 7, -- `apachectl stop` kills what takes longer than 9
    share_rate_limit = true, -- for all processes of Apache together
  }
end)

-- Once in each process, whose Lua states share what ivm_set sets.
local function tell_off(request)
  if not request:ivm_get "analytics are off" then
    request:ivm_set("analytics are off", 1) -- true would come back as false
    request:err("analytics are off: " .. client)
  end
end

function capture(request)
  if request.uri == "*" then
    return apache2.OK -- Apache's own, to wake its children
  end
  if not on then
    tell_off(request)
    return apache2.OK
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
