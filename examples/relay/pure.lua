-- A client of the relay in one file of plain Lua, for engines that load no C
-- module: Defold, Solar2D, Roblox, LÖVE on a phone. It needs a function of the
-- engine's that makes a request; docs/hosts/engines.md has some.
--
--   local analytics = require("pure").new {
--     url = "https://relay.example.com:8443/events",
--     secret = "the relay's secret", -- or nothing, if it has none
--     request = function(url, headers, body, done)
--       -- POST; then done(status, retry_after), or done(nil) for no answer
--     end,
--   }
--   analytics.capture { name = "level.finished", data = { level = 1 } }
--   analytics.update() -- in each frame, or a few times a second

local pure = {}

local DEFAULTS = {
  now = os.time,          -- seconds since 1970; with a fraction is better
  max_events = 1000,      -- that wait; further ones are refused
  max_event_bytes = 16384, -- as much as the relay takes
  timeout = 60,           -- seconds that an answer may take
  first_delay = 1,        -- before the second attempt; then twice as much...
  last_delay = 300,       -- ...up to this
  log = print,            -- called with a line when events are lost
}

-- Sending these again would change nothing.
local REJECTED = { [400] = true, [405] = true, [413] = true, [422] = true }

-- JSON.

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function encode_string(text)
  return '"' .. text:gsub('[%z\1-\31"\\]', function(byte)
    return ESCAPES[byte] or ("\\u%04x"):format(byte:byte())
  end) .. '"'
end

local function encode_number(number)
  if number ~= number or number - number ~= 0 then
    return "null"
  elseif number % 1 == 0 and number > -2 ^ 53 and number < 2 ^ 53 then
    return ("%.0f"):format(number)
  end
  return (("%.17g"):format(number):gsub(",", "."))
end

local encode

-- A table with the keys 1 to #t is an array, and an empty one an object.
local function encode_table(t, depth)
  if depth == 100 then
    error("more than 100 levels of tables", 0)
  end
  local parts, count = {}, 0
  for _ in pairs(t) do
    count = count + 1
  end
  if count > 0 and count == #t then
    for i = 1, count do
      parts[i] = encode(t[i], depth + 1)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, value in pairs(t) do
    if type(key) ~= "string" and type(key) ~= "number" then
      error("a " .. type(key) .. " cannot be a key", 0)
    end
    parts[#parts + 1] = encode_string(tostring(key)) .. ":"
      .. encode(value, depth + 1)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value, depth)
  local kind = type(value)
  if kind == "table" then
    return encode_table(value, depth)
  elseif kind == "string" then
    return encode_string(value)
  elseif kind == "number" then
    return encode_number(value)
  elseif kind == "boolean" then
    return tostring(value)
  end
  error("a " .. kind .. " cannot be sent", 0)
end

-- Ids. The API takes an event once for each Idempotency-Key, so no two may
-- ever be the same, and math.random may not be seeded: what differs between
-- runs and devices goes into the beginning of all keys of a run.

local function id_source(seed)
  local text = table.concat({ tostring(seed), tostring(os.time()),
    tostring(os.clock()), tostring({}), tostring(function() end),
    tostring(math.random()), tostring(math.random()) }, " ")
  local words, count = {}, 0
  for i = 1, 4 do
    local word = i
    for j = 1, #text do
      word = (word * (31 + 2 * i) + text:byte(j)) % 2 ^ 32
    end
    words[i] = ("%08x"):format(word)
  end
  local run = table.concat(words)
  return function()
    count = count + 1
    return ("%s-%x"):format(run, count)
  end
end

