-- When the collector works.

local collecting = {}

local newproxy = rawget(_G, "newproxy")

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

-- Calls f() at each step of the collector, which takes one whenever it may,
-- until the function that this returns is called.
function collecting.at_each_step(f)
  collecting.always()
  local live, arm = true, nil
  local function finalize()
    if live then
      f()
      arm()
    end
  end
  function arm()
    if newproxy then -- Lua 5.1 finalizes no tables
      getmetatable(newproxy(true)).__gc = finalize
    else
      setmetatable({}, { __gc = finalize })
    end
  end
  arm()
  return function()
    live = false
    collecting.at_times()
  end
end

return collecting
