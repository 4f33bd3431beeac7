-- For answer.c: a client sends, and what it makes of the answer is looked at.
-- Plain asserts: without busted, and on every Lua.

local KEY = "sk_fuzz_0123456789"
local COOKIE = "fuzz_cookie_value"
local BODY_LIMIT = 65536

local names = {
  BadRequestError = 400, AuthenticationError = 401,
  PermissionDeniedError = 403, NotFoundError = 404, ConflictError = 409,
  UnprocessableEntityError = 422, RateLimitError = 429,
  InternalServerError = 500, APIStatusError = true,
  APIConnectionError = false, APITimeoutError = false,
}

local check = dofile "checks/fuzz/support/check.lua"

-- No secret anywhere in a value.
local function check_secrets(value, seen)
  if type(value) == "string" then
    check(not value:find(KEY, 1, true), "the key:", value)
    check(not value:find(COOKIE, 1, true), "the cookie:", value)
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for name, field in next, value do
      check_secrets(name, seen)
      check_secrets(field, seen)
    end
  end
end

local function check_headers(headers)
  for name, value in next, headers do
    check(name == name:lower() and not value:find("\n"), "header", name)
  end
end

local function check_response(response, http)
  check(type(response) == "table", "no response")
  check(http.status >= 200 and http.status <= 299, "status", http.status)
  check(response.success ~= false, "a success that is none")
  check_headers(http.headers)
end

local function check_error(message, err)
  check(type(message) == "string" and message ~= "", "no message")
  check(err.message == message and tostring(err) == message, "messages")
  check(names[err.name] ~= nil, "name", err.name)
  check(err.path == "/capture", "path", err.path)
  check(type(err.body) ~= "string" or #err.body <= BODY_LIMIT, "a long body")
  check(not err.status or (err.status >= 200 and err.status <= 999),
    "status", err.status)
  check(err.name ~= "APITimeoutError", "a timeout:", message)
  if type(names[err.name]) == "number" and names[err.name] ~= 500 then
    check(err.status == names[err.name], err.name, err.status)
  end
  check_headers(err.headers or {})
end

local function check_counts(client, pending)
  local stats = client:stats()
  check_secrets(stats, {})
  check(stats.accepted == stats.delivered + stats.rejected + stats.dropped
    + stats.pending, "the counts")
  check(not pending or stats.pending == pending, stats.pending, "pending")
  return stats
end

local function wait(client)
  local response, second, err = client.events.capture({ name = "a" },
    { wait = true, timeout = 20 })
  check_secrets({ response or false, second, err or false }, {})
  if response then
    check_response(response, second)
  else
    check_error(second, err)
  end
  local stats = check_counts(client, 0)
  check(stats.delivered + stats.rejected == 1, "the counts")
  check(not err or err.status and err.status < 300 or stats.rejected == 1,
    "an error that is delivered")
end

local function queue(client)
  check(client.events.capture { name = "a" } == true, "not accepted")
  check(client.users.identify { user_id = "a" } == true, "not accepted")
  for _ = 1, 60 do
    if client:pump(0) == 0 then break end
  end
  check_counts(client)
end

-- Each client is of an endpoint of its own: what one learns does not hold up
-- the next one.
local count = 0

return function(mode)
  local lines = {}
  count = (count + 1) % 1000
  local client = seerstack.new {
    api_key = KEY,
    base_url = "http://127.0.0.1:1/" .. count,
    headers = { Cookie = COOKIE },
    thread = false, rate_limit = false, proxy = false,
    max_retries = 0, max_age = 0.05, exit_timeout = 0,
    log_level = mode % 4 < 2 and "debug" or "off",
    logger = function(...)
      lines[#lines + 1] = { ... }
    end,
    on_error = function(...)
      lines[#lines + 1] = { ... }
    end,
  }
  if mode % 2 == 0 then wait(client) else queue(client) end
  client:poll()
  client:close(0)
  check_secrets(lines, {})
end
