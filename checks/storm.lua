-- Minutes of processes that share one key, before a stand-in that counts. Each
-- storm prints what the server saw, and ends with a line "ok" or "FAIL":
--   burst, spread  4 forked workers of a client, 600 events each, at once or
--                  evenly in 90 s
--   leave          the same, and each worker exits when it has captured
--   nginx          4 workers under full load, 5 reloads
--   apache, lighttpd  workers that were made before they load the module:
--                  1,600 events a minute, with share_rate_limit
--   share, store   8 programs that want 1,600 a minute together, with
--                  share_rate_limit, or one directory of seerstack.sqlite
--   fleet          2 nginx servers, 4 workers each, that share a Redis alone,
--                  get 1,600 events a minute together; then one is killed with
--                  all its workers, and the other sends what it had
--   kills          16 that share a budget; one is killed every 100 ms
--   stopped        4 that share a budget; one stands still for 30 s
--   clock          4 that share one, while the wall clock goes a day on and
--                  two days back
--   strangers      4 that know nothing of each other want 1,600 events a
--                  minute together
--   wrong          one whose rate_limit is three times what the server allows
--   lua checks/storm.lua kills strangers    # all without names: 30 minutes

local count = require "spec.support.nginx_count"
local fleets = require "spec.support.fleets"
local host = require "spec.support.host"
local native = require "seer_spec_native"
local nginx = require "spec.support.nginx"
local shell = require "dev.shell"
local preload = require "spec.support.preload"
local socket = require "socket"
local standin = require "dev.standin"

local function fork(work)
  local pid = native.fork()
  if pid == 0 then
    work()
    native.exit(0)
  end
  return pid
end

local function kill(pid)
  os.execute("kill -9 " .. pid)
  native.wait(pid)
end

-- Captures at an even rate, for as long as it lives.
local function capture_evenly(client, a_minute)
  local due = socket.gettime()
  while true do
    client.events.capture { name = "storm" }
    due = due + 60 / a_minute
    socket.sleep(math.max(0, due - socket.gettime()))
  end
end

