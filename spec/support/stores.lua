-- A file for the store of spec/support/store.c, and programs that use it.

local shell = require "dev.shell"
local script = require "spec.support.script"
local store = require "seer_spec_store"
local util = require "spec.support.util"

local stores = {}
local file = {}
file.__index = file
file.__name = "stores.file"

-- A store that nobody has used, in a directory of its own.
function stores.new()
  local directory = shell.temporary_directory("store")
  return setmetatable({ directory = directory, path = directory .. "/rows" },
    file)
end

-- What `store` of a client of this process's may be.
function file:open(changes)
  return store.open(util.merge({
    path = self.path, control = self.path .. ".control",
  }, changes))
end

-- From now on it does what a word of store.c says; nil: it works.
function file:be(word)
  if word then
    shell.write(self.path .. ".control.new", word)
    os.rename(self.path .. ".control.new", self.path .. ".control")
  else
    os.remove(self.path .. ".control")
  end
end

function file:rows()
  return store.rows(self.path)
end

-- The number of rows; of nobody's, or else of those that have an owner.
function file:count(owned)
  local count = 0
  for _, row in ipairs(self:rows()) do
    if owned == nil or row.owned == owned then
      count = count + 1
    end
  end
  return count
end

function file:remove()
  shell.remove(self.directory)
end

-- Starts a program that has `client`, of this API, with the store.
function file:start(api, code, options)
  return script.start(util.merge({
    code = ([[
      local disk_path = %q
      local disk = require "seer_spec_store".open {
        path = disk_path, control = %q }
      local client = seerstack.new {
        store = disk, rate_limit = false, initial_retry_delay = 0.05,
          max_retry_delay = 0.2, %s }
      local function wait_for_state(state)
        while client:stats().store.state ~= state do
          socket.sleep(0.01)
        end
      end
    ]]):format(self.path, self.path .. ".control",
      options and options.with or "") .. code,
    env = script.environment(api.url, api.key, options and options.env),
  }))
end

function file:run(...)
  return self:start(...):wait()
end

return stores
