-- How many seconds of the processor's time a function takes.

return function(f)
  local start = os.clock()
  f()
  return os.clock() - start
end
