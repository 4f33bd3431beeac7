-- Libraries of spec/support that change what the system does to a program.

local shell = require "dev.shell"

-- The value of LD_PRELOAD with which a program has seer_spec_<name>, which
-- lies where the module lies.
return function(name)
  for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", "seer_spec_" .. name)
    if shell.read(path) then
      local others = os.getenv "LD_PRELOAD"
      local absolute = shell.output("realpath " .. shell.quote(path))
      return others and others .. ":" .. absolute or absolute
    end
  end
  error("seer_spec_" .. name .. ".so is not in package.cpath")
end
