-- What the API accepts, for those who play it: `seerstack listen`, and the
-- stand-in of the specs (dev/service.lua, within nginx). Each function judges
-- a part of a request, and returns nil when all is well, else the status and
-- the message.

local cjson = require "cjson"

local judge = {}

local function is_string(value)
  return type(value) == "string"
end

local function is_filled(value)
  return type(value) == "string" and value ~= ""
end

-- cjson decodes both {} and [] to an empty table, so the text has to tell:
-- strings lose their brackets, nested values their contents, and what
-- remains is the outermost level.
local function is_empty_array(body, key)
  local level = body:gsub("\\.", "__"):gsub('"[^"]*"', function(text)
    return (text:gsub("[%[%]{}]", "_"))
  end)
  level = level:match("^%s*{(.*)}%s*$"):gsub("%b{}", "{}")
  level = level:gsub("%b[]", "[]")
  return level:find('"' .. key .. '"%s*:%s*%[') ~= nil
end

local function is_object(value, body, key)
  if type(value) ~= "table" then
    return false
  elseif next(value) == nil then
    return not is_empty_array(body, key)
  end
  return type(next(value)) == "string"
end

local function within(text, low, high)
  return tonumber(text) >= low and tonumber(text) <= high
end

local function is_zone(text)
  local hours, minutes = text:match("^[+-](%d%d):?(%d%d)$")
  return text == "Z"
    or hours ~= nil and within(hours, 0, 23) and within(minutes, 0, 59)
end

local function is_iso8601(value)
  if type(value) ~= "string" then
    return false
  end
  local month, day, hour, minute, second, rest = value:match(
    "^%d%d%d%d%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.+)$")
  return month ~= nil
    and within(month, 1, 12) and within(day, 1, 31) and within(hour, 0, 23)
    and within(minute, 0, 59) and within(second, 0, 60)
    and is_zone((rest:gsub("^%.%d+", "")))
end

local A_STRING = "must be a string"
local FILLED = "is required and must be a non-empty string"
local AN_OBJECT = "must be an object"

local FIELDS = {
  ["/capture"] = {
    { name = "name", check = is_filled, required = true, rule = FILLED },
    { name = "user_id", check = is_string, rule = A_STRING },
    { name = "data", check = is_object, rule = AN_OBJECT },
    {
      name = "timestamp",
      check = is_iso8601,
      rule = "must be a date and time in ISO 8601 form",
    },
  },
  ["/identify"] = {
    { name = "user_id", check = is_filled, required = true, rule = FILLED },
    { name = "email", check = is_string, rule = A_STRING },
    { name = "name", check = is_string, rule = A_STRING },
    { name = "attributes", check = is_object, rule = AN_OBJECT },
  },
}

-- The request has method, path, authorization and content_type, which are
-- strings or nil. Without a key, any is good.
function judge.envelope(request, key)
  local bearer = (request.authorization or ""):match "^Bearer (%S+)$"
  if not FIELDS[request.path] then
    return 404, "Not found"
  elseif request.method ~= "POST" then
    return 405, "Method not allowed"
  elseif not bearer or key and bearer ~= key then
    return 401, "Missing or invalid API key"
  end
  local media = (request.content_type or ""):match "^[^;%s]*":lower()
  if media ~= "application/json" then
    return 415, "Content-Type must be application/json"
  end
end

local function decode_object(body)
  if not body:find("^%s*{") then
    return nil
  end
  local ok, event = pcall(cjson.decode, body)
  return ok and event or nil
end

-- All that UTF-8 has beside ASCII. The first byte of one is never within
-- another, so each form can be looked for by itself.
local SEQUENCES = {
  "[\194-\223][\128-\191]",
  "\224[\160-\191][\128-\191]",
  "[\225-\236\238\239][\128-\191][\128-\191]",
  "\237[\128-\159][\128-\191]",
  "\240[\144-\191][\128-\191][\128-\191]",
  "[\241-\243][\128-\191][\128-\191][\128-\191]",
  "\244[\128-\143][\128-\191][\128-\191]",
}

-- cjson does not look.
local function is_utf8(body)
  if not body:find "[\128-\255]" then
    return true
  end
  for _, sequence in ipairs(SEQUENCES) do
    body = body:gsub(sequence, "?")
  end
  return not body:find "[\128-\255]"
end

function judge.body(path, body)
  if not is_utf8(body) then
    return 400, "The body must be UTF-8"
  end
  local event = decode_object(body)
  if not event then
    return 400, "The body must be a JSON object"
  end
  for _, field in ipairs(FIELDS[path]) do
    local value = event[field.name]
    if (value ~= nil or field.required)
      and not field.check(value, body, field.name) then
      return 400, field.name .. " " .. field.rule
    end
  end
end

return judge
