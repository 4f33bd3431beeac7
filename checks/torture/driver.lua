-- Loaded by the host in each run, before anything fails: loads the scenario,
-- and returns a function that runs it and one that checks what came of it.
-- A scenario is a function that is given `t`; it calls t.arm() when calls may
-- begin to fail, and may return a table of what is special about it.

local host = ...
local t = { clients = {}, host = host, mode = host.mode, arm = host.arm }
local getenv = os.getenv

local port, tls_port = getenv "TORTURE_PORT", getenv "TORTURE_TLS_PORT"
t.proxy = "127.0.0.1:" .. port -- it takes absolute URLs
local file = assert(io.open(getenv "TORTURE_CA"))
t.authorities = file:read "*a"
file:close()

-- The base URL for a site whose requests are answered in one of the ways of
-- service.lua; "down": nobody listens.
function t.url(how, site, tls)
  if how == "down" then
    return "http://127.0.0.1:1"
  end
  local base = tls and "https://localhost:" .. tls_port
    or "http://127.0.0.1:" .. port
  return ("%s/%s/%s/%s"):format(base, how, host.name, site)
end

local DEFAULTS = {
  timeout = 20, connect_timeout = 20, initial_retry_delay = 0.05,
  max_retry_delay = 0.2, exit_timeout = 10, log_level = "off",
  proxy = false, rate_limit = false,
}

-- How long may be waited: where calls fail for ever, a wait is in vain.
setmetatable(t, { __index = function(_, name)
  if name == "patience" then
    return host.mode == "once" and 10 or host.failing() and 1 or 4
  end
end })

-- A client that is checked in the end.
function t.new(options)
  for name, value in pairs(DEFAULTS) do
    if options[name] == nil then
      options[name] = value
    end
  end
  if host.mode ~= "once" then
    options.timeout, options.connect_timeout = 4, 4
  end
  if host.mode == "ever" then
    options.exit_timeout = 1
  end
  local client = require "seerstack".new(options)
  t.clients[#t.clients + 1] = client
  return client
end

local function check_failure(message, err)
  if type(message) ~= "string" or type(err) ~= "table"
      or type(err.name) ~= "string" or err.message ~= message then
    error("check: not nil, message, err: " .. tostring(message) .. ", "
      .. tostring(err))
  end
end

-- Passes results on, and notes a failure, which must be told as it should.
function t.try(result, ...)
  if result == nil or result == false then
    check_failure(...)
    host.failed()
  end
  return result, ...
end

-- The same under pcall: whatever it is, the scenario goes on after it.
function t.go(f, ...)
  local ok, message = pcall(f, ...)
  if not ok then
    host.failed()
    if not tostring(message):find "memory" then
      error(message, 0)
    end
  end
end

-- Records a few events, and twice one user.
function t.record(client)
  t.go(function()
    for i = 1, 3 do
      t.try(client.events.capture {
        name = "n" .. i, user_id = i, data = { x = 1.5, y = { "z", { } } },
      })
    end
  end)
  t.go(function()
    t.try(client.users.identify { user_id = "u", email = "e@x" })
    t.try(client.users.identify { user_id = "u", name = "n" })
  end)
end

local function add_up(client)
  local s = assert(client:stats())
  local sum = s.delivered + s.rejected + s.dropped + s.pending
  if s.accepted ~= sum then
    error(("accepted %d, but %d delivered, %d rejected, %d dropped, %d "
      .. "pending"):format(s.accepted, s.delivered, s.rejected, s.dropped,
      s.pending), 0)
  end
  return s
end

local special = {}

local function check_alive(client, i)
  host.stage("check: flush " .. i)
  local flushed, problem = client:flush(20)
  if not flushed then
    error(problem .. ": " .. tostring(client:stats().last_error), 0)
  end
  host.stage("check: capture " .. i)
  assert(client.events.capture { name = "after" })
  assert(client:flush(20))
  local s = add_up(client)
  if s.pending ~= 0 then
    error("events are left: " .. s.pending, 0)
  end
  if s.dropped > (special.dropped or 0) then
    error("events were dropped: " .. s.dropped, 0)
  end
  if s.rejected > (special.rejected or 0) then
    error("events were rejected: " .. s.rejected, 0)
  end
end

local function check()
  t.checking = true
  for i, client in ipairs(t.clients) do
    host.stage("check: client " .. i)
    if host.mode ~= "ever" and not special.dead
        and not (special.quiet and special.quiet[i]) then
      check_alive(client, i)
    end
    if special.check and host.mode ~= "ever" then
      special.check(client)
    end
    if not special.elsewhere then
      host.delivered(add_up(client).delivered)
    end
  end
end

-- Kilobytes of Lua's that events cost whose table is there already.
local function cost(client)
  local event = { name = "cost" }
  collectgarbage()
  collectgarbage "stop"
  local before = collectgarbage "count"
  for _ = 1, 20 do
    client.events.capture(event)
  end
  local after = collectgarbage "count"
  collectgarbage "restart"
  return after - before
end

-- Whatever has failed, events cost no more than those of a new client.
function t.check_cost(client, options)
  local new = cost(require "seerstack".new(options))
  local old = cost(client)
  if old > new + 0.5 then
    error(("events cost %g kB after the failure, %g kB without")
      :format(old, new), 0)
  end
  assert(client:flush(20))
end

local scenario = assert(loadfile("checks/torture/scenarios/" .. host.scenario
  .. ".lua"))
special = scenario()(t) or {}
return special.run, check
