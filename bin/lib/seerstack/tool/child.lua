-- A program that runs beside this one, with our standard streams. Lua knows no
-- fork, so a shell starts it, and writes its status to a file when it ends.

local child = {}
child.__index = child

-- A word for the shell.
function child.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function join(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = child.quote(word)
  end
  return table.concat(quoted, " ")
end

-- The pipe takes the place of the standard input, which is taken from our own
-- again. The shell itself outlives Ctrl-C, to tell the status.
local SCRIPT = [[
trap : INT
file=%s
trap 'echo $? >"$file"' EXIT
%s
if (exec </proc/$PPID/fd/0) 2>/dev/null; then exec </proc/$PPID/fd/0
else exec </dev/null; fi
env %s]]

-- Runs `words`, with a list of NAME=value, and without descriptor `closed`,
-- which is a socket: luasocket leaves them open in other programs.
function child.start(words, environment, closed)
  local path = os.tmpname()
  local close = closed < 10 and ("exec %d>&-"):format(closed) or ""
  io.stdout:flush()
  local pipe = assert(io.popen(SCRIPT:format(child.quote(path), close,
    join(environment) .. " " .. join(words)), "w"))
  return setmetatable({ path = path, pipe = pipe }, child)
end

-- Its status; nil while it runs.
function child:status()
  local file = assert(io.open(self.path))
  local status = file:read "*n"
  file:close()
  return status
end

-- Waits for its end, and forgets it.
function child:finish()
  self.pipe:close()
  os.remove(self.path)
end

return child
