-- What every program of spec/support/script.lua has without saying so. The
-- modules are loaded when they are first named, for some programs must not
-- have luasocket, or load the module late.

local MODULES = {
  cjson = "cjson",
  native = "seer_spec_native",
  seerstack = "seerstack",
  socket = "socket",
}

setmetatable(_G, { __index = function(_, name)
  if MODULES[name] then
    rawset(_G, name, require(MODULES[name]))
    return rawget(_G, name)
  end
end })

-- Captures the events first to last, whose numbers are in data.i.
function capture(client, first, last) -- luacheck: ignore
  for i = first, last do
    assert(client.events.capture { name = "a.b", data = { i = i } })
  end
end

-- Prints a line that is seen at once.
function tell(...) -- luacheck: ignore
  print(...)
  io.stdout:flush()
end
