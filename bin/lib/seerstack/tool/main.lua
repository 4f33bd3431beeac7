-- From the words of the command line to the status of the process. A command
-- is a module with `usage`, `help`, `options`, `words` (how many it takes, if
-- that is fixed), `tail` (whether those after a `--` are apart from others)
-- and `run(options, words)`, which returns a status (nothing: 0) or raises
-- through `fail`.

local fail = require "seerstack.tool.fail"
local options = require "seerstack.tool.options"

local COMMANDS = {
  "check", "send", "identify", "import", "listen", "doctor", "queue",
}

local STATUSES = [[
Exit status: 0 done; 1 the API refused it, or it was not finished; 2 wrong
usage or bad input, and nothing was sent; 3 no answer, or none of the API's;
4 no key, or one that the API refuses; 130 interrupted.
]]

local function overview()
  local lines = { "Usage: seerstack COMMAND [OPTION...] [ARGUMENT...]", "" }
  for _, name in ipairs(COMMANDS) do
    local command = require("seerstack.tool." .. name)
    lines[#lines + 1] = ("  %-10s %s"):format(name, command.summary)
  end
  lines[#lines + 1] = "\nseerstack COMMAND --help tells more. The key is read "
    .. "from SEERSTACK_API_KEY.\n\n" .. STATUSES
  return table.concat(lines, "\n")
end

local function find(name)
  for _, known in ipairs(COMMANDS) do
    if name == known then
      return require("seerstack.tool." .. name)
    end
  end
  fail.usage("unknown command '%s'; see seerstack --help", name)
end

local function run(words)
  local name = words[1]
  if name == nil then
    io.stderr:write(overview())
    return fail.USAGE
  elseif name == "--help" or name == "-h" then
    io.write(overview())
    return 0
  elseif name == "--version" then
    print("seerstack " .. require "seerstack"._VERSION)
    return 0
  end
  local command = find(name)
  local given, rest = options.parse(command.options, words, 2)
  if given.help then
    io.write(options.help(command), "\n", STATUSES)
    return 0
  end
  for _, word in ipairs(not command.tail and rest.tail or {}) do
    rest[#rest + 1] = word
  end
  if command.words and rest[command.words + 1] then
    fail.usage("%s: '%s' is one word too many; usage: seerstack %s", name,
      rest[command.words + 1], command.usage)
  end
  return command.run(given, rest) or 0
end

-- A table is what `fail` raises, and lua's own "interrupted!" is Ctrl-C.
-- Whatever else is a defect of ours, and keeps its trace.
local function status_of(problem)
  if type(problem) == "table" then
    io.stderr:write("seerstack: ", problem.message, "\n")
    return problem.status
  elseif tostring(problem):find("interrupted!", 1, true) then
    return fail.INTERRUPTED
  end
  io.stderr:write("seerstack: ", tostring(problem), "\n")
  return fail.FAILED
end

local function trace(problem)
  if type(problem) == "table" then
    return problem
  end
  return debug.traceback(tostring(problem), 2)
end

return function(words)
  local ok, result = xpcall(function() return run(words) end, trace)
  io.stdout:flush()
  return ok and result or status_of(result)
end