local function timestamp(seconds)
  local whole = math.floor(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S", whole)
    .. (".%03dZ"):format(math.floor((seconds - whole) * 1000))
end

-- Checking.

local function is_id(value)
  return type(value) == "string" and value ~= ""
    or type(value) == "number" and value % 1 == 0
end

local function problem(event, kind)
  if type(event) ~= "table" then
    return "a table expected, got " .. type(event)
  elseif kind == "capture" and (type(event.name) ~= "string"
    or event.name == "") then
    return "name: a non-empty string is required"
  elseif (kind == "identify" or event.user_id ~= nil)
    and not is_id(event.user_id) then
    return "user_id: a non-empty string or an integral number is required"
  end
end

-- A copy with the id as text and a timestamp, as JSON.
local function body_of(event, kind, now)
  local copy = {}
  for key, value in pairs(event) do
    copy[key] = value
  end
  if type(copy.user_id) == "number" then
    copy.user_id = ("%.0f"):format(copy.user_id)
  end
  if kind == "capture" and copy.timestamp == nil then
    copy.timestamp = timestamp(now)
  end
  return encode(copy, 0)
end

-- Options are those of DEFAULTS; url, request, and if wanted secret, and
-- `seed`, any text that is another in each run.
function pure.new(options)
  assert(type(options) == "table", "new: a table of options expected")
  assert(type(options.url) == "string", "new: url: a string expected")
  assert(type(options.request) == "function",
    "new: request: a function expected")
  local o = {}
  for name, value in pairs(DEFAULTS) do
    o[name] = options[name] == nil and value or options[name]
  end
  local next_id = id_source(options.seed)
  local first, last, queue = 1, 0, {}
  local attempts, due, flight = 0, 0, nil
  local stats = { delivered = 0, rejected = 0, refused = 0 }
  local client = {}

  local function add(event, kind)
    local message = problem(event, kind)
    local ok, body
    if not message and last - first + 1 >= o.max_events then
      stats.refused = stats.refused + 1
      return nil, "queue full"
    elseif not message then
      ok, body = pcall(body_of, event, kind, o.now())
      message = not ok and body
        or #body > o.max_event_bytes and "event too large" or nil
    end
    if message then
      o.log("analytics: " .. kind .. ": " .. message)
      return nil, message
    end
    last = last + 1
    queue[last] = { kind = kind, body = body, id = next_id() }
    return true
  end

  -- Half to all of the time that doubles; or what the relay asks for.
  local function delay(retry_after)
    local most = math.min(o.first_delay * 2 ^ math.min(attempts - 1, 30),
      o.last_delay)
    return math.max(most * (0.5 + math.random() / 2),
      math.min(tonumber(retry_after) or 0, 3600))
  end

  local function settle(status, retry_after)
    local event = queue[first]
    status = tonumber(status)
    if status and (status >= 200 and status < 300 or REJECTED[status]) then
      local how = REJECTED[status] and "rejected" or "delivered"
      stats[how] = stats[how] + 1
      queue[first] = nil
      first, attempts, due = first + 1, 0, 0
      if REJECTED[status] then
        o.log("analytics: rejected with " .. status .. ": " .. event.body)
      end
    else
      attempts = attempts + 1
      due = o.now() + delay(retry_after)
    end
  end

  local function send(event)
    local headers = {
      ["Content-Type"] = "application/json",
      ["Idempotency-Key"] = event.id,
      ["Authorization"] = options.secret and "Bearer " .. options.secret,
    }
    local mine = { until_ = o.now() + o.timeout }
    flight = mine
    local function done(status, retry_after)
      if flight == mine then -- an answer that comes too late is none
        flight = nil
        settle(status, retry_after)
      end
    end
    local ok, message = pcall(options.request,
      options.url .. "/" .. event.kind, headers, event.body, done)
    if not ok then
      o.log("analytics: request failed: " .. tostring(message))
      done(nil)
    end
  end

  function client.capture(event)
    return add(event, "capture")
  end

  function client.identify(event)
    return add(event, "identify")
  end

  -- Sends one event at a time, in their order. Returns how many are left.
  function client.update()
    local now = o.now()
    if flight and now >= flight.until_ then
      flight = nil
      settle(nil)
    end
    if due - now > 3600 then
      due = now -- the clock was set back
    end
    if not flight and first <= last and now >= due then
      send(queue[first])
    end
    return last - first + 1
  end

  -- Sends all that goes without waiting: where `request` returns only after
  -- its answer, until the queue is empty or an attempt has failed. Returns
  -- how many are left.
  function client.flush()
    due = 0
    local left = client.update()
    while left > 0 and not flight and due == 0 do
      left = client.update()
    end
    return left
  end

  function client.stats()
    return {
      waiting = last - first + 1, delivered = stats.delivered,
      rejected = stats.rejected, refused = stats.refused,
    }
  end

  return client
end

return pure
