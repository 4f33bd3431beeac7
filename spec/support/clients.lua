-- What the specs of a client share: a stand-in that all of a file's clients
-- send to, and servers that do not answer.

local assert = require "luassert"
local h = require "spec.helper"
local seerstack = require "seerstack"
local server = require "spec.support.server"
local util = require "spec.support.util"

local clients = {}

local api

-- For a file: the stand-in.
function clients.standin()
  api = h.standin()
  return api
end

-- The clients of an endpoint share its pacing, so none of these is paced.
function clients.new(options)
  return seerstack.new(util.merge({
    api_key = "sk_test_standin", base_url = api.url, rate_limit = false,
  }, options))
end

-- Calls f with a client whose server does not answer before f has returned.
function clients.with_silent_server(options, f)
  local silent = server.new()
  options.api_key, options.base_url = "sk_test_silent", silent.url
  options.log_level = "off"
  local client = seerstack.new(options)
  f(client)
  assert.is_true(silent:serve {
    handler = function() return 200, nil, '{"success":true}' end,
    until_ = function() return client:stats().pending == 0 end,
  })
  silent:close()
  return client
end

function clients.assert_adds_up(stats)
  assert.equal(stats.accepted,
    stats.delivered + stats.rejected + stats.dropped + stats.pending)
end

return clients
