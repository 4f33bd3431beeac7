-- The server of the torture runs, in nginx. A client's base URL says what
-- is done with its requests: /<how>/<run>/<site>.

local seen = ngx.shared.seen
local KEPT = 120 -- seconds

local asked = ngx.var.uri:match("^/_seen/(.+)$")
if asked then
  ngx.print(seen:get(asked) or 0, " ", seen:get(asked .. " mixed") or 0)
  return
end

local how, run, site, path = ngx.var.uri:match("^/(%w+)/([^/]+)/(%w+)/*(/.*)$")
if not how then
  return ngx.exit(404)
end
ngx.req.read_body()
local body = ngx.req.get_body_data() or ""
local headers = ngx.req.get_headers()
local key = headers["idempotency-key"] or "none"
local times = seen:incr(run .. " " .. key, 1, 0, KEPT)

-- Everything that a client gives bears its name, and may not be in the
-- requests of another.
local function is_own()
  local proxied = ngx.var.request:find "^%S+ http://" ~= nil
  if how == "turn" and proxied ~= (site == "b") then
    return false
  end
  local authorization = headers["authorization"]
  if how == "landed" then
    return authorization == nil and headers["x-site"] == nil
  end
  return authorization == "Bearer key-" .. site
    and (headers["x-site"] or site) == site
    and (ngx.var.arg_site or site) == site
    and (body:match('"site":"(%w+)"') or site) == site
end

if not is_own() then
  seen:incr(run .. " mixed", 1, 0, KEPT)
end

local function answer(status, text)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #text
  ngx.print(text)
end

local function take()
  if seen:add(run .. " taken " .. key, true, KEPT) then
    seen:incr(run, 1, 0, KEPT)
  end
  answer(200, '{"success":true}')
end

if how == "bad" then
  answer(400, '{"error":"no"}')
elseif how == "flaky" and times == 1 then
  ngx.header["Retry-After-Ms"] = "20"
  answer(503, '{"error":"later"}')
elseif how == "limited" and times == 1 then
  ngx.header["Retry-After"] = "0.02"
  answer(429, '{"error":"slower"}')
elseif how == "hop" then
  ngx.header["Location"] = ("/ok/%s/%s%s"):format(run, site, path)
  answer(307, "")
elseif how == "away" then
  ngx.header["Location"] = ("https://localhost:%s/landed/%s/%s%s")
    :format(ngx.var.tls_port, run, site, path)
  answer(307, "")
elseif how == "plain" then
  ngx.header["Location"] = ("http://127.0.0.1:%s/leaked/%s/%s%s")
    :format(ngx.var.port, run, site, path)
  answer(307, "")
else
  if how == "leaked" then -- nobody may come here from https
    seen:incr(run .. " mixed", 1, 0, KEPT)
  end
  take()
end
