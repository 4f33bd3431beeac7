-- Random tables, written by this module and by lua-cjson, which must come to
-- the same. lua-cjson keeps 14 digits of a number, so the first half has no
-- numbers with more; the second half asks for every bit. A failure names its
-- seed: SEER_SEED=<seed> repeats it.

local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local SEED = tonumber(os.getenv "SEER_SEED" or os.time() % 1000000)
local BATCH = 50 -- tables in an event
local BATCHES = 80
local LARGE = { max_event_bytes = 2 ^ 24 }

-- The minimal standard generator: the same numbers on every Lua.
local state
local function random(n)
  state = state * 16807 % 2147483647
  return state % n + 1
end

local function random_bytes(length, least, most)
  local bytes = {}
  for i = 1, length do
    bytes[i] = string.char(least + random(most - least + 1) - 1)
  end
  return table.concat(bytes)
end

local PIECES = {
  "\195\188", "\226\130\172", "\240\159\152\128", "\226\128\168", "\"", "\\",
  "/", "\n", "\0", "\127", "\31", "12", "-1", "1.5",
}

local function random_string()
  local pieces = {}
  for i = 1, random(5) - 1 do
    pieces[i] = random(3) == 1 and PIECES[random(#PIECES)]
      or random_bytes(random(12), 32, 126)
  end
  return table.concat(pieces)
end

-- What lua-cjson keeps: up to 14 digits.
local function short_number()
  local kind = random(5)
  if kind == 1 then
    return random(200) - 100
  elseif kind == 2 then
    return random(30000) * random(30000)
  elseif kind == 3 then
    return (random(30000) - 15000) / 100
  elseif kind == 4 then
    return tonumber(random(30000) .. "e" .. random(200) - 100)
  end
  return tonumber(random(30000) .. "." .. random(30000) .. random(9))
end

local random_value

-- Strings that lua-cjson would take for the text of a number key are left
-- out: where the two collide we refuse, and it does not.
local function random_key()
  local key = random_string()
  return key:find "^%-?%d" and "k" .. key or key
end

local function random_table(depth, number)
  local t, kind = {}, random(4)
  for i = 1, random(6) do
    local value = random_value(depth - 1, number)
    if kind == 1 then
      t[i] = value
    elseif kind == 2 then
      t[random_key()] = value
    elseif kind == 3 then -- lua-cjson makes arrays of mere number keys
      t["k" .. i], t[random(9)] = value, value
    else
      t["key" .. i] = value
    end
  end
  return t
end

function random_value(depth, number)
  local kind = random(9)
  if kind <= 2 then
    return random_string()
  elseif kind == 3 then
    return random(2) == 1
  elseif kind == 4 then
    return seerstack.null
  elseif kind <= 6 or depth == 0 then
    return number()
  end
  return random_table(depth, number)
end

local function assert_alike(expected, found, path)
  if type(expected) ~= "table" or type(found) ~= "table" then
    if expected ~= found then
      error(("seed %d: %s is %q, not %q"):format(SEED, path, tostring(found),
        tostring(expected)), 0)
    end
    return
  end
  for k, v in pairs(expected) do
    assert_alike(v, found[k], path .. "[" .. tostring(k) .. "]")
  end
  for k in pairs(found) do
    if expected[k] == nil then
      error(("seed %d: %s has %s"):format(SEED, path, tostring(k)), 0)
    end
  end
end

local function random_events(make)
  local events = {}
  state = SEED + 1
  for i = 1, BATCHES do
    local data = {}
    for j = 1, BATCH do
      data["case" .. j] = make()
    end
    events[i] = { name = "x", data = data }
  end
  return events
end

describe("the encoder and lua-cjson", function()
  it("write tables that decode alike", function()
    local events = random_events(function()
      return random_table(3, short_number)
    end)
    for i, body in ipairs(h.bodies.of(events, nil, LARGE)) do
      assert_alike(cjson.decode(cjson.encode(events[i].data)),
        cjson.decode(body).data, "event " .. i)
    end
  end)

  it("write strings that decode alike where lua-cjson needs no repair",
    function()
      local events = random_events(random_string)
      for i, body in ipairs(h.bodies.of(events, nil, LARGE)) do
        assert_alike(events[i].data, cjson.decode(body).data, "event " .. i)
      end
    end)
end)

describe("the encoder", function()
  local function long_number()
    local value = 0
    for _ = 1, random(4) do
      value = value * 32768 + random(32768) - 1
    end
    local kind = random(4)
    if kind == 1 then
      return value
    elseif kind == 2 then
      return -value / 10 ^ random(20)
    elseif kind == 3 then
      return value / 32768
    end
    return value * 2 ^ (random(1900) - 1000)
  end

  -- Our own text of the number, not lua-cjson's reading of it.
  local function assert_read_back(number, text, path)
    if number == 1 / 0 or number == -1 / 0 then
      assert(text == "null", path)
    elseif tonumber(text) ~= number then
      error(("seed %d: %s is %s, not %.17g"):format(SEED, path, text, number),
        0)
    end
  end

  it("writes numbers that read back as the same, to the last bit", function()
    local events = random_events(long_number)
    for i, body in ipairs(h.bodies.of(events, nil, LARGE)) do
      local count = 0
      for case, text in body:gmatch '"(case%d+)":([^,}]+)' do
        assert_read_back(events[i].data[case], text, case)
        assert.is_not_nil(text:find "^%-?%d+%.?%d*e?[+-]?%d*$"
          or text == "null")
        count = count + 1
      end
      assert.equal(BATCH, count)
    end
  end)

  it("writes any bytes as valid UTF-8", function()
    local function anything()
      return random_bytes(random(12), 120, 255)
    end
    for _, body in ipairs(h.bodies.of(random_events(anything), nil, LARGE)) do
      local rest = body:gsub("[\194-\223][\128-\191]", "")
        :gsub("\224[\160-\191][\128-\191]", "")
        :gsub("\237[\128-\159][\128-\191]", "")
        :gsub("[\225-\236\238\239][\128-\191][\128-\191]", "")
        :gsub("\240[\144-\191][\128-\191][\128-\191]", "")
        :gsub("[\241-\243][\128-\191][\128-\191][\128-\191]", "")
        :gsub("\244[\128-\143][\128-\191][\128-\191]", "")
      assert.is_nil(rest:find "[\128-\255]")
    end
  end)
end)
