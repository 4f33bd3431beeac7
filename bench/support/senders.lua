-- Who can send events: ours, and the peers. Each is called with a number of
-- requests (and how many at a time) and returns { rate = requests per second,
-- cpu = ns of the sending thread per request }, the latter where it is known.

local bench = require "bench.support.bench"
local shell = require "dev.shell"
local socket = require "socket"

local senders = {}

local KEY = "sk_bench"
local silent = {} -- sockets that are to stay open

-- What ours makes of the small event.
senders.body = '{"name":"user.signup","user_id":"user_123",'
  .. '"timestamp":"2025-01-04T12:00:00.000Z","data":{"plan":"pro"}}'

local function url(tls)
  return (tls and bench.tls_url or bench.url) .. "/capture"
end

-- The form of `multi` that does as ours does: from libcurl 8.1.1 on handles
-- are used again.
local major, minor, patch =
  shell.output "curl-config --version":match "(%d+)%.(%d+)%.(%d+)"
senders.alike = major * 10000 + minor * 100 + patch >= 80101 and "reused"
  or "fresh"

-- On the measured core, where that can be chosen.
local pinned = shell.run(("taskset -c %d true 2>/dev/null")
  :format(bench.core)) == 0 and ("taskset -c %d "):format(bench.core) or ""

local function run(words)
  local path = bench.directory .. "/output"
  local command = pinned .. shell.join(words) .. " >" .. path .. " 2>&1"
  local status = shell.run(command)
  local text = shell.read(path)
  if status ~= 0 then
    error((text:match "[^\n]*" or "") .. " (" .. words[1] .. ")", 0)
  end
  return text
end

-- Nanoseconds that a thread has run.
local function thread_time(thread)
  local text = shell.read(("/proc/self/task/%d/schedstat"):format(thread))
  return tonumber((text or ""):match "^%d+")
end

-- The thread of this process that is not its first.
local function sender_thread()
  local own = shell.own_pid()
  for thread in shell.output(("ls /proc/%d/task"):format(own)):gmatch "%d+" do
    if thread ~= own then
      return tonumber(thread)
    end
  end
end

-- A client whose sender has all in flight that it may, to a server that never
-- answers: events stay in the queue, and the sender sleeps. And its URL.
function senders.silent_client()
  local listener = assert(socket.bind("127.0.0.1", 0, 64))
  local _, port = listener:getsockname()
  local address = "http://127.0.0.1:" .. port
  local client = bench.client { base_url = address, log_level = "off" }
  for _ = 1, 100 do
    client.events.capture { name = "bench.started" }
  end
  listener:settimeout(60)
  for _ = 1, 16 do
    local connection = assert(listener:accept())
    connection:settimeout(60)
    repeat
      local line = assert(connection:receive "*l")
    until line == ""
    silent[#silent + 1] = connection
  end
  silent[#silent + 1] = listener
  return client, address
end

-- Options: tls, event, in_flight. The caller is on the server's core when it
-- has captured all, and sleeps; the sender is on the other. With `length`,
-- so many are in the queue all the time: it is filled up as it is sent.
function senders.ours(options)
  local client = bench.client {
    base_url = options.tls and bench.tls_url or bench.url,
    ca_file = options.tls and bench.ca_file or nil,
    max_in_flight = options.in_flight or 16, log_level = "off",
  }
  local capture, event = client.events.capture, options.event
  capture(event)
  assert(client:flush(60))
  local thread = sender_thread()
  bench.native.pin(bench.core, thread)
  bench.native.pin(bench.server_core)

  local function fill(length)
    local stats = client:stats()
    for _ = stats.pending + 1, length do
      capture(event)
    end
    return stats.delivered
  end

  local function keep_full(length, delivered)
    local now
    repeat
      socket.sleep(0.001)
      now = fill(length)
    until now >= delivered
    return now
  end

  return function(count, _, length)
    local from = fill(length or count)
    if length then -- what filling it has left in the caches is old by then
      from = keep_full(length, from + count)
    end
    local wall, cpu = bench.native.wall(), thread_time(thread)
    if length then
      count = keep_full(length, from + count) - from
    else
      count = client:stats().pending
      assert(client:flush(600))
    end
    return {
      rate = count / (bench.native.wall() - wall) * 1e9,
      cpu = cpu and (thread_time(thread) - cpu) / count,
    }
  end
end

-- `handles`: "reused" or "fresh", one for each request.
function senders.multi(tls, count, in_flight, handles)
  local text = run { "build/bench/multi", url(tls), KEY, senders.body, count,
    in_flight, handles, tls and bench.ca_file or nil }
  local wall, cpu = text:match "^(%d+) (%d+)"
  return { rate = count / wall * 1e9, cpu = cpu / count }
end

local HEADERS = {
  "Authorization: Bearer " .. KEY, "Content-Type: application/json",
  "Accept: application/json", "User-Agent: Seerstack/Lua 0.1.0",
  "Idempotency-Key: 00000000-0000-4000-8000-000000000000",
}

function senders.h2load(tls, count, in_flight)
  local body = bench.directory .. "/body.json"
  shell.write(body, senders.body)
  local words = { "h2load", "--h1", "-t", 1, "-n", count, "-c", in_flight,
    "-d", body }
  for _, header in ipairs(HEADERS) do
    words[#words + 1] = "-H"
    words[#words + 1] = header
  end
  words[#words + 1] = url(tls)
  local text = run(words)
  return { rate = tonumber(text:match "([%d.]+) req/s") }
end

function senders.wrk()
  local script = bench.directory .. "/wrk.lua"
  local lines = { 'wrk.method = "POST"',
    ("wrk.body = %q"):format(senders.body) }
  for _, header in ipairs(HEADERS) do
    lines[#lines + 1] = ("wrk.headers[%q] = %q")
      :format(header:match "^(.-): (.*)")
  end
  shell.write(script, table.concat(lines, "\n"))
  local text = run { "wrk", "-t", 1, "-c", 16, "-d",
    bench.quick and "1s" or "2s", "-s", script, url(false) }
  return { rate = tonumber(text:match "Requests/sec:%s+([%d.]+)") }
end

function senders.lua(which)
  return function(count)
    local text = run { "env", "LUA_CPATH=build/bench/luajit/?.so;;", "luajit",
      "bench/peers/lua.lua", which, url(false), KEY, senders.body, count }
    return { rate = count / tonumber(text) * 1e9 }
  end
end

-- Where node and the packages are; the packages are fetched once.
local function need_package(name)
  if shell.run "command -v npm >/dev/null" ~= 0 then
    error("there is no node", 0)
  end
  local place = "build/bench/node_modules/" .. name .. "/package.json"
  if not shell.read(place) and shell.run("timeout 120 npm install --silent"
      .. " --no-audit --no-fund --prefix build/bench " .. name
      .. " >/dev/null 2>&1") ~= 0 then
    error("npm has no " .. name, 0)
  end
end

function senders.userplex(count)
  need_package "userplex"
  local text = run { "node", "bench/peers/userplex.mjs", bench.url, KEY,
    count }
  return { rate = count / tonumber(text) * 1e9 }
end

function senders.posthog(count)
  need_package "posthog-node"
  local text = run { "node", "bench/peers/posthog.mjs", bench.url, KEY,
    count }
  local capture, all = text:match "(%d+) (%d+)%s*$"
  return { rate = count / all * 1e9, capture = capture / count }
end

return senders
