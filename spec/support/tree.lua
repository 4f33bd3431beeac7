-- The files of the repository, for specs that hold them against each other.

local shell = require "dev.shell"

local tree = {}

-- The lines of a text, without what ends them.
function tree.lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- The sources with such a name, sorted.
function tree.find(pattern)
  return tree.lines_of(shell.output("find src -name " .. shell.quote(pattern)
    .. " | LC_ALL=C sort"))
end

function tree.read(path)
  return assert(shell.read(path), path .. " cannot be read")
end

-- The keys of a table, sorted.
function tree.names_of(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

return tree
