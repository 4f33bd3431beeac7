-- The tables of options in src/options.c, for specs that hold other things
-- against them.

local shell = require "dev.shell"

local rows = {}

-- The rows of `client_options` or `request_options`, in their order. Each is
-- { name, kind, fallback }, as the text that stands there.
function rows.of(array)
  local list = {}
  local text = assert(shell.read "src/options.c")
    :match("static const row " .. array .. "%[%] = {(.-)};")
  for name, kind, fallback in text:gmatch(
    '{"([%w_]+)",%s*(%u+),%s*[^,]+,%s*[^,]+,%s*([^,]+),') do
    list[#list + 1] = { name = name, kind = kind, fallback = fallback }
  end
  assert(#list > 0, array .. " is not in src/options.c as it was")
  return list
end

return rows
