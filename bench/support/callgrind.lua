-- Runs a command under callgrind and returns the instructions of its threads,
-- in the order of their beginnings: all, or those within some functions of C.

local bench = require "bench.support.bench"
local shell = require "dev.shell"

return function(words, ...)
  local out = bench.directory .. "/callgrind-threads"
  local command = "rm -f " .. out .. "* && valgrind --tool=callgrind"
    .. " --separate-threads=yes --callgrind-out-file=" .. out
  for _, name in ipairs { ... } do
    command = command .. " --toggle-collect=" .. name
  end
  if shell.run(command .. " " .. shell.join(words) .. " >" .. out
      .. ".log 2>&1") ~= 0 then
    error("valgrind:\n" .. (shell.read(out .. ".log") or ""), 0)
  end
  local counts = {}
  local text = shell.read(out .. "-01")
  while text do
    counts[#counts + 1] = tonumber(text:match "\nsummary: (%d+)")
    text = shell.read(("%s-%02d"):format(out, #counts + 1))
  end
  return counts
end
