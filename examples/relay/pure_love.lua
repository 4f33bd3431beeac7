-- A `request` for pure.lua in LÖVE: pure_luasocket.lua in a thread, so that no
-- frame waits. Call `poll` in love.update, before the client's update.

local THREAD = [[
  local requests, answers = ...
  local request = require "pure_luasocket"
  while true do
    local one = requests:demand()
    local ok = pcall(request, one.url, one.headers, one.body,
      function(status, retry_after)
        answers:push { status = status, retry_after = retry_after }
      end)
    if not ok then
      answers:push {}
    end
  end
]]

local requests, answers = love.thread.newChannel(), love.thread.newChannel()
local thread = love.thread.newThread(THREAD)
local waiting = {} -- the `done` of each request, in their order
local pure_love = {}

function pure_love.request(url, headers, body, done)
  if not thread:isRunning() then
    thread:start(requests, answers)
  end
  waiting[#waiting + 1] = done
  requests:push { url = url, headers = headers, body = body }
end

function pure_love.poll()
  local answer = answers:pop()
  while answer do
    table.remove(waiting, 1)(answer.status, answer.retry_after)
    answer = answers:pop()
  end
end

return pure_love
