-- Libraries of spec/support that change what the system does to a program.

local library = require "spec.support.library"
local shell = require "dev.shell"

-- The value of LD_PRELOAD with which a program has seer_spec_<name>, which
-- lies where the module lies.
return function(name)
  local others = os.getenv "LD_PRELOAD"
  local path = shell.output("realpath "
    .. shell.quote(library("seer_spec_" .. name)))
  return others and others .. ":" .. path or path
end
