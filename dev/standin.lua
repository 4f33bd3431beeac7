-- A stand-in for the API on loopback ports: nginx with its Lua module in a
-- directory of its own, gone when it stops. For the specs, as
-- `require "dev.standin"`, and as a command, for people.

local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"
local nginx = require "dev.nginx"
local shell = require "dev.shell"

local standin = {}
local server = {}
server.__index = server
server.__name = "standin.server"

local source = debug.getinfo(1, "S").source
local here = source:match("^@(.*)/[^/]*$") or "."

-- What POST /_config may change later; false switches a thing off.
local BEHAVIOUR = {
  key = "sk_test_standin",
  rate_limit = false,   -- requests per window and key
  rate_window = 60,     -- seconds
  delay = false,        -- seconds between judging and answering
  keep = true,          -- false: count events, do not keep them
  fail_status = false,  -- answer this status, whatever the request
  fail_count = false,   -- that many times only
  fail_headers = false, -- with these headers
  mute = false,         -- close after judging, without an answer
  log = false,          -- list in requests.log: status, key, the event's id
  page = false,         -- be as `seerstack listen`: dev/live.lua
}

-- What is fixed at the start.
local SETTINGS = {
  worker_processes = 1,
  keepalive_requests = 1000000,
  keepalive_timeout = 75, -- seconds
  memory = "256m",        -- for the events kept
  certificate = false,    -- a directory with cert.pem and key.pem
  client_ca = false,      -- PEM text: who speaks TLS needs a certificate of it
}

local function pick(defaults, options)
  local picked = {}
  for name, default in pairs(defaults) do
    local given = options[name]
    if given == nil then
      given = default
    end
    picked[name] = given
  end
  return picked
end

local function check_names(options)
  for name in pairs(options) do
    if BEHAVIOUR[name] == nil and SETTINGS[name] == nil then
      error("unknown option '" .. tostring(name) .. "'", 3)
    end
  end
end

-- One of the caller's, or else a new one that vouches for itself.
local function install_certificate(directory, given)
  if not given then
    return nginx.make_certificate(directory)
  end
  for _, name in ipairs { "cert.pem", "key.pem" } do
    shell.write(directory .. "/" .. name,
      assert(shell.read(given .. "/" .. name)))
  end
end

local function write_configuration(directory, options, port, tls_port)
  local values = pick(SETTINGS, options)
  values.directory, values.port, values.tls_port = directory, port, tls_port
  values.verify_client = options.client_ca
    and "ssl_client_certificate client_ca.pem; ssl_verify_client on;" or ""
  values.load_modules = nginx.load_modules()
  values.http2_parameter, values.http2_directive = nginx.http2()
  values.user = nginx.user_directive()
  values.lib = shell.output("realpath " .. shell.quote(here .. "/../bin/lib"))
  local template = assert(shell.read(here .. "/nginx.conf.template"))
  shell.write(directory .. "/nginx.conf",
    (template:gsub("{{([%w_]+)}}", values)))
end

local function write_files(directory, options)
  for _, name in ipairs { "/service.lua", "/live.lua" } do
    shell.write(directory .. name, assert(shell.read(here .. name)))
  end
  shell.write(directory .. "/owner", shell.own_pid())
  shell.write(directory .. "/config.json",
    cjson.encode(pick(BEHAVIOUR, options)))
  install_certificate(directory, options.certificate)
  if options.client_ca then
    shell.write(directory .. "/client_ca.pem", options.client_ca)
  end
end

-- nginx binds its ports before it turns into a daemon, so its exit code
-- tells whether another process was faster. Its LuaJIT would load the modules
-- of this Lua's version if it saw the variables.
local function launch(directory)
  local script = shell.close_inherited
    .. "unset LUA_PATH LUA_CPATH LUA_INIT\n" .. nginx.PATH .. "exec nginx "
    .. '-e error.log -p "$0/" -c nginx.conf'
  return shell.run(shell.join { "bash", "-c", script, directory }
    .. " </dev/null >" .. shell.quote(directory .. "/output.log") .. " 2>&1")
end

local function logs(directory)
  return (shell.read(directory .. "/error.log") or "")
    .. (shell.read(directory .. "/output.log") or "")
end

local function poll(predicate, seconds)
  local deadline = socket.gettime() + seconds
  repeat
    local value = predicate()
    if value then
      return value
    end
    socket.sleep(0.005)
  until socket.gettime() > deadline
  return nil
end

local function accepts(port)
  local client = socket.tcp()
  client:settimeout(1)
  local connected = client:connect("127.0.0.1", port)
  client:close()
  return connected
end

local function new_server(directory, port, tls_port)
  return setmetatable({
    directory = directory,
    port = port,
    tls_port = tls_port,
    url = "http://127.0.0.1:" .. port,
    tls_url = "https://localhost:" .. tls_port,
    ca_file = directory .. "/cert.pem",
  }, server)
end

