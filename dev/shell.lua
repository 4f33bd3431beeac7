-- Commands, the same way on every Lua: os.execute returns a number on 5.1
-- and a boolean from 5.2 on, and nothing quotes an argument.

local shell = {}

-- luasocket opens its sockets without close-on-exec. A child that inherits
-- a listening socket keeps the port alive after the parent has closed it, and
-- one that inherits a connection swallows its end-of-file. Bash, because dash
-- cannot name descriptors above 9; 255 is bash's own.
shell.close_inherited = [[
for fd in /proc/$$/fd/*; do
  fd=${fd##*/}
  [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ] && eval "exec $fd>&-"
done
]]

function shell.quote(text)
  return "'" .. (tostring(text):gsub("'", "'\\''")) .. "'"
end

-- Quotes each item of a list and joins them into one command.
function shell.join(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = shell.quote(word)
  end
  return table.concat(quoted, " ")
end

-- Runs a command and returns its exit code; 128 + n when a signal ended it.
function shell.run(command)
  local result, how, code = os.execute(command)
  if type(result) ~= "number" then
    return how == "signal" and 128 + code or code
  elseif result >= 256 then
    return math.floor(result / 256)
  end
  return result == 0 and 0 or 128 + result % 128
end

-- The output of a command, without its last newline.
function shell.output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("\n$", ""))
end

function shell.temporary_directory(prefix)
  local path = shell.output('mktemp -d "${TMPDIR:-/tmp}/' .. prefix
    .. '.XXXXXXXX"')
  assert(path ~= "", "mktemp made no directory")
  return path
end

function shell.remove(directory)
  return shell.run("rm -rf " .. shell.quote(directory))
end

function shell.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

function shell.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

function shell.alive(pid)
  local stat = shell.read("/proc/" .. pid .. "/stat")
  local state = stat and stat:match("^.*%)%s(%a)")
  return state ~= nil and state ~= "Z"
end

function shell.own_pid()
  return assert(shell.read("/proc/self/stat")):match("^%d+")
end

return shell
