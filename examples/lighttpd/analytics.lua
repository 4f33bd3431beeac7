-- An event for each answer that lighttpd gives; see lighttpd.conf.

-- Where seerstack.so is, if it is not where `make install LUA=5.4` puts it.
-- package.cpath = "/opt/lua/?.so;" .. package.cpath

-- lighttpd runs this file for each answer, so it makes no client: the default
-- one is made at the first event and stays. The key is in the environment.
-- Without the module or lua-cjson the answers are given all the same: what
-- takes its place does nothing.
local loaded = package.loaded.seerstack
local found, seerstack = pcall(require, "seerstack")
if found and not loaded then
  seerstack.configure { share_rate_limit = true } -- for all workers together
elseif not found then
  print("analytics are off: " .. seerstack)
  seerstack = { capture = function() end }
  package.loaded.seerstack = seerstack
end

local request = lighty.r
seerstack.capture {
  name = "page.requested",
  data = {
    method = request.req_attr["request.method"],
    path = request.req_attr["uri.path"],
    status = request.req_item["http_status"],
  },
}
return 0 -- lighttpd goes on as it would have
