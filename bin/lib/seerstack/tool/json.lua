-- JSON text as values that the SDK sends as they stood: integers keep all
-- digits (lua-cjson makes doubles of them), an empty array stays one. What
-- this Lua cannot hold is refused instead of rounded.

local seerstack = require "seerstack"

local json = {}

local jit = rawget(_G, "jit")
local compile = rawget(_G, "loadstring") or load
local DEEPEST = 100
local EXACT = 2 ^ 53 -- below, a double is one integer only
local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n",
  r = "\r", t = "\t",
}
local WORDS = { ["true"] = true, ["false"] = false, null = seerstack.null }

local function refuse(at, message, ...)
  error({ json = message:format(...) .. " at byte " .. at }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function utf8(code)
  if code < 0x80 then
    return string.char(code)
  end
  local tail, first = "", 0x40
  repeat
    tail = string.char(0x80 + code % 0x40) .. tail
    code, first = math.floor(code / 0x40), first / 2
  until code < first
  return string.char(math.floor(0x100 - 2 * first) + code) .. tail
end

-- The character of a \u at `at`, and where what follows begins.
local function unicode(text, at)
  local high = tonumber(text:match("^u(%x%x%x%x)", at) or "", 16)
  if not high then
    refuse(at, "a wrong \\u")
  elseif high < 0xD800 or high > 0xDFFF then
    return utf8(high), at + 5
  end
  local low = tonumber(text:match("^\\u([dD][c-fC-F]%x%x)", at + 5) or "", 16)
  if not low or high > 0xDBFF then
    refuse(at, "half of a surrogate pair")
  end
  return utf8(0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00), at + 11
end

local function read_string(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('[%c"\\]', from)
    if not stop then
      refuse(at, "a string without its end")
    end
    parts[#parts + 1] = text:sub(from, stop - 1)
    local char = text:sub(stop, stop)
    if char == '"' then
      return table.concat(parts), stop + 1
    elseif char == "\127" then
      parts[#parts + 1], from = char, stop + 1
    elseif char ~= "\\" then
      refuse(stop, "a control character")
    else
      local letter = text:sub(stop + 1, stop + 1)
      local plain = ESCAPES[letter]
      if plain then
        parts[#parts + 1], from = plain, stop + 2
      elseif letter == "u" then
        parts[#parts + 1], from = unicode(text, stop + 1)
      else
        refuse(stop, "a wrong escape")
      end
    end
  end
end

-- Of LuaJIT's two integers of 64 bits, the one that holds these digits.
local function boxed(digits)
  local function within(most)
    local plain = digits:gsub("-", "")
    return #plain < #most or #plain == #most and plain <= most
  end
  if within "9223372036854775807" then
    return compile("return " .. digits .. "LL")()
  elseif digits:sub(1, 1) ~= "-" and within "18446744073709551615" then
    return compile("return " .. digits .. "ULL")()
  end
end

local function integer(digits, at)
  local number = digits == "-0" and -0.0 or tonumber(digits)
  local kind = rawget(math, "type")
  if number > -EXACT and number < EXACT
    or kind and kind(number) == "integer" then
    return number
  end
  return jit and boxed(digits)
    or refuse(at, "%s is an integer that this Lua cannot hold", digits)
end

local function read_number(text, at)
  local digits, stop = text:match("^(%-?%d+)()", at)
  if not digits or digits:find "^%-?0%d" then
    refuse(at, "no value")
  end
  local rest = text:match("^%.%d+", stop) or ""
  rest = rest .. (text:match("^[eE][+-]?%d+", stop + #rest) or "")
  if rest == "" then
    return integer(digits, at), stop
  end
  local number = tonumber(digits .. rest)
  if number == math.huge or number == -math.huge then
    refuse(at, "%s%s is too large", digits, rest)
  end
  return number, stop + #rest
end

local read_value

-- What is between brackets: `item` reads one thing at a place and returns
-- where it ends.
local function read_list(text, at, close, item)
  local place = skip(text, at + 1)
  if text:sub(place, place) == close then
    return place + 1
  end
  while true do
    place = skip(text, item(place))
    local char = text:sub(place, place)
    if char == close then
      return place + 1
    elseif char ~= "," then
      refuse(place, "no ',' or '%s'", close)
    end
    place = skip(text, place + 1)
  end
end

local function read_array(text, at, depth)
  local array = seerstack.array {}
  return array, read_list(text, at, "]", function(place)
    array[#array + 1], place = read_value(text, place, depth)
    return place
  end)
end

local function read_object(text, at, depth)
  local object = {}
  return object, read_list(text, at, "}", function(place)
    if text:sub(place, place) ~= '"' then
      refuse(place, "no name of a field")
    end
    local name, after = read_string(text, place)
    if object[name] ~= nil then
      refuse(place, "a second field '%s'", name)
    end
    after = skip(text, after)
    if text:sub(after, after) ~= ":" then
      refuse(after, "no ':'")
    end
    object[name], after = read_value(text, skip(text, after + 1), depth)
    return after
  end)
end

function read_value(text, at, depth)
  local char = text:sub(at, at)
  if depth == 0 then
    refuse(at, "more than %d levels", DEEPEST)
  elseif char == "{" then
    return read_object(text, at, depth - 1)
  elseif char == "[" then
    return read_array(text, at, depth - 1)
  elseif char == '"' then
    return read_string(text, at)
  end
  local word = text:match("^%l+", at)
  if word and WORDS[word] ~= nil then
    return WORDS[word], at + #word
  end
  return read_number(text, at)
end

local function decode(text)
  local value, after = read_value(text, skip(text, 1), DEEPEST)
  after = skip(text, after)
  if after <= #text then
    refuse(after, "something after the end")
  end
  return value
end

-- Returns true and the value, or false and what is wrong.
function json.decode(text)
  local ok, value = pcall(decode, text)
  if ok then
    return true, value
  elseif type(value) ~= "table" then
    error(value, 0)
  end
  return false, value.json
end

-- The same of a text that has to be an object.
function json.decode_object(text)
  if not text:find "^[ \t\r\n]*{" then
    return false, "no JSON object"
  end
  return json.decode(text)
end

return json
