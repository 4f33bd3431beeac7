-- What a store in Redis costs: events a second that one process puts there,
-- all of which stay, since the API is out of reach; their size in its memory;
-- and how often a second it can answer machines that ask for their part of the
-- budget. It is a Redis of the row's own, without a file.

local bench = require "bench.support.bench"
local events = require "bench.support.events"
local host = require "spec.support.host"
local native = require "seer_spec_native"
local redises = require "spec.support.redises"
local seerstack = require "seerstack"
local shell = require "dev.shell"
local socket = require "socket"
local store = require "seerstack.redis"

local COUNT = bench.size(100000)

local port = host.port()
local server = redises.new { "port " .. port, "bind 127.0.0.1" }

local function new(prefix, options)
  local all = {
    api_key = "sk_bench", base_url = "http://127.0.0.1:1/", log_level = "off",
    max_queue_events = 2 * COUNT, max_queue_bytes = 2 ^ 30, exit_timeout = 0,
    store = store.open { url = server.url, prefix = prefix },
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return seerstack.new(all)
end

local rates, sizes = {}, {}
for round = 0, bench.rounds do
  local prefix = "round" .. round
  local client = new(prefix, { rate_limit = false })
  local began = socket.gettime()
  for _ = 1, COUNT do
    assert(client.events.capture(events.small))
  end
  assert(client:persist(60))
  if round > 0 then -- the first one does not count
    rates[round] = COUNT / (socket.gettime() - began)
    local totals = assert(store.totals { url = server.url, prefix = prefix })
    assert(totals.events == COUNT, totals.events)
    sizes[round] = totals.bytes / COUNT
  end
  client:close(0)
  server:ask "FLUSHALL"
end
bench.result("redis", { what = "events into Redis, one process",
  unit = "events/s", ours = rates })
bench.result("redis", { what = "memory of an event there, 1 property",
  unit = "bytes", ours = sizes })

-- A question as Redis hears it from a machine: the words of the command.
local function hear_question()
  local heard = server.directory .. "/heard"
  os.execute(("timeout 20 redis-cli -s %s MONITOR 2>&1 | grep -m 1 budget "
    .. ">%s &"):format(shell.quote(server.socket), shell.quote(heard)))
  local client = new("fleet", { api_key = "sk_fleet" })
  local words = {}
  while #words < 15 do
    assert(client.events.capture(events.small))
    socket.sleep(0.1)
    words = {}
    for word in (shell.read(heard) or ""):gmatch '"([^"]*)"' do
      words[#words + 1] = word
    end
  end
  client:close(0)
  return words
end

-- How often a second Redis could answer it where there are so many machines,
-- by its own account of the time.
local function answers_a_second(words, machines)
  local key, turn = words[4], tonumber(words[7])
  words[6] = ("%016x"):format(1) -- not who still asks itself
  local add = { "HSET", key }
  server:ask("DEL", key)
  for i = 2, machines do
    add[#add + 1] = ("%016x"):format(i)
    add[#add + 1] = ("7 1 %d 65000 0"):format((os.time() + 600) * 1000)
  end
  server:ask(add)
  local redis = assert(socket.connect("127.0.0.1", port))
  server:ask("CONFIG", "RESETSTAT")
  for i = 1, bench.size(5000) do
    words[7] = tostring(turn + i)
    local command = { "*" .. #words }
    for _, word in ipairs(words) do
      command[#command + 1] = "$" .. #word
      command[#command + 1] = word
    end
    assert(redis:send(table.concat(command, "\r\n") .. "\r\n"))
    assert(redis:receive() == "*4")
    for _ = 1, 4 do
      redis:receive()
    end
  end
  redis:close()
  words[7] = tostring(turn)
  local calls, usec = server:ask("INFO", "commandstats"):match
    "cmdstat_evalsha:calls=(%d+),usec=(%d+)"
  return 1e6 * calls / usec
end

local words = hear_question()
for _, machines in ipairs { 2, 10, 100 } do
  bench.result("redis", { what = ("answers to who asks for its part, of %d "
    .. "machines"):format(machines), unit = "answers/s",
    ours = { answers_a_second(words, machines) } })
end
server:remove()
native.exit(0)
