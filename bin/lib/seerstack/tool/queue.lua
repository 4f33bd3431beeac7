-- `seerstack queue`: what a store of seerstack.sqlite has, and what to do with
-- it.

local cjson = require "cjson"
local client = require "seerstack.tool.client"
local fail = require "seerstack.tool.fail"

local queue = {
  summary = "look at the directory of a store, and empty it",
  usage = "queue DIRECTORY [--export | --drain | --purge]",
  help = [[
Tells what is in a store's directory: how many events, of which nobody's are
those that no living process has; the age of the oldest of nobody's; how many
processes have some; the size of the files, and of the log in it.
--export prints the rows as JSON lines that `import` takes, and sends nothing.
--drain sends nobody's rows of the present key and URL, and waits for that.
--purge forgets nobody's rows, whatever their key.]],
  options = {
    { "export", about = "print events as JSON lines" },
    { "identify", about = "of --export: users instead" },
    { "drain", about = "send what the present key may send" },
    { "purge", about = "forget what no living process has" },
    client.URL, client.TIMEOUT, client.JSON,
  },
}

local function checked(result, problem)
  return result or fail.usage("%s", problem)
end

local function export(sqlite, directory, given)
  local from, kind = 0, given.identify and 1 or 0 -- seer_kind's
  repeat
    local rows = checked(sqlite.rows(directory, from))
    for _, row in ipairs(rows) do
      if row.kind == kind then
        io.write(row.body, "\n")
      end
      from = row.id
    end
  until #rows == 0
end

local function purge(sqlite, directory, given)
  local count = checked(sqlite.purge(directory))
  print(given.json and cjson.encode { removed = count }
    or count .. " removed")
end

-- Adopts and sends until nothing more comes, for as long as something does.
local function drain(sqlite, directory, given)
  local made = client.new(given, { store = sqlite.open {
    directory = directory,
  }, exit_timeout = 1 })
  local before, idle_since = -1, client.now()
  repeat
    made:flush(0.5)
    local stats = made:stats().store
    local done = stats.delivered + stats.rejected + stats.dropped
    if done ~= before then
      before, idle_since = done, client.now()
    end
    local left = checked(sqlite.totals(directory)).nobodys
    local waits = stats.pending > 0 and 60 or 12
  until left == 0 and stats.pending == 0
    or client.now() - idle_since > waits
  made:flush(5) -- until the store has forgotten what was sent
  local stats, left = made:stats().store, checked(sqlite.totals(directory))
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

local function show(sqlite, directory, given)
  local totals = checked(sqlite.totals(directory))
  if given.json then
    print(cjson.encode(totals))
    return
  end
  for _, line in ipairs {
    { "events", "%d", totals.events },
    { "of nobody's", "%d", totals.nobodys },
    { "oldest of these", "%d s", math.floor(totals.oldest) },
    { "processes", "%d", totals.owners },
    { "files", "%d bytes", totals.bytes },
    { "log", "%d bytes", totals.log },
  } do
    print(("%-16s " .. line[2]):format(line[1], line[3]))
  end
end

function queue.run(given, words)
  local directory = words[1] or fail.usage "queue: which directory?"
  local ok, sqlite = pcall(require, "seerstack.sqlite")
  if not ok then
    fail.usage "queue: there is no seerstack.sqlite: install seerstack-sqlite"
  end
  for _, what in ipairs { { "export", export }, { "drain", drain },
    { "purge", purge } } do
    if given[what[1]] then
      return what[2](sqlite, directory, given)
    end
  end
  show(sqlite, directory, given)
end

return queue
