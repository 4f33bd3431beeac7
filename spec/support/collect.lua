-- Collects all garbage: what a finalizer has let go of only goes the second
-- time.

return function()
  collectgarbage()
  collectgarbage()
end
