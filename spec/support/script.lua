-- Programs in a fresh interpreter of the kind that runs the specs: what a
-- process does at its exit, after a fork or under a signal can only be seen
-- from another one.

local shell = require "dev.shell"
local util = require "spec.support.util"
local wait = require "spec.support.wait"

local script = {}
local handle = {}
handle.__index = handle
handle.__name = "script.handle"

-- Under valgrind and the like /proc/self/exe is the tool, so `arg` is asked
-- first: its most negative index is the command that was typed.
local function find_interpreter()
  local found = os.getenv("SEER_LUA")
  if found and found ~= "" then
    return found
  end
  local lowest = 0
  while arg and arg[lowest - 1] do
    lowest = lowest - 1
  end
  if lowest < 0 then
    return arg[lowest]
  end
  return shell.output("readlink /proc/$PPID/exe")
end

script.interpreter = find_interpreter()

-- On the program's first line, so that its lines keep their numbers.
local PRELUDE = ("dofile %q "):format(
  shell.output("realpath spec/support/child.lua"))

local function setting(values)
  local unset, set = { "env" }, {}
  for name, value in pairs(values or {}) do
    if value == false then
      unset[#unset + 1] = "-u"
      unset[#unset + 1] = name
    else
      set[#set + 1] = name .. "=" .. tostring(value)
    end
  end
  return shell.join(unset) .. " " .. shell.join(set)
end

-- The interpreter replaces this shell, so the shell's id is the program's.
local function program(directory, options)
  local words = {
    options.commands and "bash" or options.interpreter or script.interpreter,
    directory .. "/script.lua",
  }
  for _, argument in ipairs(options.args or {}) do
    words[#words + 1] = argument
  end
  return table.concat({
    "cd " .. shell.quote(options.directory or "."),
    "exec <" .. shell.quote(directory .. "/stdin") .. " >"
      .. shell.quote(directory .. "/stdout") .. " 2>"
      .. shell.quote(directory .. "/stderr"),
    "echo $$ >" .. shell.quote(directory .. "/pid"),
    "exec " .. setting(options.env) .. " " .. (options.prefix or "")
      .. " " .. shell.join(words),
  }, "\n") .. "\n"
end

-- Nothing here may keep a descriptor of the specs' process open.
local function supervisor(directory, options)
  return shell.close_inherited .. ([[
cd %s
(
  begun=$EPOCHREALTIME
  (cd "$OLDPWD" && exec timeout -k 2 %g bash %s)
  echo "$? $begun $EPOCHREALTIME" >status.new
  mv status.new status
) &
]]):format(shell.quote(directory), (options.timeout or 30) * util.slow,
    shell.quote(directory .. "/run.sh"))
end

-- Starts a program in the background. Options:
--   code         the program's text, which has what child.lua makes
--   commands     in its place: those of a shell
--   args         its arguments
--   env          { NAME = value }, false to unset; the rest is inherited
--   stdin        its input, "" by default
--   interpreter  script.interpreter by default
--   prefix       shell words before the interpreter, such as "strace -f"
--   directory    where it runs, here by default
--   timeout      seconds until it is terminated, 30 by default
function script.start(options)
  local directory = shell.temporary_directory("script")
  shell.write(directory .. "/script.lua",
    options.commands or PRELUDE .. options.code)
  shell.write(directory .. "/stdin", options.stdin or "")
  shell.write(directory .. "/run.sh", program(directory, options))
  shell.write(directory .. "/start.sh", supervisor(directory, options))
  local path = shell.quote(directory .. "/start.sh")
  shell.run("exec bash " .. path .. " </dev/null >/dev/null 2>&1")
  return setmetatable({
    directory = directory,
    timeout = (options.timeout or 30) * util.slow,
  }, handle)
end

-- Starts a program and waits for its end; see handle:wait for the result.
function script.run(options)
  return script.start(options):wait()
end

-- The environment of a program that sends to `url`, with changes, if any.
function script.environment(url, key, changes)
  return util.merge({
    SEERSTACK_BASE_URL = url, SEERSTACK_API_KEY = key,
    LUA_PATH = package.path, LUA_CPATH = package.cpath,
  }, changes)
end

-- The program's process id.
function handle:pid()
  if not self.process then
    self.process = wait.until_(function()
      local text = shell.read(self.directory .. "/pid")
      return text and text:match("^(%d+)\n")
    end, 10, 0.002, "the program's start")
  end
  return tonumber(self.process)
end

-- Sends a signal, by name or number, TERM by default; true when it arrived.
function handle:kill(signal)
  return shell.run(("kill -%s %d 2>/dev/null")
    :format(signal or "TERM", self:pid())) == 0
end

-- Ends the program if it still runs: for what a spec leaves behind.
function handle:finish()
  if not self:done() then
    self:kill("KILL")
    self:wait(5)
  end
end

-- What the program has written so far.
function handle:stdout()
  return self.result and self.result.stdout
    or shell.read(self.directory .. "/stdout") or ""
end

function handle:stderr()
  return self.result and self.result.stderr
    or shell.read(self.directory .. "/stderr") or ""
end

local function seconds_between(first, second)
  -- The locale decides about the decimal point.
  local function number(text)
    local whole, micros = text:match("^(%d+)%D(%d+)$")
    return tonumber(whole) % 1000000 + tonumber(micros) / 1000000
  end
  return (number(second) - number(first)) % 1000000
end

local function read_result(self)
  local text = shell.read(self.directory .. "/status")
  if not text then
    return nil
  end
  local status, first, second = text:match("^(%d+) (%S+) (%S+)")
  status = tonumber(status)
  return {
    status = status,
    signal = status > 128 and status - 128 or nil,
    timed_out = status == 124,
    stdout = self:stdout(),
    stderr = self:stderr(),
    seconds = seconds_between(first, second),
  }
end

-- True once the program has ended.
function handle:done()
  if not self.result then
    self.result = read_result(self)
    if self.result then
      shell.remove(self.directory)
    end
  end
  return self.result ~= nil
end

-- Waits for the end, at most `seconds` (by default until after the program's
-- timeout), and returns { status, signal, timed_out, stdout, stderr,
-- seconds }; raises when the program still runs.
function handle:wait(seconds)
  wait.until_(function() return self:done() end,
    seconds or self.timeout + 5, 0.003, "the program's end")
  return self.result
end

return script
