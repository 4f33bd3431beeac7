-- A Redis of a spec's own, on a socket in a directory of its own, for a store
-- of seerstack.redis; and programs that use that.

local keepers = require "spec.support.keepers"
local preload = require "spec.support.preload"
local redis = require "seerstack.redis"
local script = require "spec.support.script"
local shell = require "dev.shell"
local wait = require "spec.support.wait"

local redises = {}
-- Whether the module has TLS.
redises.tls = pcall(redis.open, { url = "rediss://localhost" })

local server = {}
server.__index = server
server.__name = "redises.server"

-- One that runs; `settings` are lines of its configuration. Its clock is as
-- many seconds ahead as the file `clock` says.
function redises.new(settings)
  local directory = shell.temporary_directory("redis")
  local self = setmetatable({
    directory = directory, socket = directory .. "/socket",
    settings = settings or {}, clock = directory .. "/clock",
  }, server)
  self.url = "unix://" .. self.socket
  self:run()
  return self
end

-- Starts it, again if it has ended, with what it had only if it was told to
-- keep that (appendonly).
function server:run()
  os.remove(self.socket)
  shell.write(self.directory .. "/conf", table.concat({
    "port 0", "save ''", "dir " .. self.directory,
    "unixsocket " .. self.socket, "unixsocketperm 600",
    table.concat(self.settings, "\n"), "",
  }, "\n"))
  self.program = script.start {
    commands = "exec redis-server " .. shell.quote(self.directory .. "/conf")
      .. "\n",
    timeout = 900,
    env = { LD_PRELOAD = preload("wall_clock"), SEER_CLOCK_FILE = self.clock },
  }
  wait.until_(function()
    assert(not self.program:done(), "redis-server has ended")
    return shell.run(("redis-cli -s %s ping >%s 2>&1"):format(
      shell.quote(self.socket), shell.quote(self.directory .. "/ping"))) == 0
      and shell.read(self.directory .. "/ping"):find "PONG" or
        shell.read(self.directory .. "/ping"):find "NOAUTH"
  end, 60)
end

function server:kill(signal)
  self.program:kill(signal)
  if signal == "KILL" then
    self.program:wait(10)
  end
end

function server:remove()
  self.program:finish()
  shell.remove(self.directory)
end

-- What redis-cli prints for a command: words, or a list of them.
function server:ask(first, ...)
  return shell.output(("redis-cli -s %s %s"):format(shell.quote(self.socket),
    shell.join(type(first) == "table" and first or { first, ... })))
end

-- What the store has; see inspect.h.
function server:totals()
  return assert(redis.totals { url = self.url })
end

function server:rows()
  local all, from = {}, nil
  repeat
    local rows = assert(redis.rows({ url = self.url }, from))
    for _, row in ipairs(rows) do
      all[#all + 1] = row
      from = row.id
    end
  until #rows == 0
  return all
end

-- All keys below the prefix, without their targets, in their order: "budget
-- owners q targets users" and each "o:" with its process are possible.
function server:keys()
  local names = {}
  for key in self:ask("KEYS", "*"):gmatch "%S+" do
    names[#names + 1] = key:gsub("^ss:", ""):gsub("^{%x+}:", ""):match ".*"
  end
  table.sort(names)
  return table.concat(names, " ")
end

-- The whole key with such an end, of the one target that there is.
function server:key(what)
  return "ss:{" .. self:ask("SRANDMEMBER", "ss:targets") .. "}:" .. what
end

-- Time passes: the leases of all that have one run out now.
function server:end_leases()
  local owners = self:key "owners"
  for name in self:ask("ZRANGE", owners, "0", "-1"):gmatch "%x+" do
    self:ask("ZADD", owners, "1", name)
  end
end

-- See keeping.

function server:tries()
  local all = {}
  for i, row in ipairs(self:rows()) do
    all[i] = row.tries
  end
  table.sort(all)
  return table.concat(all, ",")
end

-- "" when there is nothing, and nobody.
function server:leftovers()
  local events, owners = self:totals().events,
    self:ask("ZCARD", self:key "owners")
  return (events == 0 and owners == "0" and "" or events .. " events, "
    .. owners .. " owners ") .. self:ask("KEYS", "*:o:*")
end

-- See keepers. Of the options, `open` are the store's, and `url`.
function server:start(api, code, options)
  local of = options or {}
  return keepers.start(api, ([[
    local redis = require "seerstack.redis"
    local place = { url = %q, %s }
    local store = redis.open(place)
  ]]):format(of.url or self.url, of.open or ""), code, options)
end

server.hold, server.leave = keepers.hold, keepers.leave

-- Has a program send what is there, and waits until that has been done.
function server:drain(api, options)
  return self:start(api, [[
    assert(client:persist(25))
    while assert(redis.totals(place)).events > 0 do
      socket.sleep(0.02)
    end
    assert(client:flush(25))
  ]], options):wait()
end

return redises
