-- The rules of events, for event.c: what must be refused, with which message,
-- and what becomes of the fields that are accepted. Plain asserts: without
-- busted, and on every Lua.

local null = seerstack.null
local KEY = "sk_fuzz_0123456789"

local function new(options)
  options.api_key, options.test_mode, options.log_level = KEY, true, "off"
  return seerstack.new(options)
end

local clients = {
  new {},
  new { default_data = { plan = "pro" }, default_attributes = { a = 1 } },
  new { headers = { ["X-A"] = "1" }, query = { v = "1 2" } },
  new { max_event_bytes = 64 },
}
local known = {
  capture = { name = true, user_id = true, timestamp = true, data = true },
  identify = {
    user_id = true, email = true, name = true, attributes = true,
  },
}
local request_options = {
  wait = true, future = true, timeout = true, max_retries = true,
  headers = true, query = true, idempotency_key = true, extra_body = true,
}

local check = dofile "checks/fuzz/support/check.lua"

-- Misuse is an error that names the function, and the option.
local function check_misuse(kind, message, event, options)
  local place = "^.-bad argument #%d to '" .. kind .. "' %("
  local reason = message:gsub(place, "")
  check(message:find(place), "another error:", message)
  check(not message:find(KEY, 1, true), "the key:", message)
  if reason:find("^table expected, got") then
    local is_table = type(event) == "table" or kind == "post" and event == nil
    check(not is_table or options ~= nil and type(options) ~= "table",
      "tables:", message)
    return
  end
  if reason:find("^unknown option") then
    for name in next, options do
      if not request_options[name] then return end
    end
    error("all are known: " .. message, 0)
  end
  if reason:find("^the options are read by raw access") then
    check(next(options) == nil and getmetatable(options),
      "there are some:", message)
    return
  end
  local name = reason:match("^option '([%w_]+)': .")
  check(name and rawget(options, name) ~= nil, "no option:", message)
end

local function is_valid_user(user)
  if type(user) == "string" then return user ~= "" end
  if type(user) ~= "number" or user % 1 ~= 0 then return false end
  if math.type and math.type(user) == "integer" then return true end
  return user > -2^53 and user < 2^53
end

local function is_valid_time(time)
  if type(time) == "string" then return time ~= "" end
  return type(time) == "number" and time >= 0 and time < 253402300800
end

-- Why an event cannot be sent, as far as its known fields tell: a pattern.
local function find_fault(kind, fields)
  local user, time = fields.user_id, fields.timestamp
  local given = user ~= nil and user ~= null
  if kind == "capture" then
    if type(fields.name) ~= "string" or fields.name == "" then
      return "^name: "
    elseif given and not is_valid_user(user) then
      return "^user_id: "
    elseif time ~= nil and time ~= null and not is_valid_time(time) then
      return "^timestamp: "
    elseif fields.data ~= nil and fields.data ~= null
      and type(fields.data) ~= "table" then
      return "^data: "
    end
  elseif not given or not is_valid_user(user) then
    return "^user_id: "
  else
    for _, name in ipairs { "email", "name" } do
      local value = fields[name]
      if value ~= nil and value ~= null and type(value) ~= "string" then
        return "^" .. name .. ": "
      end
    end
    local traits = fields.attributes
    if traits ~= nil and traits ~= null and type(traits) ~= "table" then
      return "^attributes: "
    end
  end
end

-- The fields that count: those of extra_body are over the event's.
local function lay_over(event, options)
  local fields = {}
  for name, value in next, event do rawset(fields, name, value) end
  local extra = type(options) == "table" and rawget(options, "extra_body")
  for name, value in next, extra or {} do rawset(fields, name, value) end
  return fields, extra
end

-- A path, or what is wrong with a key of the event itself.
local late = {
  "%[", "[%a_][%w_]*[:.%[]", "%-?inf cannot be a key",
  "a %a+ cannot be a key", "the keys .+ collide$",
}

local function check_failure(kind, message, err, fields)
  check(type(message) == "string" and type(err) == "table", "no error")
  check(err.message == message and tostring(err) == message, "messages")
  if err.name == "DroppedError" then return end
  check(err.name == "ValidationError", "another error:", err.name, message)
  check(not message:find("[%z\1-\31]"), "a control character:", message)
  if kind == "post" then
    check(message:find("^body") or message:find("^path: ")
      or message:find("^extra_body: ") or message:find("^event too large"),
      message)
    return
  end
  if message:find("^event too large") then return end
  local fault = find_fault(kind, fields)
  if fault then
    check(message:find(fault), "expected", fault, "got", message)
    return
  end
  for _, name in ipairs { "name", "email", "timestamp", "user_id" } do
    check(not known[kind][name] or not message:find("^" .. name .. ": "),
      "no fault:", message)
  end
  for _, pattern in ipairs(late) do
    if message:find("^" .. pattern) then return end
  end
  error("no path: " .. message, 0)