local function launch_on_free_ports(directory, options)
  for _ = 1, 5 do
    local port, tls_port = nginx.free_ports()
    write_configuration(directory, options, port, tls_port)
    if launch(directory) == 0 then
      return new_server(directory, port, tls_port)
    elseif not logs(directory):find("Address already in use", 1, true) then
      break
    end
    os.remove(directory .. "/error.log")
  end
  error("nginx did not start\n" .. logs(directory), 0)
end

-- Waits until it accepts, having learnt its process.
local function is_up(started)
  started.pid = poll(function()
    local text = shell.read(started.directory .. "/nginx.pid")
    return text and text:match("^%d+")
  end, 10)
  return started.pid and poll(function()
    return accepts(started.port) and accepts(started.tls_port)
  end, 10) or false
end

local function bring_up(directory, options)
  write_files(directory, options)
  local started = launch_on_free_ports(directory, options)
  if not is_up(started) then
    started:stop()
    error("nginx does not accept\n" .. logs(directory), 0)
  end
  return started
end

-- Starts a server and returns it; raises with nginx's log when it cannot.
function standin.start(options)
  options = options or {}
  check_names(options)
  local directory = shell.temporary_directory("standin")
  local ok, result = pcall(bring_up, directory, options)
  if not ok then
    shell.remove(directory)
    error(result, 0)
  end
  result.key = options.key or BEHAVIOUR.key
  return result
end

-- One request to the server's own paths.
local function ask(self, method, path, body)
  local chunks = {}
  local ok, status = http.request {
    method = method,
    url = self.url .. path,
    headers = { ["Content-Length"] = body and #body or 0 },
    source = body and ltn12.source.string(body),
    sink = ltn12.sink.table(chunks),
  }
  local text = table.concat(chunks)
  if not ok or status ~= 200 then
    error(method .. " " .. path .. ": " .. tostring(status) .. " " .. text, 3)
  end
  return text
end

-- The events that got a 2xx, in order of arrival, as JSON text.
function server:raw()
  return ask(self, "GET", "/_events")
end

-- The same, decoded: seq, time, method, path, query, body, headers, protocol,
-- connection.
function server:events()
  return cjson.decode(self:raw())
end

-- The most of these that arrived in any 60 seconds; of those only for which
-- `counts` says so, if given, of the times of the first and the last.
function server:busiest_minute(counts)
  local times, first, most = {}, 1, 0
  for i, event in ipairs(self:events()) do
    times[i] = event.time
  end
  table.sort(times)
  for last = 1, #times do
    while times[last] - times[first] >= 60 do
      first = first + 1
    end
    if not counts or counts(times[first], times[last]) then
      most = math.max(most, last - first + 1)
    end
  end
  return most
end

-- How many requests got a 2xx.
function server:count()
  return math.floor(cjson.decode(ask(self, "GET", "/_count")).count)
end

-- All requests: { requests, connections, by_status = { ["200"] = n } }.
function server:status()
  return cjson.decode(ask(self, "GET", "/_status"))
end

-- Forgets events, counts and the window of the rate limit.
function server:reset()
  ask(self, "DELETE", "/_events")
end

-- Changes behaviour from the next request on.
function server:config(changes)
  for name in pairs(changes) do
    if BEHAVIOUR[name] == nil then
      error("'" .. tostring(name) .. "' cannot be changed", 2)
    end
  end
  ask(self, "POST", "/_config", cjson.encode(changes))
  self.key = changes.key or self.key
end

-- Ends the server.
function server:go_away()
  local pid = self.pid
  if pid then
    local function gone()
      return not shell.alive(pid)
    end
    shell.run("kill -TERM " .. pid .. " 2>/dev/null")
    if not poll(gone, 5) then
      shell.run("kill -KILL " .. pid .. " 2>/dev/null")
      poll(gone, 5)
    end
    self.pid = nil
  end
end

-- Starts it again, on its ports, with the behaviour that it began with; false
-- if it does not, so that it can be tried again.
function server:come_back()
  os.remove(self.directory .. "/nginx.pid")
  return launch(self.directory) == 0 and is_up(self)
end

-- Ends the server and removes its directory; again is harmless.
function server:stop()
  self:go_away()
  shell.remove(self.directory)
end

-- Waiting in a child lets an interrupt end the wait and not this process.
local function command()
  local started = standin.start { page = true }
  print("Page: " .. started.url .. "/")
  print("SEERSTACK_BASE_URL=" .. started.url)
  print("SEERSTACK_API_KEY=" .. started.key)
  print("TLS: " .. started.tls_url .. " (" .. started.ca_file .. ")")
  print("Received: " .. started.url .. "/_events")
  print("End the input (Ctrl-D) or interrupt (Ctrl-C) to stop.")
  io.stdout:flush()
  shell.run("cat >/dev/null")
  started:stop()
end

if arg and source == "@" .. tostring(arg[0]) then
  command()
end

return standin
