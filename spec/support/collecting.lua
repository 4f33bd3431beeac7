-- When the collector works.

local collecting = {}

local version = tonumber(_VERSION:match "%d%.%d")

local function pause(percent)
  if version > 5.4 then
    collectgarbage("param", "pause", percent)
  else
    collectgarbage("setpause", percent)
  end
end

-- Each step is a whole cycle, and there is one whenever there may be.
function collecting.always()
  if version > 5.4 then
    collectgarbage "incremental"
    collectgarbage("param", "stepmul", 0)
  elseif version == 5.4 then
    collectgarbage("incremental", 0, 1000, 40)
  else
    collectgarbage("setstepmul", 10000000)
  end
  pause(0)
  collectgarbage()
end

-- From now on it rests between cycles.
function collecting.at_times()
  pause(200)
end

return collecting
