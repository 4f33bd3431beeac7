-- nginx as a host, from the files of an example that users copy. It is not
-- the stand-in, which is an nginx of its own.

local host = require "spec.support.host"
local shell = require "dev.shell"
local util = require "spec.support.util"
local wait = require "spec.support.wait"

local nginx = {}
nginx.__index = nginx
nginx.__name = "support.nginx"

local running = {}

-- The pieces of an nginx.conf that belong to the machine or to a spec.
local function changes(self, options, ports)
  local all = {
    ["worker_processes auto;"] = ("worker_processes %d;\n%s")
      :format(options.workers or 2, options.main or ""),
    ["pid /run/nginx.pid;"] = ("pid %s/nginx.pid;"):format(self.directory),
    ["/var/log/nginx/"] = self.directory .. "/",
    ['lua_package_path "/etc/nginx/lua/?.lua;;";'] =
      ('lua_package_path "%s/?.lua;;";\nlua_package_cpath "%s;;";\n%s')
        :format(self.directory, host.cpath(self.directory, "luajit"),
          options.http or ""),
    ["listen 8080;"] = ("listen 127.0.0.1:%d;\n%s")
      :format(ports[1], options.server or ""),
  }
  for piece, replacement in pairs(options.changes or {}) do
    all[piece] = replacement or nil
  end
  for piece, replacement in pairs(all) do
    all[piece] = replacement:gsub("{{([%w_]+)}}", {
      port = ports[1], tls_port = ports[2], directory = self.directory,
      written = self.written,
    })
  end
  return all
end

local function environment(options)
  return util.merge({
    SEERSTACK_API_KEY = options.api.key,
    SEERSTACK_BASE_URL = options.api.url,
    LUA_PATH = false, LUA_CPATH = false, SEER_LUA = false,
  }, options.env)
end

-- As it is found by root, others lack sbin; with its path, by which it calls
-- itself again.
local COMMAND = "$(PATH=\"$PATH:/usr/sbin\"; command -v nginx) "
  .. "-c %s/nginx.conf%s"

-- Its files, fitted to the machine and to new ports.
local function write_files(self, options)
  local ports = { host.port(), host.port() }
  local folder = options.example or "nginx"
  self.url = "http://127.0.0.1:" .. ports[1]
  self.tls_url = "https://localhost:" .. ports[2]
  host.copy(folder .. "/nginx.conf", self.directory,
    changes(self, options, ports))
  for file, its_changes in pairs(options.files or {}) do
    host.copy(folder .. "/" .. file, self.directory, its_changes)
  end
  for name, text in pairs(options.texts or {}) do
    shell.write(self.directory .. "/" .. name, text)
  end
end

local function launch(self, options)
  self.handle = host.start {
    command = COMMAND:format(self.directory,
      options.daemon and "" or " -g 'daemon off;'"),
    env = environment(options),
    timeout = options.timeout or 120,
  }
end

