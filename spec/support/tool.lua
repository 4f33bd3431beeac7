-- The command `seerstack`, in a process of its own under the Lua of the specs.

local script = require "spec.support.script"
local shell = require "dev.shell"
local util = require "spec.support.util"

local tool = {}

-- Runs it in the background; the handle is script.start's. `options` are
-- those, with `env` over an environment that has neither key nor address.
function tool.start(words, options)
  options = util.merge(options)
  options.commands = "exec " .. shell.quote(script.interpreter)
    .. " bin/seerstack " .. shell.join(words) .. "\n"
  options.env = util.merge({
    LUA_PATH = package.path, LUA_CPATH = package.cpath,
    SEERSTACK_API_KEY = false, SEERSTACK_BASE_URL = false,
  }, options.env)
  return script.start(options)
end

function tool.run(words, options)
  return tool.start(words, options):wait()
end

-- The same with what a stand-in needs.
function tool.ask(api, words, options)
  options = util.merge(options)
  options.env = util.merge({
    SEERSTACK_API_KEY = api.key, SEERSTACK_BASE_URL = api.url,
  }, options.env)
  return tool.run(words, options)
end

return tool
