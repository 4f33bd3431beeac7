-- The bytes that a call leaves to Lua's collector. They are counted in a
-- process of its own, whose compiler is off from the beginning: what LuaJIT
-- had begun to compile before goes on after jit.off, and allocates.

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
-- Newer LuaJITs take two kilobytes for themselves, once: less than an object,
-- which has 16 bytes, for each call.
print(16 * math.floor((collectgarbage "count" - before) * 1024 / 1000 / 16))
]]

-- The garbage of a call of the function that `code` returns, which returns
-- true, under these environment variables: of a thousand, the mean.
return function(code, env)
  local result = script.run { code = MEASURE:format(code), env = env }
  return tonumber(h.ended_well(result).stdout)
end
