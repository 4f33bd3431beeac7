-- A directory for a store of seerstack.sqlite, and programs that use it.

local shell = require "dev.shell"
local script = require "spec.support.script"
local sqlite = require "seerstack.sqlite"
local util = require "spec.support.util"

local disks = {}
local disk = {}
disk.__index = disk
disk.__name = "disks.disk"

-- A store that nobody has used, in a directory of its own; in one of `parent`
-- if that is given.
function disks.new(parent)
  local parents = not parent and shell.temporary_directory("disk") or nil
  return setmetatable({
    parents = parents, directory = (parent or parents) .. "/events",
  }, disk)
end

function disk:remove()
  if self.parents then
    shell.remove(self.parents)
  end
end

function disk:path(name)
  return shell.quote(self.directory .. "/" .. name)
end

-- What the store has; see inspect.h.
function disk:totals()
  return assert(sqlite.totals(self.directory))
end

-- The first column of the first row that SQLite's shell prints. It looks, or
-- with `write` changes.
function disk:sql(text, write)
  return shell.output(("sqlite3 -cmd '.timeout 5000' %s %s"):format(
    shell.quote(write and self.directory .. "/queue.db"
      or "file:" .. self.directory .. "/queue.db?mode=ro"),
    shell.quote(text)))
end

-- Starts a program that has `client`, of this API, with the store. Options are
-- those of script.start, and `with`: more of the client's; `open`: of the
-- store's.
function disk:start(api, code, options)
  options = options or {}
  return script.start(util.merge(options, {
    code = ([[
      local disk = require "seerstack.sqlite".open { directory = %q, %s }
      local client = seerstack.new {
        store = disk, rate_limit = false, initial_retry_delay = 0.05,
          max_retry_delay = 0.2, %s }
    ]]):format(self.directory, options.open or "", options.with or "") .. code,
    env = script.environment(api.url, api.key, options.env),
  }))
end

-- One that has stored the events 1 to `count`, and goes on until it is killed.
function disk:hold(api, count, options)
  local child = self:start(api, ([[
    capture(client, 1, %d)
    assert(client:persist(10))
    tell "stored"
    socket.sleep(100)
  ]]):format(count), options)
  local wait = require "spec.support.wait"
  wait.until_(function()
    assert(not child:done(), child:stderr())
    return child:stdout():find "stored"
  end, 20)
  return child
end

function disk:run(...)
  return self:start(...):wait()
end

-- Has a program send what is there, and waits until that has been done.
function disk:drain(api, options)
  return self:run(api, [[
    assert(client:persist(10))
    local seen
    repeat
      seen = require "seerstack.sqlite".totals(arg[1]) -- nil: it is busy
      socket.sleep(0.02)
    until seen and seen.events == 0
    assert(client:flush(10))
  ]], util.merge(options, { args = { self.directory } }))
end

return disks
