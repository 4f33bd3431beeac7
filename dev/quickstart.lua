-- Runs a program against the stand-in and shows what arrived:
--   lua dev/quickstart.lua INTERPRETER SCRIPT [ARGUMENT...]
-- Exits with the program's status, or 1 when nothing arrived.

local shell = require "dev.shell"
local standin = require "dev.standin"

local function run_program(server)
  io.stdout:flush()
  local environment = {
    "SEERSTACK_API_KEY=" .. server.key,
    "SEERSTACK_BASE_URL=" .. server.url,
    "no_proxy=127.0.0.1",
  }
  return shell.run("env " .. shell.join(environment) .. " "
    .. shell.join(arg))
end

local function show_events(server)
  local events = server:events()
  for _, event in ipairs(events) do
    print(event.method .. " " .. event.path .. " " .. event.body)
  end
  return #events
end

local function run_and_show(server)
  local status = run_program(server)
  local count = show_events(server)
  if count == 0 then
    io.stderr:write("nothing arrived\n")
  end
  return status == 0 and count == 0 and 1 or status
end

if not arg[2] then
  io.stderr:write("usage: ", arg[0], " INTERPRETER SCRIPT [ARGUMENT...]\n")
  os.exit(2)
end

local server = standin.start()
local ok, result = pcall(run_and_show, server)
server:stop()
if not ok then
  io.stderr:write(tostring(result), "\n")
end
io.stdout:flush()
os.exit(ok and result or 1)
