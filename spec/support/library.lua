-- Where a module of C lies that `require` finds: h.library "seerstack/sqlite".

local shell = require "dev.shell"

return function(name)
  for template in package.cpath:gmatch "[^;]+" do
    local path = template:gsub("%?", name)
    if shell.read(path) then
      return path
    end
  end
  error(name .. ".so is not in package.cpath")
end
