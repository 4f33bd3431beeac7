-- The options of a command line, from a list that also makes the help:
--   { "port", short = "p", value = "N", about = "...", number = true }
-- Options may stand anywhere before a `--`. Those without `value` are flags.

local fail = require "seerstack.tool.fail"

local options = {}

local HELP = { "help", short = "h", about = "this text" }

local function find(list, key, name)
  for _, option in ipairs(list) do
    if option[key] == name then
      return option
    end
  end
  return name == HELP[key] and HELP
    or fail.usage("unknown option '%s%s'", key == 1 and "--" or "-", name)
end

local function check(option, text)
  if option.number then
    local number = tonumber(text)
    if not number or number < 0 or number ~= number or number == math.huge then
      fail.usage("--%s: '%s' is no number", option[1], text)
    end
    return number
  end
  return text
end

-- The option that a word is, and the value that is attached to it, if any.
local function split(list, word)
  local name, value = word:match "^%-%-([^=]+)=(.*)$"
  if name then
    return find(list, 1, name), value
  elseif word:find "^%-%-" then
    return find(list, 1, word:sub(3))
  end
  return find(list, "short", word:sub(2, 2)), word:match "^%-.(.+)$"
end

-- Returns { name = value } and the other words, from `first` on; those after a
-- `--` are in the list's field `tail`.
function options.parse(list, words, first)
  local given, rest, i = {}, {}, first
  while words[i] do
    local word = words[i]
    if word == "--" then
      rest.tail = {}
      for k = i + 1, #words do
        rest.tail[#rest.tail + 1] = words[k]
      end
      break
    elseif word == "-" or not word:find "^%-" then
      rest[#rest + 1] = word
    else
      local option, value = split(list, word)
      if not option.value and value then
        fail.usage("option '%s' takes no value", word)
      elseif option.value and not value then
        i = i + 1
        value = words[i] or fail.usage("option '%s' needs a value", word)
      end
      given[option[1]] = option.value and check(option, value) or true
    end
    i = i + 1
  end
  return given, rest
end

function options.help(command)
  local lines = { "Usage: seerstack " .. command.usage, "", command.help, "" }
  local all = { HELP }
  for i, option in ipairs(command.options) do
    table.insert(all, i, option)
  end
  for _, option in ipairs(all) do
    local short = option.short and "-" .. option.short .. ", " or "    "
    lines[#lines + 1] = ("  %-22s %s"):format(short .. "--" .. option[1]
      .. (option.value and " " .. option.value or ""), option.about)
  end
  return table.concat(lines, "\n") .. "\n"
end

return options
