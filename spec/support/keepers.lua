-- Programs that have a client with a store: what the kinds of stores share.

local script = require "spec.support.script"
local util = require "spec.support.util"
local wait = require "spec.support.wait"

local keepers = {}

-- Starts a program that has `client`, of this API, with the store that the
-- code before it leaves in `store`. Options are those of script.start, and
-- `with`: more of the client's.
function keepers.start(api, store, code, options)
  options = options or {}
  return script.start(util.merge(options, {
    code = store .. ([[
      local options = {
        store = store, rate_limit = false, initial_retry_delay = 0.05,
        max_retry_delay = 0.2,
      }
      for name, value in pairs { %s } do
        options[name] = value
      end
      local client = seerstack.new(options)
    ]]):format(options.with or "") .. code,
    env = script.environment(api.url, api.key, options.env),
  }))
end

-- Has a program that `place` starts store the events `first` to `last`, and
-- end without having sent what it could not.
function keepers.leave(place, api, first, last, options)
  local result = place:start(api, ([[
    capture(client, %d, %d)
    assert(client:persist(25))
  ]]):format(first, last), util.merge({
    with = "exit_timeout = 0, log_level = 'off'",
  }, options)):wait()
  assert(result.status == 0, result.stderr)
end

-- One that `place` starts, that has stored the events 1 to `count`, and goes
-- on until it is killed.
function keepers.hold(place, api, count, options)
  local child = place:start(api, ([[
    capture(client, 1, %d)
    assert(client:persist(25))
    tell "stored"
    socket.sleep(100)
  ]]):format(count), options)
  wait.says(child, "stored", 20)
  return child
end

return keepers
