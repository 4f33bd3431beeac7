-- Waiting for a condition instead of for a time.

local socket = require "socket"
local util = require "spec.support.util"

local wait = {}

-- A predicate that fits on a line describes itself best.
local function describe(predicate)
  local info = debug.getinfo(predicate, "S")
  local place = info.short_src .. ":" .. info.linedefined
  local file = io.open(info.source:match("^@(.*)") or "")
  if not file then
    return place
  end
  local lines = {}
  for line in file:lines() do
    lines[#lines + 1] = line
    if #lines == info.lastlinedefined then
      break
    end
  end
  file:close()
  local text = table.concat(lines, " ", info.linedefined, #lines)
  return place .. ": " .. text:gsub("%s+", " "):sub(1, 200)
end

-- Calls predicate every `step` seconds (0.005) until it returns a true value,
-- which it returns; raises after `seconds` (5), telling `what` it waited for.
function wait.until_(predicate, seconds, step, what)
  seconds = (seconds or 5) * util.slow
  local deadline = socket.gettime() + seconds
  while true do
    local value = predicate()
    if value then
      return value
    elseif socket.gettime() >= deadline then
      error(("waited %g s in vain for %s")
        :format(seconds, what or describe(predicate)), 2)
    end
    socket.sleep(step or 0.005)
  end
end

-- Until a program has written something like `word`; raises when it ends
-- without.
function wait.says(child, word, seconds)
  wait.until_(function()
    local done = child:done() -- and what it has written by then is all
    local found = child:stdout():find(word)
    assert(found or not done, child:stderr())
    return found
  end, seconds, nil, word)
end

return wait
