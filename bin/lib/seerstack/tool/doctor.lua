-- `seerstack doctor nginx`: what keeps the module from working in an nginx,
-- found out by asking that nginx itself.

local child = require "seerstack.tool.child"
local fail = require "seerstack.tool.fail"
local mask = require "seerstack.tool.mask"

local doctor = {
  summary = "what keeps the module from working in an nginx",
  usage = "doctor nginx [-c FILE]",
  words = 1,
  help = [[
Looks whether nginx loads its Lua module, seerstack and cjson, whether it has
a key, and how its workers share the rate limit. It starts nothing of the
configuration: a configuration of its own, with the same modules and paths, is
tried in a temporary directory. Lines begin with ok, warn or FAIL; the status
is 1 if one is FAIL. Run it as the user who starts nginx.]],
  options = {
    { "config", short = "c", value = "FILE",
      about = "nginx's own by default" },
  },
}

local PROBE = [[
local file = assert(io.open("%s/found", "w"))
local function try(name)
  local ok, module = pcall(require, name)
  file:write(name, " ", ok and "ok " or "no ", ok and tostring(
    module._VERSION) or tostring(module):match "^[^\n]*", "\n")
end
file:write("jit ok ", jit and jit.version or _VERSION, "\n")
try "cjson"
try "seerstack"
file:close()
os.exit(0)
]]

local function output(command)
  local pipe = io.popen('PATH="$PATH:/usr/sbin:/usr/local/sbin"; ' .. command)
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then
    file:close()
  end
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- The value of a directive that begins a line, without quotes; the last one
-- that there is.
local function directive(dump, name)
  local found
  for line in dump:gmatch "[^\n]+" do
    local value = line:match("^%s*" .. name .. "%s+(.*)$") or ""
    found = value:match '^"([^"]*)"' or value:match "^'([^']*)'"
      or value:match "^([^;]+);" or found
  end
  return found
end

