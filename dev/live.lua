-- The page of `seerstack listen`, and the API as that plays it, in the nginx
-- of `make standin`, which adds TLS and HTTP/2. All is in one worker.

-- The page's server asks luasocket for the time, and for nothing else.
package.loaded.socket = package.loaded.socket or { gettime = ngx.now }

local live = {}

local site

local client = {}
client.__index = client

function client.write_head(_, media)
  ngx.header["Content-Type"] = media
  ngx.header["Cache-Control"] = "no-store"
end

function client:answer(status, media, body, fields)
  ngx.status = status
  self:write_head(media)
  ngx.header["Content-Length"] = #body
  for name, value in pairs(fields or {}) do
    ngx.header[name] = value
  end
  ngx.print(body)
  self.answered = true
end

-- Other requests write to this one, which alone can send it.
function client:write(text)
  self.output = self.output .. text
end

function client:stream()
  repeat
    local text = self.output
    self.output = ""
    if text ~= "" then
      ngx.print(text)
      self.gone = not ngx.flush(true)
    else
      ngx.sleep(0.05)
    end
  until self.gone or ngx.worker.exiting()
  self.gone = true
end

function client.sleep(_, seconds)
  ngx.sleep(seconds)
end

local function request_of(body)
  local headers, fields = {}, {}
  for name, value in pairs(ngx.req.get_headers(0)) do
    headers[name] = type(value) == "table" and table.concat(value, ", ")
      or value
    fields[#fields + 1] = { name, headers[name] }
  end
  table.sort(fields, function(a, b) return a[1] < b[1] end)
  return {
    method = ngx.req.get_method(), path = ngx.var.uri, query = ngx.var.args,
    headers = headers, fields = fields, body = body,
  }
end

function live.serve(key, body)
  site = site or require "seerstack.tool.site".new({
    key = key, rate_limit = 1000,
  }, function() end)
  local one = setmetatable({ output = "" }, client)
  site:serve(request_of(body), one)
  if not one.answered and not one.gone then
    return ngx.exit(444) -- nginx's own: closes without an answer
  end
end

return live