-- Starts nginx and waits until it has workers. Options:
--   api      the stand-in whose URL and key are in its environment
--   example  a folder of examples/, "nginx" by default
--   files    { [file of the folder] = changes }, besides nginx.conf
--   texts    { [name] = text }: other files in the directory
--   changes  of nginx.conf, beyond those that fit it to the machine; false
--            in the place of one of these
--   main, http, server   lines for these blocks of it
--   env      beyond the URL and the key
--   workers  2 by default
--   daemon   whether it goes to the background by itself
--   timeout  seconds until it is terminated, 120 by default
-- In changes and lines {{port}}, {{tls_port}}, {{directory}} are filled in,
-- and {{written}}: a directory that workers may write to.
function nginx.start(options)
  local directory = host.directory "nginx"
  local self = setmetatable({
    directory = directory, written = directory .. "/written",
    daemon = options.daemon, count = options.workers or 2,
  }, nginx)
  assert(shell.run(shell.join {
    "install", "-d", "-o", "www-data", self.written }) == 0)
  running[#running + 1] = self
  write_files(self, options)
  launch(self, options)
  self:wait_for_workers()
  return self
end

function nginx:error_log()
  return shell.read(self.directory .. "/error.log") or ""
end

-- Lines of the error log at the given levels, and what nginx wrote before
-- there was one.
function nginx:problems()
  local lines = {}
  for line in (self.handle:stderr() .. self:error_log()):gmatch("[^\n]+") do
    if line:find("%[error%]") or line:find("%[crit%]")
      or line:find("%[alert%]") or line:find("%[emerg%]")
      or line:find("^seerstack: ") then
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n")
end

-- The master's process id, once there is one.
function nginx:pid()
  if not self.master then
    local text = shell.read(self.directory .. "/nginx.pid")
    self.master = text and tonumber(text:match("^(%d+)\n"))
  end
  return self.master
end

-- The ids of the workers, with those that only end what they have begun.
function nginx:workers()
  local workers = {}
  local children = self:pid() and shell.read(("/proc/%d/task/%d/children")
    :format(self:pid(), self:pid())) or ""
  for pid in children:gmatch("%d+") do
    local title = shell.read("/proc/" .. pid .. "/cmdline") or ""
    if title:find("worker process", 1, true) then
      workers[#workers + 1] = tonumber(pid)
    end
  end
  return workers
end

-- Waits for `count` workers, by default as many as there should be, that are
-- not among `old`, and returns them.
function nginx:wait_for_workers(old, count)
  local is_old = {}
  for _, pid in ipairs(old or {}) do
    is_old[pid] = true
  end
  count = count or self.count
  local fresh
  wait.until_(function()
    assert(self.daemon or not self.handle:done(), self:problems())
    fresh = {}
    for _, pid in ipairs(self:workers()) do
      if not is_old[pid] then
        fresh[#fresh + 1] = pid
      end
    end
    return #fresh == count
  end, 20, 0.005, count .. " workers")
  return fresh
end

function nginx:signal(name)
  assert(shell.run(("kill -%s %d"):format(name, self:pid())) == 0)
end

-- Reloads, and waits for the new workers.
function nginx:reload()
  local old = self:workers()
  self:signal "HUP"
  return self:wait_for_workers(old)
end

-- Has a new program take over, which sees of the environment what `env` of
-- nginx.conf names, and waits for its workers. Returns the old master, which
-- goes on beside it.
function nginx:upgrade()
  local old = self:pid()
  self:signal "USR2"
  wait.until_(function()
    self.master = nil
    return self:pid() and self.master ~= old
  end, 20, 0.005, "a new master")
  self:wait_for_workers()
  return old
end

function nginx:wait(seconds)
  local pid = self:pid()
  wait.until_(function()
    return self.handle:done() and not shell.alive(pid)
  end, seconds or 30, 0.005, "nginx's end")
end

-- Sends a signal, QUIT by default, and waits for the end.
function nginx:stop(name)
  self:signal(name or "QUIT")
  self:wait()
end

function nginx:get(path)
  return host.get(self.url .. path)
end

-- A GET that must be answered with 200; returns the body.
function nginx:fetch(path)
  local status, body = self:get(path)
  if status ~= 200 then
    error(("%s: %s\n%s"):format(path, tostring(status), self:problems()), 2)
  end
  return body
end

-- Ends what still runs, with its workers: they are a group.
local function kill_group(self)
  local pid = self:pid()
  local stat = pid and shell.read("/proc/" .. pid .. "/stat")
  local group = stat and stat:match("^.*%) %S %d+ (%d+)")
  if group then
    shell.run("kill -KILL -" .. group .. " 2>/dev/null")
    wait.until_(function() return not shell.alive(pid) end, 10)
  end
end

-- To be called after each spec, in the place of host.clean_up.
function nginx.clean_up()
  while #running > 0 do
    kill_group(table.remove(running))
  end
  host.clean_up()
end

return nginx
