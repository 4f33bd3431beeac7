-- What the specs of a file or of a describe have set up for them and taken
-- down again: said once, where it is declared.

local busted = require "busted"
local exchange = require "spec.support.exchange"
local merged = require "spec.support.merged"
local server = require "spec.support.server"
local standin = require "dev.standin"

local fixture = {}

-- What stands for the present one of several values, and what sets that.
local function stand_in_for()
  local present
  return setmetatable({}, {
    __index = function(_, name) return present[name] end,
    __newindex = function(_, name, value) present[name] = value end,
  }), function(value) present = value end
end

-- What `open` returns, a new one for each spec; `close` ends it afterwards.
function fixture.each(open, close)
  local value, set = stand_in_for()
  busted.before_each(function() set(open()) end)
  busted.after_each(function() close(value) end)
  return value
end

-- An exchange, whose client has these options, for each spec.
function fixture.exchange(options)
  return fixture.each(function() return exchange.open(options) end,
    exchange.close)
end

-- A scripted server for each spec.
function fixture.server()
  return fixture.each(server.new, server.close)
end

-- One stand-in for all specs. Each finds it without events, and with the
-- key and the manners of the start.
function fixture.standin(options)
  local api, set = stand_in_for()
  busted.setup(function() set(standin.start(options)) end)
  busted.teardown(function() api:stop() end)
  busted.before_each(function()
    api:config(merged({
      key = "sk_test_standin", delay = false, fail_status = false,
      fail_count = false, fail_headers = false, mute = false,
    }, options and { key = options.key }))
    api:reset()
  end)
  return api
end

-- A stand-in for each spec; `before_stop`, if given, is called afterwards,
-- when it still answers.
function fixture.own_standin(options, before_stop)
  return fixture.each(function() return standin.start(options) end,
    function(api)
      if before_stop then
        before_stop()
      end
      api:stop()
    end)
end

return fixture
