-- The tools of all specs: `local h = require "spec.helper"`.
--
-- What most specs need is a field: the set-ups that a file or a `describe`
-- asks for once, sending, programs, and checks. All of spec/support/util.lua
-- is here, too (h.merge), and what exchange.lua offers without an exchange
-- (h.adds_up); each other module of spec/support stands under its name
-- (h.process.threads), as does dev/shell. They are loaded when first used.

local assert = require "luassert"
local busted = require "busted"
local util = require "spec.support.util"

local h = {}

-- Set-ups: for a file or a describe, which takes them down again. What is
-- returned stands for the one that the present spec has.

-- What stands for the present one of several values, and what sets that.
local function stand_in_for()
  local present
  return setmetatable({}, {
    __index = function(_, name) return present[name] end,
    __newindex = function(_, name, value) present[name] = value end,
  }), function(value) present = value end
end

-- What `open` returns, a new one for each spec; `close` ends it afterwards.
function h.each(open, close)
  local value, set = stand_in_for()
  busted.before_each(function() set(open()) end)
  busted.after_each(function() close(value) end)
  return value
end

-- A client and a scripted server for each spec: spec/support/exchange.lua.
function h.exchange(options)
  return h.each(function() return h.open(options) end,
    function(x) x:close() end)
end

-- A scripted server for each spec: spec/support/server.lua.
function h.each_server()
  return h.each(h.server.new, h.server.close)
end

local MANNERS = {
  key = "sk_test_standin", rate_limit = false, rate_window = 60,
  delay = false, keep = true, fail_status = false, fail_count = false,
  fail_headers = false, mute = false, log = false,
}

-- One stand-in for the specs of a block: dev/standin.lua. Each finds it
-- without events, and with the manners of the start.
function h.standin(options)
  local api, set = stand_in_for()
  local manners = util.merge(MANNERS)
  for name, value in pairs(options or {}) do
    if MANNERS[name] ~= nil then
      manners[name] = value
    end
  end
  busted.setup(function() set(h.start_standin(options)) end)
  busted.teardown(function() api:stop() end)
  busted.before_each(function()
    api:config(manners)
    api:reset()
  end)
  return api
end

-- A stand-in for each spec; `before_stop`, if given, is called afterwards,
-- when it still answers.
function h.own_standin(options, before_stop)
  return h.each(function() return h.start_standin(options) end,
    function(api)
      if before_stop then
        before_stop()
      end
      api:stop()
    end)
end

-- One that the spec itself stops.
function h.start_standin(options)
  return require "dev.standin".start(options)
end

-- Sending.

-- The future of an event, or of one with that name, that is captured.
function h.ask(client, event, options)
  event = type(event) == "table" and event or { name = event or "a.b" }
  return assert(client.events.capture(event,
    util.merge({ future = true }, options)))
end

-- Which libcurl there is: 7.88, or 8.14. Later ones read answers and URLs more
-- strictly.
local libcurl

function h.libcurl()
  if not libcurl then
    local major, minor =
      h.shell.output("curl --version"):match("libcurl/(%d+)%.(%d+)")
    libcurl = major + minor / 100
  end
  return libcurl
end

-- Whether it is that of `make test-musl`, which has mbedTLS, and no HTTP/2.
h.musl = os.getenv "LIBC" == "musl"

-- As `it`, but for what cannot be seen there.
function h.it_unless_musl(why, name, test)
  if h.musl then
    busted.pending(name .. ": skipped, " .. why)
  else
    busted.it(name, test)
  end
end

-- Waiting for a condition: spec/support/wait.lua.
function h.wait(...)
  return require "spec.support.wait".until_(...)
end

function h.says(...)
  return require "spec.support.wait".says(...)
end

-- Programs: spec/support/script.lua has the options.

function h.start(options)
  return h.script.start(options)
end

-- Runs one to its end, which must be well, with nothing on its standard
-- error, under these environment variables; returns what it has written.
function h.run(code, env)
  return h.ended_well(h.start { code = code, env = env }).stdout
end

-- The command that gives a program namespaces of these kinds. Who is not root
-- is made it, which the system refuses in a chroot.
function h.apart(kinds)
  local may = h.shell.run "unshare -T true 2>/dev/null" == 0
  return (may and "unshare " or "unshare -r ") .. kinds
end

function h.environment(...)
  return h.script.environment(...)
end

-- Checks.

-- That a program ends well, and has said nothing on its standard error;
-- returns its result, or takes that.
function h.ended_well(child)
  local result = child.wait and child:wait() or child
  assert.equal("", result.stderr)
  assert.equal(0, result.status, result.stdout)
  return result
end

-- That a program has ended within so many seconds. Where it has not, it is
-- granted some times what one takes that does nothing: the machine is busy.
function h.assert_in_time(result, seconds)
  if result.seconds >= seconds * util.slow then
    local idle = h.script.run { code = 'require "seerstack"' }.seconds
    assert.is_true(result.seconds < seconds * util.slow + 10 * idle,
      ("%g s, and %g s without doing anything"):format(result.seconds, idle))
  end
end

-- That a call returns nil, a message, and an error of that name which says
-- the same; returns the message and the error.
function h.assert_failure(name, ...)
  local result, message, err = ...
  assert.equal(3, select("#", ...))
  assert.is_nil(result)
  assert.equal(name, err.name)
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
  return message, err
end

-- The same of a certain message; returns the error.
function h.assert_error(name, expected, ...)
  local message, err = h.assert_failure(name, ...)
  assert.equal(expected, message)
  return err
end

-- The same of a message that is like a pattern.
function h.assert_error_like(name, pattern, ...)
  local message, err = h.assert_failure(name, ...)
  assert.matches(pattern, message)
  return err
end

-- That f(...) raises exactly this.
function h.assert_raises(message, f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(message, text)
end

-- That f(...) raises a message in which a text stands; returns the message.
function h.assert_raises_with(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(text, message, 1, true)
  return message
end

-- That the counts of a client are consistent, and are these where they are
-- named: accepted, delivered, rejected, dropped, pending, missed, or a reason
-- in dropped_by. Returns all of them.
function h.assert_counts(client, expected)
  local stats = h.adds_up(client)
  for name, count in pairs(expected) do
    local found = stats[name]
    if found == nil then
      found = stats.dropped_by[name]
    end
    assert.equal(count, found, name)
  end
  return stats
end

-- That a stand-in has got each of the events 1 to `count`, whose numbers are
-- in data.i, once, and each under a key of its own.
function h.assert_received(api, count)
  local numbers, keys = {}, {}
  local events = api:events()
  for _, event in ipairs(events) do
    local number = h.body_of(event).data.i
    local key = event.headers["idempotency-key"]
    assert.is_nil(numbers[number], "received twice")
    assert.is_nil(keys[key], "a key was used twice")
    numbers[number], keys[key] = true, true
  end
  for i = 1, count do
    assert.is_true(numbers[i], i .. " of " .. count)
  end
  assert.equal(count, #events)
  assert.equal(count, api:count())
end

local OF_EXCHANGE = {
  key = true, client = true, open = true, ok = true, answer = true,
  sequence = true, adds_up = true, body_of = true, head_of = true, hold = true,
  location = true,
}

return setmetatable(h, { __index = function(_, name)
  if util[name] ~= nil then
    h[name] = util[name]
  elseif OF_EXCHANGE[name] then
    h[name] = require "spec.support.exchange"[name]
  else
    h[name] = require(name == "shell" and "dev.shell"
      or "spec.support." .. name)
  end
  return h[name]
end })
