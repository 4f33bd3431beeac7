-- What the specs of hosts share. A host is a program of the system's that
-- runs in a directory of its own, from copies of the files that users copy.

local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local ports = require "spec.support.ports"
local script = require "spec.support.script"
local shell = require "dev.shell"
local socket = require "socket"
local util = require "spec.support.util"
local wait = require "spec.support.wait"

local host = {}

host.root = shell.output("pwd")

-- What host.clean_up removes and ends.
local directories, running = {}, {}

-- A port of the loopback interface that nobody else gets, and at which a host
-- may listen that lets others bind it, as all of them do: SO_REUSEADDR.
host.port = ports.take

-- A key that no other spec uses: where ports are used again, a host of another
-- may still send to what is another API by now.
function host.key()
  return "sk_test_"
    .. shell.output("od -An -N8 -tx8 /dev/urandom"):match("%x+")
end

-- A directory that every user may read.
function host.directory(name)
  local directory = shell.temporary_directory("host-" .. name)
  directories[#directories + 1] = directory
  assert(shell.run("chmod 755 " .. shell.quote(directory)) == 0)
  return directory
end

-- What to append to package.cpath for a Lua, such as "5.3": the module is
-- copied, since an unprivileged user may not be let into the repository.
function host.cpath(directory, lua)
  local module = ("%s/build/%s/seerstack.so"):format(host.root, lua)
  assert(shell.run(shell.join { "install", "-D", "-m", "755", module,
    ("%s/lua-%s/seerstack.so"):format(directory, lua) }) == 0)
  for _, name in ipairs { "sqlite", "redis" } do
    local store = ("%s/build/%s/seerstack/%s.so"):format(host.root, lua, name)
    assert(shell.run(shell.join { "install", "-D", "-m", "755", store,
      ("%s/lua-%s/seerstack/%s.so"):format(directory, lua, name) }) == 0)
  end
  return ("%s/lua-%s/?.so"):format(directory, lua)
end

-- The version of the Lua that a program or a library of the system links.
function host.lua_of(file)
  return (shell.output("ldd " .. file):match "liblua(5%.%d)")
end

-- A text with pieces replaced, { [piece] = replacement }. Each piece has to
-- be there: an example that has changed must not pass untested.
function host.replace(text, changes)
  for piece, replacement in pairs(changes or {}) do
    local pattern = piece:gsub("%p", "%%%0")
    local count
    text, count = text:gsub(pattern, (replacement:gsub("%%", "%%%%")))
    if count == 0 then
      error("there is no '" .. piece .. "' in the example", 2)
    end
  end
  return text
end

-- Copies a file of examples/ into a directory and returns its path there.
function host.copy(example, directory, changes)
  local text = assert(shell.read(host.root .. "/examples/" .. example),
    example)
  local path = directory .. "/" .. example:match("[^/]*$")
  shell.write(path, host.replace(text, changes))
  assert(shell.run("chmod 644 " .. shell.quote(path)) == 0)
  return path
end

-- Starts a host in the foreground, as script.start does with these options:
--   command   words of the shell that the host replaces
--   env, directory, timeout
-- It has a session of its own, since some hosts send signals to their group.
-- The variable SEER_HOST names all its processes, also those whose parent
-- has ended.
function host.start(options)
  local mark = shell.temporary_directory("host-mark")
  directories[#directories + 1] = mark
  local started = script.start {
    commands = "exec setsid " .. options.command .. "\n",
    directory = options.directory,
    env = util.merge({
      SEER_HOST = mark,
      -- These speak of the Lua that runs the specs.
      LUA_PATH = false, LUA_CPATH = false, LUA_INIT = false,
    }, options.env),
    timeout = options.timeout or 60,
  }
  started.mark = mark
  running[#running + 1] = started
  return started
end

-- The ids of a host's processes.
function host.processes(started)
  local pids = {}
  local found = shell.output("grep -slaF SEER_HOST=" .. started.mark
    .. " /proc/[0-9]*/environ")
  for pid in found:gmatch("%d+") do
    pids[#pids + 1] = tonumber(pid)
  end
  return pids
end

local function end_processes(started)
  wait.until_(function()
    local pids = host.processes(started)
    if #pids > 0 then
      shell.run("kill -KILL " .. table.concat(pids, " ") .. " 2>/dev/null")
    end
    return #pids == 0 and started:done()
  end, 10, 0.02, "the end of a host's processes")
end

-- To be called after each spec: ends what still runs and removes what it
-- left.
function host.clean_up()
  local started = table.remove(running)
  while started do
    end_processes(started)
    started = table.remove(running)
  end
  while #directories > 0 do
    shell.remove(table.remove(directories))
  end
end

-- One GET; the status and the body, or nil.
function host.get(url)
  local chunks = {}
  local ok, status = http.request {
    url = url,
    sink = ltn12.sink.table(chunks),
    create = function()
      local connection = socket.tcp()
      connection:settimeout(10)
      return connection
    end,
  }
  return ok and status, table.concat(chunks)
end

-- Waits until a URL answers 200, and returns the body.
function host.ready(started, url)
  local status, body
  wait.until_(function()
    assert(not started:done(), started:stderr())
    status, body = host.get(url)
    return status == 200
  end, 20, 0.02, url)
  return body
end

-- Sends GETs, each with a query of its own ("?1", "?2", ...), over several
-- connections at a time. Returns how many were answered with 200.
function host.load(url, requests, connections)
  local answers = shell.output(shell.join { "curl", "-s", "-Z",
    "--no-progress-meter", "--parallel-max", tostring(connections or 8),
    "-w", "%{http_code}\n", "-o", "/dev/null",
    ("%s?[1-%d]"):format(url, requests) } .. " 2>/dev/null")
  return select(2, answers:gsub("200", ""))
end

-- How many events of each path (`data.path`) have arrived at an API; raises
-- when one has arrived twice.
function host.arrived(api)
  local keys, by_path = {}, {}
  for _, event in ipairs(api:events()) do
    local key = event.headers["idempotency-key"]
    local path = cjson.decode(event.body).data.path
    assert(not keys[key], "an event has arrived twice")
    keys[key] = true
    by_path[path] = (by_path[path] or 0) + 1
  end
  return by_path
end

return host
