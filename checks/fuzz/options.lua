-- For options.c: makes clients with any options, and has them send something
-- in test mode. Plain asserts: without busted, and on every Lua.

local secrets = { "sk_fuzz_0123456789", "fuzz_pa55word", "fuzz_cookie_value" }

local check = dofile "checks/fuzz/support/check.lua"

local function check_secrets(text)
  for _, secret in ipairs(secrets) do
    check(not text:find(secret, 1, true), "a secret:", text)
  end
end

-- Whether a table has a name, or a field of such a table does.
local function is_about(options, reason)
  local name = reason:match("^option '([%w_]+)'")
  if name then return rawget(options, name) ~= nil end
  return reason:find("^unknown option") ~= nil
end

local function check_misuse(called, message, options)
  local place = "^bad argument #%d to '" .. called .. "' %("
  check(type(message) == "string", "no message")
  if message:find("unknown option", 1, true) then
    message = message:gsub("'[^']*'%)$", "'...')") -- its name is told
  end
  check_secrets(message)
  if message:find("bytes with those of the client", 1, true) then return end
  check(message:find(place), "another error:", message)
  check(is_about(options, (message:gsub(place, ""))), "no option:", message)
end

local function check_failure(result, message, err)
  check(result == nil and type(message) == "string" and err.message == message,
    "no failure")
  check_secrets((message:gsub('%[".*"%.*%]', ""))) -- a path tells keys
end

-- The same options, but for what would send or read something; a key and a
-- URL, mostly.
local function tame(options, mode)
  local test_mode = rawget(options, "test_mode")
  if test_mode == nil or type(test_mode) == "boolean" then
    options.test_mode = true
  end
  if mode % 2 == 0 then options.api_key = secrets[1] end
  if mode % 8 < 6 and options.base_url == nil then
    options.base_url = "https://api.example.com/p/"
  end
  options.log_level = options.log_level or "off"
end

local functions = {
  function(client, _, options)
    return "capture", client.events.capture, { name = "a" }, options
  end,
  function(client, _, options)
    return "identify", client.users.identify, { user_id = "a" }, options
  end,
  function(client, path, options)
    return "post", client.post, client, path, { a = 1 }, options
  end,
}

local function use(client, path, options)
  for _, choose in ipairs(functions) do
    local chosen = { choose(client, path, options) }
    local called, call = chosen[1], chosen[2]
    local unpack = table.unpack or unpack -- luacheck: ignore
    local ok, result, message, err = pcall(call, unpack(chosen, 3))
    if not ok then
      check_misuse(called, result, options)
    elseif result == nil then
      check_failure(result, message, err)
    end
  end
  local stats = client:stats()
  check(stats.accepted == stats.delivered + stats.rejected + stats.dropped
    + stats.pending, "the counts")
  for _, request in ipairs(client:captured()) do
    for name, value in pairs(request.headers) do
      check(name == name:lower() and not value:find("[\r\n]"), "header", name)
    end
  end
  local ok, message = pcall(client.close, client, 0)
  check(ok, "close:", message)
end

-- `configure` takes what `new` takes, though the key may come later; but it
-- copies tables with all that is within, so not those without end.
local function configure(options, made)
  reset_default()
  local ok, message = pcall(seerstack.configure, options)
  if not ok and message:find("more than 100 levels of tables)", 1, true) then
    check(message:find("(default_", 1, true), "no option:", message)
  elseif not ok then
    check_misuse("configure", message, options)
    check(not made, "new takes them:", message)
  elseif not made then
    check(options.api_key == nil, "configure takes what new does not")
  elseif options.test_mode == true then
    check(seerstack.capture { name = "a" } ~= false, "no result")
    local default = seerstack.default()
    check(default == nil or default:stats().pending == 0, "sent")
  end
  reset_default()
end

return function(mode, options, overrides, path, request)
  tame(options, mode)
  local ok, client = pcall(seerstack.new, options)
  if mode % 64 < 16 then configure(options, ok) end
  if not ok then
    if options.api_key == nil and client:find("SEERSTACK_API_KEY", 1, true)
    then
      return
    end
    return check_misuse("new", client, options)
  end
  overrides.test_mode = true
  if mode >= 128 then
    local changed, other = pcall(client.with_options, client, overrides)
    if changed then
      use(other, path, request)
    else
      check_misuse("with_options", other, overrides)
    end
  end
  use(client, path, request)
end
