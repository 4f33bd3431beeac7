-- For `make test-store`: every client of every program has a store, the one of
-- spec/support/store.c, in memory; but for those that name one, or no thread,
-- or a small queue: what that refuses a store would take.
-- LUA_INIT loads this, before a spec breaks what it uses.

local debug, error, ipairs, next = debug, error, ipairs, next
local package, pcall, rawget, require = package, pcall, rawget, require
local select, setmetatable, type = select, setmetatable, type

local function load_module()
  local searchers = rawget(package, "searchers") or rawget(package, "loaders")
  for i = 2, #searchers do -- the first is that of package.preload
    local loader, where = searchers[i]("seerstack")
    if type(loader) == "function" then
      local ok, module = pcall(loader, "seerstack", where)
      return ok and module or error(module, 0)
    end
  end
  error("module 'seerstack' not found")
end

-- With the store's own time for the exit many a spec would see another one,
-- and with one budget what others have sent with its key.
local function with_store(options)
  local all = { exit_timeout = 10, share_rate_limit = false }
  for name, value in next, options do
    all[name] = value
  end
  all.store = require "seer_spec_store".open {}
  return all
end

local function is_small(options)
  local events = rawget(options, "max_queue_events")
  local bytes = rawget(options, "max_queue_bytes")
  return type(events) == "number" and events <= 100
    or type(bytes) == "number" and bytes <= 20000
end

-- What was adopted counts as the client's own, and what is in the store alone
-- as pending.
local function merge_counts(stats)
  local store = type(stats) == "table" and stats.store
  if store then
    for _, name in ipairs { "delivered", "rejected", "dropped", "pending" } do
      stats[name] = stats[name] + store[name]
    end
    stats.pending = stats.pending + stats.stored - store.adopted
    stats.stored, stats.store = 0, nil
  end
  return stats
end

-- The clients to which a store was given here.
local ours = setmetatable({}, { __mode = "k" })

-- Calls it, and raises what it raises as if it had been called directly.
local function call(method, ...)
  local results = { pcall(method, ...) }
  if not results[1] then
    error(results[2], 0)
  end
  return results[2], results[3], results[4]
end

local CHANGED = {
  stats = function(client, method, ...)
    local stats, message, err = call(method, ...)
    if not stats then
      return stats, message, err
    end
    return ours[client] and merge_counts(stats) or stats
  end,
  with_options = function(client, method, ...)
    local options = select(2, ...)
    if ours[client] and type(options) == "table" and is_small(options) then
      local without = with_store(options)
      without.store = false
      return call(method, client, without)
    end
    local made, message, err = call(method, ...)
    ours[made or 0] = ours[client]
    return made, message, err
  end,
}

local function change_methods(client)
  local metatable = debug.getmetatable(client)
  local index = metatable.__index
  metatable.__index = function(self, name)
    local value, change = index(self, name), CHANGED[name]
    return change and function(...) return change(self, value, ...) end
      or value
  end
end

package.preload.seerstack = function()
  local module = load_module()
  local new, changed = module.new, false
  function module.new(options, ...)
    local given = options == nil and {} or options
    local stored = type(given) == "table" and rawget(given, "store") == nil
      and rawget(given, "thread") ~= false and not is_small(given)
      and (next(given) ~= nil or options == nil)
    if stored then
      options = with_store(given)
    end
    local ok, client = pcall(new, options, ...)
    if not ok then
      error(client, 2)
    end
    if stored and not changed then
      change_methods(client)
      changed = true
    end
    ours[client] = stored or nil
    return client
  end
  return module
end
