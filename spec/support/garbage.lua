-- The bytes that calls leave to Lua's collector. They are counted in a process
-- of its own, whose compiler is off from the beginning: what LuaJIT had begun
-- to compile before goes on after jit.off, and allocates.

local h = require "spec.helper"
local script = require "spec.support.script"

local MEASURE = [[
if jit then
  jit.off()
end
local call = (function()
  %s
end)()
collectgarbage()
collectgarbage()
collectgarbage "stop"
for _ = 1, 10 do -- a collection shrinks the stack, which grows again here
  assert(call())
end
local before = collectgarbage "count"
for _ = 1, 1000 do
  assert(call())
end
print((collectgarbage "count" - before) * 1024)
]]

-- The garbage of a thousand calls of the function that `code` returns, which
-- returns true, under these environment variables.
return function(code, env)
  local result = script.run { code = MEASURE:format(code), env = env }
  return tonumber(h.ended_well(result).stdout)
end