-- Lines that load modules, as they stand, of those for Lua.
local function module_lines(dump, prefix)
  local lines = {}
  for path in dump:gmatch "\n%s*load_module%s+[\"']?([^;\"'\n]+)" do
    if path:find "ndk_http" or path:find "http_lua_module" then
      local whole = path:sub(1, 1) == "/" and path or prefix .. "/" .. path
      lines[#lines + 1] = "load_module " .. whole .. ";\n"
    end
  end
  return table.concat(lines)
end

-- What an nginx with the same modules and paths finds, by name: ok, text. It
-- ends when it has looked, before it serves anything.
local function probe(dump, prefix)
  local directory = output("mktemp -d"):match "[^\n]+"
  local paths = ""
  for _, name in ipairs { "lua_package_path", "lua_package_cpath" } do
    local value = directive(dump, name)
    paths = paths .. (value and name .. ' "' .. value .. '";\n' or "")
  end
  write(directory .. "/probe.lua", PROBE:format(directory))
  write(directory .. "/nginx.conf", module_lines(dump, prefix)
    .. "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {}\n"
    .. "http {\naccess_log off;\n" .. paths
    .. 'init_by_lua_file "' .. directory .. '/probe.lua";\n}\n')
  local quoted = child.quote(directory)
  local said = output("cd " .. quoted .. " && unset LUA_PATH LUA_CPATH"
    .. " && timeout 10 nginx -e stderr -p " .. quoted
    .. "/ -c nginx.conf 2>&1")
  local found = {}
  for name, well, text in (read(directory .. "/found") or "")
    :gmatch "(%S+) (%S+) ([^\n]*)" do
    found[name] = { ok = well == "ok", text = text }
  end
  output("rm -rf " .. quoted)
  return found, said
end

-- The environment of the nginx that runs with this configuration, if it does
-- and may be read; and its id.
local function environment(dump, built)
  local path = (directive(dump, "pid") or built:match "%-%-pid%-path=(%S+)"
    or "/run/nginx.pid")
  local pid = (read(path) or ""):match "%d+"
  return pid and read("/proc/" .. pid .. "/environ"), pid
end

local function new_report()
  local report = { failed = false }
  local function line(label)
    return function(text, ...)
      report.failed = report.failed or label == "FAIL"
      print(("%-5s "):format(label) .. text:format(...))
    end
  end
  report.ok, report.warn, report.fail = line "ok", line "warn", line "FAIL"
  return report
end

local function examine_modules(report, dump, built)
  local prefix = built:match "%-%-prefix=(%S+)" or "/usr/share/nginx"
  local found, said = probe(dump, prefix)
  if not found.jit then
    report.fail("this nginx has no Lua: %s", said:match "%[emerg%][^\n]*"
      or said:match "%[alert%][^\n]*"
      or "load ngx_http_lua_module (Debian: libnginx-mod-http-lua)")
    return
  end
  report.ok("Lua: %s", found.jit.text)
  for _, name in ipairs { "cjson", "seerstack" } do
    local one = found[name]
    if one and one.ok then
      report.ok("%s %s", name, one.text)
    else
      report.fail("%s: %s (nginx needs it for LuaJIT)", name,
        one and one.text or "not tried")
    end
  end
end

-- nginx writes its title over the environment that the system shows of it, so
-- mostly there is none.
local function examine_key(report, dump, built)
  local variables, pid = environment(dump, built)
  local shown = variables and ("\0" .. variables):find "%zPATH="
  local key = variables and ("\0" .. variables)
    :match "%zSEERSTACK_API_KEY=([^%z]*)"
  if key and key:find "%S" then
    report.ok("key %s, in the environment of process %s", mask(key), pid)
  elseif shown then
    report.fail("process %s has no SEERSTACK_API_KEY in its environment: with"
      .. " systemd, systemctl edit nginx", pid)
  elseif pid then
    report.warn("process %s does not show whether it has SEERSTACK_API_KEY; "
      .. "if it has not, nginx's error_log says that analytics are off", pid)
  else
    report.warn("nginx does not run, so its key is not known; here "
      .. "SEERSTACK_API_KEY is %s", os.getenv "SEERSTACK_API_KEY" and "set"
      or "not set")
  end
end

-- Workers share the limit if the module was loaded before they were made.
local function examine_workers(report, dump)
  local text = directive(dump, "worker_processes") or "1"
  local workers = tonumber(text) or tonumber(output "nproc") or 1
  if workers == 1 then
    report.ok "1 worker has the whole rate limit"
  elseif dump:find "\n%s*init_by_lua" then
    report.ok("%d workers share one rate limit, if init_by_lua loads "
      .. "seerstack", workers)
  else
    report.warn("%d workers have a rate limit each: load seerstack in "
      .. "init_by_lua, and they share one", workers)
  end
  if directive(dump, "lua_code_cache") == "off" then
    report.warn "lua_code_cache is off: each request makes a client of its own"
  end
end

function doctor.run(given, words)
  if words[1] ~= "nginx" then
    fail.usage("doctor: whose? Known is nginx")
  end
  local report = new_report()
  local built = output "nginx -V 2>&1"
  local version = built:match "nginx version: (%S+)"
  if not version then
    report.fail "there is no nginx here"
    return fail.FAILED
  end
  report.ok("%s", version)
  local config = given.config and " -c " .. child.quote(given.config) or ""
  local dump = "\n" .. output("nginx -T" .. config .. " 2>&1")
  if not dump:find "test is successful" then
    report.fail("the configuration is not: %s", dump:match "%[emerg%][^\n]*"
      or dump:match "%S[^\n]*" or "nginx -T says nothing")
    return fail.FAILED
  end
  report.ok "the configuration is valid"
  examine_modules(report, dump, built)
  examine_key(report, dump, built)
  examine_workers(report, dump)
  return report.failed and fail.FAILED or 0
end

return doctor
