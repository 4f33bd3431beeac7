-- Raises, unless the condition holds, with the rest as its message. Plain:
-- without busted, and on every Lua.

return function(condition, ...)
  if condition then return end
  local parts = {}
  for i = 1, select("#", ...) do
    parts[i] = tostring((select(i, ...)))
  end
  error(table.concat(parts, " "), 0)
end
