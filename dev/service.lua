-- The API as the stand-in plays it, within nginx: judges each request as the
-- service would, keeps those it accepted, and tells about them under /_*.

local cjson = require "cjson"
local judge = require "seerstack.tool.judge"

local service = {}
local dict = ngx.shared
local directory = ngx.config.prefix()

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

local initial = assert(read_file(directory .. "config.json"))
local config_text, config

-- The configuration lives in shared memory, for all workers.
local function current_config()
  local text = dict.state:get("config") or initial
  if text ~= config_text then
    config_text, config = text, cjson.decode(text)
  end
  return config
end

local function send(status, value)
  local body = cjson.encode(value)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function read_body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local path = not body and ngx.req.get_body_file()
  return body or path and read_file(path) or ""
end

-- A sliding window over arrival times: nil when there is room, else the
-- seconds until there is. Nothing here yields, so one worker is exact.
local function over_limit(limits)
  local limit = limits.rate_limit
  if not limit then
    return nil
  end
  local state, window, now = dict.state, limits.rate_window, ngx.now()
  local oldest = state:rpop("arrivals")
  while oldest and oldest <= now - window do
    oldest = state:rpop("arrivals")
  end
  if oldest then
    state:rpush("arrivals", oldest)
  end
  if state:llen("arrivals") >= limit then
    return oldest and oldest + window - now or window
  end
  assert(state:lpush("arrivals", now))
  return nil
end

-- Takes one off the failures asked for by the configuration.
local function must_fail(asked)
  if not asked.fail_status then
    return false
  end
  return not asked.fail_count
    or dict.state:incr("failures_left", -1, 0) >= 0
end

local function keep(body, arrived)
  local seq = dict.state:incr("accepted", 1, 0)
  if not current_config().keep then
    return true
  end
  local event = cjson.encode {
    seq = seq,
    time = arrived,
    method = ngx.req.get_method(),
    path = ngx.var.uri,
    query = ngx.var.args,
    body = body,
    headers = ngx.req.get_headers(0),
    protocol = ngx.var.server_protocol,
    connection = tonumber(ngx.var.connection),
    client = ngx.var.ssl_client_s_dn,
    resumed = ngx.var.ssl_session_reused == "r", -- a session of TLS
  }
  local kept, problem = dict.events:safe_add(seq, event)
  if not kept then
    dict.state:incr("accepted", -1)
  end
  return kept, problem
end

local function judge_request(body, arrived)
  local asked = current_config()
  if must_fail(asked) then
    for name, value in pairs(asked.fail_headers or {}) do
      ngx.header[name] = value
    end
    return asked.fail_status, "Failure asked for"
  end
  local status, problem = judge.envelope({
    method = ngx.req.get_method(), path = ngx.var.uri,
    authorization = ngx.var.http_authorization,
    content_type = ngx.var.http_content_type,
  }, asked.key)
  if status then
    ngx.header["Allow"] = status == 405 and "POST" or nil
    return status, problem
  end
  local seconds = over_limit(asked)
  if seconds then
    ngx.header["Retry-After"] = math.max(1, math.ceil(seconds))
    return 429, "Rate limit exceeded"
  end
  status, problem = judge.body(ngx.var.uri, body)
  if status then
    return status, problem
  end
  local kept, why = keep(body, arrived)
  if not kept then
    return 500, "The stand-in cannot keep more: " .. why
  end
  return 200
end

-- Before the answer: nobody can know of one that is not on the list.
local list

local function note(status, body)
  if not current_config().log then
    return
  end
  list = list or assert(io.open(directory .. "requests.log", "a"))
  list:write(status, " ", ngx.var.http_idempotency_key or "-", " ",
    body:match '"id":"([^"]*)"' or "-", "\n")
  list:flush()
end

local function serve_api()
  local arrived = ngx.req.start_time()
  local state, connection = dict.state, "connection:" .. ngx.var.connection
  state:incr("requests", 1, 0)
  if state:safe_add(connection, true) then
    state:incr("connections", 1, 0)
  end
  local body = read_body()
  local status, problem = judge_request(body, arrived)
  state:incr("status:" .. status, 1, 0)
  note(status, body)
  if config.mute then
    return ngx.exit(444) -- nginx's own: closes without an answer
  end
  if config.delay then
    ngx.sleep(config.delay)
  end
  send(status, problem and { error = problem } or { success = true })
end

local control = {}

control["GET /_count"] = function()
  send(200, { count = dict.state:get("accepted") or 0 })
end

control["GET /_status"] = function()
  local state, by_status = dict.state, {}
  for status = 200, 599 do
    by_status[tostring(status)] = state:get("status:" .. status)
  end
  send(200, {
    requests = state:get("requests") or 0,
    connections = state:get("connections") or 0,
    by_status = by_status,
  })
end

-- Written as it is read: ten thousand events need no buffer of their size.
control["GET /_events"] = function()
  ngx.header["Content-Type"] = "application/json"
  ngx.print("[")
  local separator = ""
  for seq = 1, dict.state:get("accepted") or 0 do
    local event = dict.events:get(seq)
    if event then
      ngx.print(separator, event)
      separator = ",\n"
    end
    if seq % 200 == 0 then
      ngx.flush(true)
    end
  end
  ngx.print("]")
end

control["DELETE /_events"] = function()
  local kept = dict.state:get("config")
  for _, store in ipairs { dict.events, dict.state } do
    store:flush_all()
    store:flush_expired()
  end
  if kept then
    dict.state:set("config", kept)
  end
  send(200, { success = true })
end

control["POST /_config"] = function()
  local changed = cjson.decode(cjson.encode(current_config()))
  for name, value in pairs(cjson.decode(read_body())) do
    changed[name] = value
  end
  dict.state:set("failures_left", changed.fail_count or 0)
  dict.state:set("config", cjson.encode(changed))
  send(200, changed)
end

function service.serve()
  if current_config().page then
    return require "live".serve(current_config().key, read_body())
  end
  local handler = control[ngx.req.get_method() .. " " .. ngx.var.uri]
  return (handler or serve_api)()
end

-- When a process began; nil when it has ended, or is a zombie.
local function began(pid)
  local stat = read_file("/proc/" .. pid .. "/stat")
  return stat and stat:match("^.*%)%s[^Z]%s" .. ("%S+%s"):rep(18) .. "(%d+)")
end

-- A spec that is killed cannot stop its server, so the server looks itself
-- whether the process that started it is still there. A process that begins
-- later may have its id. (The owner cannot say itself when it began: one that
-- an emulator runs is told another time.)
function service.watch_owner()
  if ngx.worker.id() ~= 0 then
    return
  end
  local owner = assert(read_file(directory .. "owner"))
  local owner_began = began(owner)
  local function look(premature)
    if not premature
      and not (owner_began and began(owner) == owner_began) then
      local pid = read_file(directory .. "nginx.pid"):match("%d+")
      os.execute("rm -rf '" .. directory .. "'; kill -TERM " .. pid)
    end
  end
  assert(ngx.timer.every(1, look))
end

return service
