-- A directory for a store of seerstack.sqlite, and programs that use it.

local keepers = require "spec.support.keepers"
local shell = require "dev.shell"
local sqlite = require "seerstack.sqlite"
local util = require "spec.support.util"
local wait = require "spec.support.wait"

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

-- What the store has; see inspect.h. While others are inside there is none.
function disk:totals()
  return wait.until_(function()
    return (sqlite.totals(self.directory))
  end, 10, 0.02, "what a store has")
end

-- The first column of the first row that SQLite's shell prints. It looks, or
-- with `write` changes.
function disk:sql(text, write)
  return shell.output(("sqlite3 -cmd '.timeout 5000' %s %s"):format(
    shell.quote(write and self.directory .. "/queue.db"
      or "file:" .. self.directory .. "/queue.db?mode=ro"),
    shell.quote(text)))
end

-- See keeping. Who is killed is dead at once.

function disk.end_leases() end

function disk:tries()
  return self:sql("SELECT group_concat(tries) FROM (SELECT tries FROM event "
    .. "ORDER BY tries)")
end

-- "" when there is nothing, and nothing is broken.
function disk:leftovers()
  local all = self:sql("SELECT (SELECT count(*) FROM event) || ' events, ' "
    .. "|| (SELECT count(*) FROM owner) || ' owners'")
  local check = self:sql "PRAGMA integrity_check"
  return (all == "0 events, 0 owners" and "" or all)
    .. (check == "ok" and "" or check)
end

-- See keepers. Of the options, `open` are the store's.
function disk:start(api, code, options)
  return keepers.start(api, ([[
    local store = require "seerstack.sqlite".open { directory = %q, %s }
  ]]):format(self.directory, options and options.open or ""), code, options)
end

disk.hold, disk.leave = keepers.hold, keepers.leave

function disk:run(...)
  return self:start(...):wait()
end

-- Has a program send what is there, and waits until that has been done.
function disk:drain(api, options)
  return self:run(api, [[
    assert(client:persist(25))
    local seen
    repeat
      seen = require "seerstack.sqlite".totals(arg[1]) -- nil: it is busy
      socket.sleep(0.02)
    until seen and seen.events == 0
    assert(client:flush(25))
  ]], util.merge(options, { args = { self.directory } }))
end

return disks
