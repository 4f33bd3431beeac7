-- The fields of some tables in a new one. Later tables go over earlier ones;
-- nil counts as an empty table.

return function(...)
  local all = {}
  for i = 1, select("#", ...) do
    local fields = select(i, ...)
    for name, value in pairs(fields or {}) do
      all[name] = value
    end
  end
  return all
end
