-- An nginx in a directory below the run's, on free ports: the sink, or a host
-- that captures.

local dev = require "dev.nginx"
local shell = require "dev.shell"
local socket = require "socket"

local nginx = {}

local RUN = os.getenv "BENCH_DIRECTORY" or "build/bench"

local function wait_for(predicate, seconds, what)
  local deadline = socket.gettime() + seconds
  repeat
    local value = predicate()
    if value then
      return value
    end
    socket.sleep(0.01)
  until socket.gettime() > deadline
  error("waited in vain for " .. what, 0)
end

-- The worker's process id.
local function find_worker(directory)
  local master = tonumber((shell.read(directory .. "/nginx.pid") or "")
    :match("^%d+"))
  local children = master and shell.read(("/proc/%d/task/%d/children")
    :format(master, master)) or ""
  return master, tonumber(children:match("%d+"))
end

-- Starts the nginx of a template whose {{names}} are in `values`, on a core,
-- and returns { url, tls_url, ca_file, master, worker, directory }.
function nginx.start(template, name, core, values)
  local directory = shell.output("pwd") .. "/" .. RUN .. "/" .. name
  assert(shell.run("rm -rf " .. shell.quote(directory) .. " && mkdir -p "
    .. shell.quote(directory)) == 0)
  dev.make_certificate(directory)
  local port, tls_port = dev.free_ports()
  local all = {
    port = port, tls_port = tls_port, directory = directory,
    load_modules = dev.load_modules(),
    user = dev.user_directive(),
  }
  for key, value in pairs(values or {}) do
    all[key] = value
  end
  shell.write(directory .. "/nginx.conf",
    (assert(shell.read(template)):gsub("{{([%w_]+)}}", all)))
  local on_core = shell.run(("taskset -c %d true 2>/dev/null"):format(core))
    == 0 and ("taskset -c %d "):format(core) or ""
  local status = shell.run(shell.join { "bash", "-c", shell.close_inherited
    .. "unset LUA_PATH LUA_CPATH LUA_INIT\n" .. dev.PATH .. "exec " .. on_core
    .. 'nginx -e error.log -p "$0/" -c nginx.conf', directory }
    .. " </dev/null")
  assert(status == 0, "nginx did not start: see " .. directory)
  local self = {
    url = "http://127.0.0.1:" .. port, port = port, directory = directory,
    tls_url = "https://localhost:" .. tls_port,
    ca_file = directory .. "/cert.pem",
  }
  wait_for(function()
    self.master, self.worker = find_worker(directory)
    return self.worker
  end, 10, "nginx")
  return self
end

function nginx.stop(self)
  shell.run(("kill -TERM %d 2>/dev/null"):format(self.master))
  wait_for(function() return not shell.alive(self.master) end, 10,
    "nginx's end")
end

return nginx
