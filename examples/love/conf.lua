function love.conf(t)
  t.identity = "seerstack-example" -- where LÖVE saves; also the player's id
  t.version = "11.4"
  t.window.title = "Catch the ball"
  t.window.vsync = 1
end
