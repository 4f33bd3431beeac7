-- What the API accepts: pure judgement of one request, within nginx. Each
-- function returns nil when all is well, else the status and the message.

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

function judge.envelope(key)
  if not FIELDS[ngx.var.uri] then
    return 404, "Not found"
  elseif ngx.req.get_method() ~= "POST" then
    ngx.header["Allow"] = "POST"
    return 405, "Method not allowed"
  elseif ngx.var.http_authorization ~= "Bearer " .. key then
    return 401, "Missing or invalid API key"
  end
  local media = (ngx.var.http_content_type or ""):match("^[^;%s]*"):lower()
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

-- PCRE checks the whole text before it matches, and cjson does not.
local function is_utf8(body)
  local _, _, problem = ngx.re.find(body, "", "ju")
  return problem == nil
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
