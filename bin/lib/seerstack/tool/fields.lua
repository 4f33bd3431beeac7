-- An event from words: `name=text`, `name:=JSON`, and -d with a whole object.

local fail = require "seerstack.tool.fail"
local json = require "seerstack.tool.json"

local fields = {}

fields.DATA = {
  "data", short = "d", value = "JSON",
  about = "an object under the fields; @FILE or - reads it",
}

local function read(path)
  if path == "-" then
    return io.read "*a"
  end
  local file = fail.open(path)
  local text = file:read "*a"
  file:close()
  return text or fail.usage("%s cannot be read", path)
end

local function object(given)
  if not given then
    return {}
  end
  local path = given == "-" and given or given:match "^@(.*)"
  local ok, value = json.decode_object(path and read(path) or given)
  if not ok then
    fail.usage("--data: %s", value)
  end
  return value
end

local function add(into, word)
  local name, kind, text = word:match "^([^:=]+)(:?=)(.*)$"
  if not name then
    fail.usage("'%s' is neither name=text nor name:=JSON", word)
  elseif kind == "=" then
    into[name] = text
    return
  end
  local ok, value = json.decode(text)
  if not ok then
    fail.usage("%s: %s", word, value)
  end
  into[name] = value
end

-- The object of -d, and over it the words from the second on.
function fields.collect(data, words)
  local all = object(data)
  for i = 2, #words do
    add(all, words[i])
  end
  return all
end

return fields
