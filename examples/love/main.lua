-- Catch the ball: a game that captures what its players do. Start it with
-- `love examples/love`.

local analytics = require "analytics"

local RADIUS = 30
local ball = { x = 200, y = 150, dx = 160, dy = 120 }
local caught, seconds = 0, 0

function love.load()
  analytics.capture("game.started", { version = "1.0" })
end

-- Nothing is to be done for the events here: a thread sends them.
function love.update(dt)
  local width, height = love.graphics.getDimensions()
  seconds = seconds + dt
  ball.x, ball.y = ball.x + ball.dx * dt, ball.y + ball.dy * dt
  if ball.x < RADIUS then ball.dx = math.abs(ball.dx) end
  if ball.y < RADIUS then ball.dy = math.abs(ball.dy) end
  if ball.x > width - RADIUS then ball.dx = -math.abs(ball.dx) end
  if ball.y > height - RADIUS then ball.dy = -math.abs(ball.dy) end
end

function love.mousepressed(x, y)
  if (x - ball.x) ^ 2 + (y - ball.y) ^ 2 <= RADIUS ^ 2 then
    caught = caught + 1
    ball.dx, ball.dy = ball.dx * 1.1, ball.dy * 1.1
    analytics.capture("ball.caught", { caught = caught, seconds = seconds })
  end
end

function love.keypressed(key)
  if key == "escape" then
    love.event.quit()
  elseif key == "r" then
    love.event.quit "restart"
  end
end

function love.draw()
  love.graphics.circle("fill", ball.x, ball.y, RADIUS)
  love.graphics.print(("Caught: %d"):format(caught), 10, 10)
end

-- What is not sent yet goes out after this, in at most `exit_timeout`.
function love.quit()
  analytics.capture("game.left", { caught = caught, seconds = seconds })
end
