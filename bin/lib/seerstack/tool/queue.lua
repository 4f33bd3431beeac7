-- `seerstack queue`: what a store has, and what to do with it.

local cjson = require "cjson"
local client = require "seerstack.tool.client"
local fail = require "seerstack.tool.fail"

local queue = {
  summary = "look into a store, and empty it",
  usage = "queue DIRECTORY|URL [--export | --drain | --purge]",
  words = 1,
  help = [[
Tells what is in a store's directory, or in the Redis of a URL such as
redis://:password@host:6379/0: how many events, of which nobody's are those
that no living process has; the age of the oldest of nobody's; how many
processes take part; what size that is, and of the log in it; in Redis how
many machines have how many slots of the limit of the rate.
--export prints the rows as JSON lines that `import` takes, and sends nothing.
--drain sends nobody's rows of the present key and URL, and waits for that.
--purge forgets nobody's rows, whatever their key.]],
  options = {
    { "export", about = "print events as JSON lines" },
    { "identify", about = "of --export: users instead" },
    { "drain", about = "send what the present key may send" },
    { "purge", about = "forget what no living process has" },
    { "prefix", value = "TEXT", about = "of a URL: what keys begin with" },
    { "ca-file", value = "FILE", about = "of rediss://: whom to trust" },
    client.URL, client.TIMEOUT, client.JSON,
  },
}

local function checked(result, problem)
  return result or fail.usage("%s", problem)
end

local function export(store, place, given)
  local from, kind = nil, given.identify and 1 or 0 -- seer_kind's
  repeat
    local rows = checked(store.rows(place, from))
    for _, row in ipairs(rows) do
      if row.kind == kind then
        io.write(row.body, "\n")
      end
      from = row.id
    end
  until #rows == 0
end

local function purge(store, place, given)
  local count = checked(store.purge(place))
  print(given.json and cjson.encode { removed = count }
    or count .. " removed")
end

-- Adopts and sends until nothing more comes, for as long as something does.
-- What is just being adopted is neither nobody's nor pending.
local function drain(store, place, given, opened)
  local made = client.new(given, { store = opened, exit_timeout = 1 })
  local before, idle_since = -1, client.now()
  repeat
    made:flush(0.5)
    client.sleep(0.05) -- there may be nothing to wait for yet
    local stats = made:stats().store
    local done = stats.delivered + stats.rejected + stats.dropped
    if done ~= before then
      before, idle_since = done, client.now()
    end
    local left = checked(store.totals(place))
    local waits = stats.pending > 0 and 60 or left.nobodys > 0 and 12 or 1
  until left.events == 0 or client.now() - idle_since > waits
  made:flush(5) -- until the store has forgotten what was sent
  local stats, left = made:stats().store, checked(store.totals(place))
  made:close()
  if given.json then
    print(cjson.encode { delivered = stats.delivered,
      rejected = stats.rejected, dropped = stats.dropped,
      left = left.events })
  else
    print(("%d delivered, %d rejected, %d dropped, %d left")
      :format(stats.delivered, stats.rejected, stats.dropped, left.events))
  end
  return left.events == 0 and stats.rejected + stats.dropped == 0 and 0
    or fail.FAILED
end

local function show(store, place, given)
  local totals = checked(store.totals(place))
  if given.json then
    print(cjson.encode(totals))
    return
  end
  for _, line in ipairs {
    { "events", "%d", totals.events },
    { "of nobody's", "%d", totals.nobodys },
    { "oldest of these", "%d s", math.floor(totals.oldest) },
    { "processes", "%d", totals.owners },
    { totals.log and "files" or "memory", "%d bytes", totals.bytes },
    { "log", "%d bytes", totals.log },
    { "machines", "%d", totals.machines },
    { "their slots", "%d", totals.slots },
  } do
    if line[3] then
      print(("%-16s " .. line[2]):format(line[1], line[3]))
    end
  end
end

-- What is asked for, of which there is one.
local function task(given)
  local asked
  for _, what in ipairs { { "export", export }, { "drain", drain },
    { "purge", purge } } do
    if given[what[1]] and asked then
      fail.usage("queue: --%s or --%s, not both", asked[1], what[1])
    end
    asked = given[what[1]] and what or asked
  end
  return asked and asked[2] or show
end

function queue.run(given, words)
  local place = words[1] or fail.usage "queue: which directory, or URL?"
  local run = task(given)
  local name, options = "sqlite", { directory = place }
  if place:find "^%l+://" then
    name, options = "redis", { url = place, prefix = given.prefix,
      ca_file = given["ca-file"] }
    place = options
  end
  local ok, store = pcall(require, "seerstack." .. name)
  if not ok then
    fail.usage("queue: there is no seerstack.%s: install seerstack-%s", name,
      name)
  end
  local valid, opened = pcall(store.open, options)
  if not valid then
    fail.usage("queue: %s", opened)
  end
  return run(store, place, given, opened)
end

return queue