local function new(api, options)
  local all = {
    api_key = api.key, base_url = api.url, log_level = "off",
    exit_timeout = 0, max_queue_events = 100000,
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return require "seerstack".new(all)
end

-- Calls `step` again and again. Returns what was delivered and refused in each
-- minute.
local function watch(api, minutes, step, pids)
  local seen, before = {}, {}
  local began = socket.gettime()
  for minute = 1, math.ceil(minutes) do
    while socket.gettime() - began < math.min(minute, minutes) * 60 do
      step(pids)
    end
    local now, counts = api:status().by_status, {}
    for _, status in ipairs { "200", "429" } do
      counts[status] = (now[status] or 0) - (before[status] or 0)
    end
    print(("minute %d: %d delivered, %d refused"):format(minute,
      counts["200"], counts["429"]))
    io.stdout:flush()
    seen[minute], before = counts, now
  end
  return seen
end

-- What was delivered and refused in a minute, from the second on.
local function averages(seen)
  local delivered, refused = 0, 0
  for minute = 2, #seen do
    delivered = delivered + seen[minute]["200"] / (#seen - 1)
    refused = refused + seen[minute]["429"] / (#seen - 1)
  end
  print(("from the second on, a minute: %.0f delivered, %.1f refused"):format(
    delivered, refused))
  return delivered, refused
end

-- Of a storm within one budget: nobody is refused, and no window has more than
-- its share.
local function check_budget(api, least)
  local status, worst = api:status().by_status, api:busiest_minute()
  print(("%d delivered, %d refused, at most %d in a minute"):format(
    status["200"], status["429"] or 0, worst))
  assert(not status["429"] and worst <= 950 and status["200"] >= least)
end

-- Four workers of a client that was made before they were.
local function run_workers(least, work, step)
  local api = standin.start { rate_limit = 1000 }
  local client = new(api)
  local pids = {}
  for i = 1, 4 do
    pids[i] = fork(function() work(client) end)
  end
  watch(api, 1.5, step or function() socket.sleep(0.1) end, pids)
  for _, pid in ipairs(pids) do
    kill(pid)
  end
  check_budget(api, least)
  api:stop()
end

local function capture_all(client)
  for _ = 1, 600 do
    assert(client.events.capture { name = "storm" })
  end
end

local storms = {}

function storms.burst()
  run_workers(1800, function(client)
    capture_all(client)
    socket.sleep(600)
  end)
end

-- Slots come free at the rate at which they were taken: 950, and half a minute
-- of 1,600.
function storms.spread()
  run_workers(1700, function(client) capture_evenly(client, 400) end)
end

-- A program of its own, for what it tells at its end.
local LEAVE = [[
  local native = require "seer_spec_native"
  local client = require "seerstack".new {}
  for i = 1, 4 do
    if native.fork() == 0 then
      for _ = 1, 600 do
        assert(client.events.capture { name = "storm" })
      end
      os.exit(0, true)
    end
  end
  for i = 1, 4 do native.wait(-1) end
]]

function storms.leave()
  local api = standin.start { rate_limit = 1000 }
  local lost = 0
  local told = shell.output(("SEERSTACK_API_KEY=%s SEERSTACK_BASE_URL=%s "
    .. "lua5.4 -e %s 2>&1"):format(api.key, api.url, shell.quote(LEAVE)))
  for number in told:gmatch "(%d+) events? [^:]+ exit: the rate limit" do
    lost = lost + number
  end
  print(told)
  check_budget(api, 950)
  assert(api:count() + lost == 2400, "something was lost untold")
  api:stop()
end

function storms.nginx()
  local api = standin.start { rate_limit = 1000 }
  local server = count.start { api = api, workers = 4, timeout = 300,
    client = "rate_limit = 1000, exit_timeout = 0.5, log_level = 'off', " }
  local load, began = count.load(server, "/count"), socket.gettime()
  local reloads = 0
  watch(api, 2, function()
    socket.sleep(0.1)
    if reloads < 5 and socket.gettime() - began > (reloads + 1) * 15 then
      server:reload()
      reloads = reloads + 1
      print(count.returned(count.now(server)) .. " captures")
    end
  end)
  assert(reloads == 5 and not load:done())
  check_budget(api, 1800)
  count.clean_up()
  api:stop()
end

-- Half a minute of 1,200 after the first 950.
function storms.stopped()
  local began, stopped = socket.gettime(), nil
  run_workers(1500, function(client) capture_evenly(client, 400) end,
    function(pids)
      socket.sleep(0.1)
      local time = socket.gettime() - began
      local signal = time > 45 and "CONT" or time > 15 and "STOP"
      if signal and signal ~= stopped then
        os.execute(("kill -%s %d"):format(signal, pids[1]))
        stopped = signal
      end
    end)
end

-- Workers that a wrong wall clock was preloaded to.
local CLOCK = [[
  local native = require "seer_spec_native"
  local socket = require "socket"
  local client = require "seerstack".new { exit_timeout = 0 }
  for i = 1, 4 do
    if native.fork() == 0 then
      local due = 0
      for n = 1, 600 do
        client.events.capture { name = "storm" }
        socket.sleep(0.15)
      end
      native.exit(0)
    end
  end
  for i = 1, 4 do native.wait(-1) end
]]

function storms.clock()
  local api = standin.start { rate_limit = 1000 }
  local path = os.tmpname()
  local handle = io.popen(("LD_PRELOAD=%s SEER_CLOCK_FILE=%s "
    .. "SEERSTACK_API_KEY=%s SEERSTACK_BASE_URL=%s lua5.4 -e %s 2>&1"):format(
    preload("wall_clock"), path, api.key, api.url, shell.quote(CLOCK)))
  local began = socket.gettime()
  watch(api, 1.5, function()
    local time = socket.gettime() - began
    shell.write(path, time > 60 and "-86400" or time > 30 and "86400" or "0")
    socket.sleep(0.5)
  end)
  print(handle:read "*a")
  check_budget(api, 1700)
  api:stop()
  os.remove(path)
end

-- A host whose workers share the budget through the system alone.
local function run_host(api, port, command, minutes)
  local url = "http://127.0.0.1:" .. port .. "/index.html"
  host.ready(host.start {
    command = command, timeout = 600,
    env = { SEERSTACK_API_KEY = api.key, SEERSTACK_BASE_URL = api.url },
  }, url)
  local due = socket.gettime()
  watch(api, minutes, function()
    assert(host.get(url) == 200)
    due = due + 60 / 1600
    socket.sleep(math.max(0, due - socket.gettime()))
  end)
  host.clean_up()
  check_budget(api, minutes * 950 - 50)
  api:stop()
end

function storms.lighttpd()
  local api = standin.start { rate_limit = 1000 }
  local directory, port = host.directory "lighttpd", host.port()
  local script = host.copy("lighttpd/analytics.lua", directory, {
    ["-- package.cpath = \"/opt/lua/?.so;\""] =
      ("package.cpath = %q"):format(host.cpath(directory, "5.4") .. ";"),
  })
  local configuration = host.copy("lighttpd/lighttpd.conf", directory, {
    ["server.port = 8080"] = "server.port = " .. port,
    ["/var/www/html"] = directory,
    ["/var/log/lighttpd"] = directory .. "/log",
    ["/etc/lighttpd/analytics.lua"] = script,
  })
  shell.write(configuration, shell.read(configuration)
    .. "server.max-worker = 4\n")
  shell.write(directory .. "/index.html", "Hello\n")
  shell.run("install -d -o www-data " .. directory .. "/log")
  run_host(api, port, "lighttpd -D -f " .. configuration, 3)
end

function storms.apache()
  local api = standin.start { rate_limit = 1000 }
  local directory, port = host.directory "apache", host.port()
  local lua = host.lua_of "/usr/lib/apache2/modules/mod_lua.so"
  local script = host.copy("apache/analytics.lua", directory)
  local configuration = host.copy("apache/apache2.conf", directory, {
    ["mpm_event"] = "mpm_prefork",
    ["127.0.0.1:8080"] = "127.0.0.1:" .. port,
    ["ServerRoot /etc/apache2"] = "ServerRoot " .. directory,
    ["/run/apache2"] = directory,
    ["/var/log/apache2"] = directory,
    ["/var/www/html"] = directory .. "/html",
    ["# LuaPackageCPath /opt/lua/?.so"] =
      "LuaPackageCPath " .. host.cpath(directory, lua),
    ["/etc/apache2/analytics.lua"] = script,
  })
  shell.run("mkdir " .. directory .. "/html")
  shell.write(directory .. "/html/index.html", "Hello\n")
  run_host(api, port, "apache2 -f " .. configuration .. " -D FOREGROUND", 3)
end

local PROGRAM = [[
  local socket = require "socket"
  local client = require "seerstack".new {
    log_level = "off", exit_timeout = 0, %s
  }
  local due = socket.gettime()
  local stop = due + %d
  while due < stop do
    client.events.capture { name = "storm" }
    due = due + 60 / %d
    socket.sleep(math.max(0, due - socket.gettime()))
  end
]]

-- So many programs, forked from none that has the module, capture 1,600 events
-- a minute together. Returns what `watch` does.
local function run_programs(api, programs, minutes, options)
  local handles = {}
  for i = 1, programs do
    handles[i] = io.popen(("SEERSTACK_API_KEY=%s SEERSTACK_BASE_URL=%s "
      .. "lua5.4 -e %s 2>&1"):format(api.key, api.url,
      shell.quote(PROGRAM:format(options, minutes * 60 + 5, 1600 / programs))))
  end
  local seen = watch(api, minutes, function() socket.sleep(0.1) end)
  for _, handle in ipairs(handles) do
    io.write(handle:read "*a")
    handle:close()
  end
  return seen
end

local function run_sharing(options)
  local api = standin.start { rate_limit = 1000 }
  run_programs(api, 8, 3, options)
  check_budget(api, 3 * 950 - 50)
  api:stop()
end

function storms.share()
  run_sharing "share_rate_limit = true"
end

function storms.store()
  local directory = shell.temporary_directory "storm"
  run_sharing(("store = require 'seerstack.sqlite'.open { directory = %q }")
    :format(directory .. "/events"))
  shell.remove(directory)
end

-- Waits for so many events; the seconds that it took.
local function await(api, number, most)
  local began = socket.gettime()
  while api:count() < number do
    assert(socket.gettime() - began < most,
      ("%d of %d events after %d s"):format(api:count(), number, most))
    socket.sleep(0.1)
  end
  return socket.gettime() - began
end

function storms.fleet()
  local api = standin.start { rate_limit = 1000 }
  local redis, servers, visits = fleets.redis(), {}, 0
  for i = 1, 2 do
    servers[i] = fleets.start(api, redis, 4, nil, 900)
  end
  local function visit(server)
    assert(server:get "/" == 200)
    visits = visits + 1
  end
  local due = socket.gettime()
  watch(api, 3, function()
    visit(servers[visits % 2 + 1])
    due = due + 60 / 1600
    socket.sleep(math.max(0, due - socket.gettime()))
  end)
  local sent = api:count()
  check_budget(api, 3 * 950 - 50)
  print(("%d visits, %d of them wait; those arrive in %.0f s"):format(visits,
    visits - sent, await(api, visits, 300)))
  api:config { fail_status = 503 }
  for _ = 1, 200 do
    visit(servers[1])
  end
  while redis:totals().events < 200 do
    socket.sleep(0.1)
  end
  fleets.kill(servers[1])
  api:config { fail_status = false }
  print(("200 events of a server that was killed arrive in %.0f s"):format(
    await(api, visits, 30 + 60)))
  check_budget(api, visits)
  local got = {}
  for _, event in ipairs(api:events()) do
    got[event.headers["idempotency-key"]] = true
  end
  local distinct = 0
  for _ in pairs(got) do
    distinct = distinct + 1
  end
  print(("%d events, %d arrived twice"):format(distinct,
    api:count() - distinct))
  assert(distinct == visits, "something was lost")
  nginx.clean_up()
  redis:remove()
  api:stop()
end

function storms.kills()
  local api = standin.start { rate_limit = 1000 }
  local client = new(api, { timeout = 5 })
  local function work() capture_evenly(client, 200) end
  local pids, kills = {}, 0
  for i = 1, 16 do
    pids[i] = fork(work)
  end
  local seen = watch(api, 2, function()
    socket.sleep(0.1)
    local which = math.random(#pids)
    kill(pids[which])
    pids[which] = fork(work)
    kills = kills + 1
  end)
  for _, pid in ipairs(pids) do
    kill(pid)
  end
  print(kills .. " kills, at most " .. api:busiest_minute() .. " in a minute")
  assert(api:busiest_minute() <= 950)
  socket.sleep(5 + 60 + 1)
  for _ = 1, 950 do
    assert(client.events.capture { name = "after" })
  end
  assert(client:flush(30), "slots have not come free")
  assert(not api:status().by_status["429"], "refused")
  assert(seen[1]["200"] > 500, "stingy")
  api:stop()
end

function storms.strangers()
  local api = standin.start { rate_limit = 1000, keep = false }
  local seen = run_programs(api, 4, 6, "max_queue_events = 100000")
  api:stop()
  local delivered, refused = averages(seen)
  assert(delivered >= 880 and refused <= 12)
end

function storms.wrong()
  local api = standin.start { rate_limit = 300, keep = false }
  local pid = fork(function() capture_evenly(new(api), 1000) end)
  local seen = watch(api, 5, function() socket.sleep(0.1) end)
  kill(pid)
  api:stop()
  local delivered, refused = averages(seen)
  assert(delivered >= 280 and refused <= 4)
end

local ALL = { "burst", "spread", "leave", "nginx", "apache", "lighttpd",
  "share", "store", "fleet", "kills", "stopped", "clock", "strangers",
  "wrong" }

local failed = 0
for _, name in ipairs(#arg > 0 and arg or ALL) do
  print("== " .. name)
  local ok, why = xpcall(storms[name], debug.traceback)
  print(ok and "ok " .. name or ("FAIL %s: %s"):format(name, why))
  io.stdout:flush()
  failed = failed + (ok and 0 or 1)
end
native.exit(failed > 0 and 1 or 0)