end

local function check_time(time, text)
  local form = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"
  check(type(text) == "string", "no timestamp")
  if type(time) == "string" then
    check(text == repair(time), "timestamp", text)
    return
  end
  check(text:find(form), "timestamp", text)
  if type(time) ~= "number" then return end
  local seconds = math.min(math.floor(time + 0.0005), 253402300799)
  local whole = os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds))
  local before = os.date("!%Y-%m-%dT%H:%M:%S", math.max(seconds - 1, 0))
  check(text:sub(1, 19) == whole or text:sub(1, 19) == before,
    "timestamp", time, text)
end

local function check_user(user, text)
  if type(user) == "string" then
    check(text == repair(user), "user_id", text)
  elseif type(user) == "number" then
    check(type(text) == "string" and text:find("^%-?%d+$")
      and tonumber(text) == user, "user_id", user, text)
  end
end

-- JSON keeps a null where Lua has nothing.
local function is_absent(body, name)
  return body[name] == nil
end

local function check_body(kind, body, fields, has_defaults)
  check(not find_fault(kind, fields), "accepted", find_fault(kind, fields))
  check_user(fields.user_id, body.user_id)
  local named = kind == "capture" and "data" or "attributes"
  local value = fields[named]
  if value == nil and not has_defaults then
    check(is_absent(body, named), named, "from nowhere")
  elseif type(value) == "table" then
    check(type(body[named]) == "table", named, "is lost")
  end
  if kind == "capture" then
    check(body.name == repair(fields.name), "name", body.name)
    check_time(fields.timestamp, body.timestamp)
  elseif fields.timestamp == nil then
    check(is_absent(body, "timestamp"), "a timestamp from nowhere")
  end
  for name, given in next, fields do
    if type(name) == "string" and not known[kind][name] then
      check(given == nil or not is_absent(body, repair(name)), name, "is lost")
    end
  end
end

local function check_headers(headers, options)
  check(headers["authorization"] ~= "Bearer " .. KEY, "the key")
  local id = type(options) == "table" and rawget(options, "idempotency_key")
  if id then id = id:gsub(KEY, "***") end
  check(not id or headers["idempotency-key"] == id,
    "another idempotency key:", id, headers["idempotency-key"])
  check(#headers["idempotency-key"] > 0, "no idempotency key")
end

local function send(client, kind, event, options, path)
  if kind == "capture" then return client.events.capture(event, options) end
  if kind == "identify" then return client.users.identify(event, options) end
  return client:post(path, event, options)
end

local function check_result(options, result, second)
  options = type(options) == "table" and options or {}
  if rawget(options, "future") then
    check(result:done(), "a future of test mode is done")
    result, second = result:get(0)
  end
  if rawget(options, "future") or rawget(options, "wait") then
    check(result.success == true and second.status == 200, "the response")
  else
    check(result == true and second == nil, "the result")
  end
end

return function(mode, options, path, event)
  local which = mode % 4 + 1
  local client = clients[which]
  local kind = mode < 4 and "capture" or "identify"
  if #path % 5 == 4 then kind = "post" end
  local before = client:stats()
  local ok, result, second, err = pcall(send, client, kind, event, options,
    path)
  local requests = client:captured()
  if not ok then
    check(#requests == 0, "sent in spite of an error")
    return check_misuse(kind, result, event, options)
  end
  for name in next, type(options) == "table" and options or {} do
    check(request_options[name], "accepted an option", name)
  end
  local fields = lay_over(type(event) == "table" and event or {}, options)
  if result == nil then
    check(#requests == 0 and client:stats().accepted == before.accepted,
      "sent in spite of a failure")
    return check_failure(kind, second, err, fields)
  end
  check(#requests == 1, #requests, "requests")
  check(client:stats().accepted == before.accepted + 1, "the counts")
  check_result(options, result, second)
  local request = requests[1]
  check_headers(request.headers, options)
  if kind == "post" and event == nil and request.json == nil then return end
  check(is_json(request.json), "no JSON:", request.json)
  check(which ~= 4 or #request.json <= 64, "longer than max_event_bytes")
  if kind == "post" then return end
  check_body(kind, cjson.decode(request.json), fields, which == 2)
end
