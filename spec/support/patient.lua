-- Whether to wait for what comes 30 s after the last request. Nothing of that
-- depends on the version of Lua, so it is seen on 5.4 only; SEER_SLOW=1 asks
-- for it elsewhere, and SEER_SLOW=0 does without.

local asked = os.getenv "SEER_SLOW"

return asked == "1" or (_VERSION == "Lua 5.4" and asked ~= "0")
