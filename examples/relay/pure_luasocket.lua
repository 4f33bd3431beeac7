-- A `request` for pure.lua, by luasocket; https needs luasec. It returns after
-- the answer, and so makes the game wait: for tools and servers.

local http = require "socket.http"
local ltn12 = require "ltn12"

return function(url, headers, body, done)
  headers["Content-Length"] = tostring(#body)
  local send = url:find "^https:" and require "ssl.https" or http
  local ok, status, answer = send.request {
    url = url, method = "POST", headers = headers,
    source = ltn12.source.string(body), sink = ltn12.sink.null(),
  }
  if ok then
    done(status, answer["retry-after"])
  else
    done(nil)
  end
end
