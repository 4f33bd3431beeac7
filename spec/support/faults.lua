-- Faults of a network and of a server, one per line of a table, and what
-- becomes of events that meet them:
--
--   { "what the server does", fault, queued, waited, options }
--
-- `fault(peer, listener)` serves one connection (spec/support/faulty.lua), and
-- again while it returns "keep". `queued` is what becomes of queued events
-- while the fault lasts: "delivered", "rejected", or "again": kept, and
-- delivered when it has gone. `waited` is what a waited-for request gets:
-- "response" or the name of the error. `options` are the client's. Fields of
-- a line: `size` of its events, in bytes; `state` of the port, "refuse" or
-- "deafen"; `unread`: the fault does not read the requests, so nobody knows
-- what has arrived; `unpumped`. With `context`, one of LuaSec, the server
-- speaks TLS when the fault is gone, and before the fault if it is `inside`;
-- `serve` does so well in another way than HTTP/1.1. With `environment` the
-- client is made while these variables are set, in which URL stands for the
-- server, a proxy then; `base_url` is where the client wants to go.
--
-- All lines of a table run side by side, each of them four times: queued;
-- queued without a time limit, to see that `capture` waits for nothing;
-- waited for in another interpreter; and pumped in another interpreter. In
-- each of them, whatever the line: nobody crashes or hangs, the counts add up
-- at every look, what was accepted arrives once the fault has gone, each
-- attempt at an event has the same key and the same body, and in the end no
-- descriptor is open that was not before.

local busted = require "busted"
local children = require "spec.support.fault_children"
local cjson = require "cjson"
local exchange = require "spec.support.exchange"
local faulty = require "spec.support.faulty"
local luassert = require "luassert"
local native = require "seer_spec_native"
local process = require "spec.support.process"
local shell = require "dev.shell"
local socket = require "socket"
local util = require "spec.support.util"

local faults = {}

local EVENTS = 3     -- of each client, before the fault is seen
local MORE = 20      -- during it
local SIDE_BY_SIDE = math.ceil(24 / util.slow)
local HANG = 100 * util.slow -- seconds for a table

faults.OK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
  .. 'Content-Length: 16\r\n\r\n{"success":true}'

-- A fault that answers each request with some bytes, and then does one of
-- "close" (the default), "reset", "hold" and "keep".
function faults.answer(bytes, after)
  return function(peer)
    if not peer:request() or not peer:send(bytes) then
      return
    elseif after == "hold" then
      peer:hold()
    elseif after == "reset" then
      peer:close "reset"
    end
    return after
  end
end

-- Serves a connection well.
function faults.serve(peer)
  while true do
    local request = peer:request()
    if not request then
      return
    end
    request.healthy = true
    peer:send(faults.OK)
  end
end

-- The same, one request for each connection. libcurl 7 does not see that a
-- connection has ended when the server has said goodbye in TLS.
function faults.serve_once(peer)
  local request = peer:request()
  if request then
    request.healthy = true
    peer:send((faults.OK:gsub("\r\n", "\r\nConnection: close\r\n", 1)))
  end
end

-- A server for a line.
function faults.listen(net, line)
  local listener = net:listen(function(peer, listener)
    local tls = line.context and (line.inside or not listener.faulty)
    local again = not tls or peer:secure(line.context)
    while again and listener.faulty do
      listener.begun = true
      again = line[2](peer, listener) == "keep"
    end
    if again then
      (line.serve or faults.serve)(peer)
    end
  end, line.context and "https", line.context and "localhost")
  listener.faulty = true
  if line.state then
    listener[line.state](listener)
    listener.begun = true
  end
  return listener
end

-- Ends the fault.
function faults.heal(listener)
  listener.faulty = false
  listener:accept_again()
end

-- Calls f with the environment of a line, in which proxies are named.
local function with_environment(line, url, f, ...)
  for name, value in pairs(line.environment or {}) do
    native.setenv(name, (value:gsub("URL", (url:gsub("%%", "%%%%")))))
  end
  local first, second = f(...)
  for name in pairs(line.environment or {}) do
    native.setenv(name, nil)
  end
  return first, second
end

-- The options of a line's clients; their times grow where all is slow.
function faults.options_of(line, more)
  local all = util.merge({ max_in_flight = 4, timeout = 20 }, line[5], more)
  all.log_level = "off"
  all.timeout = all.timeout * util.slow
  all.connect_timeout = (all.connect_timeout or 10) * util.slow
  return all
end

-- Made once: a sanitizer sees every byte that is copied, and who makes it
-- serves nobody.
local texts = {}

local function text_of(size)
  texts[size] = texts[size] or ("x"):rep(size)
  return texts[size]
end

local function capture(client, count, size)
  for i = 1, count do
    assert(client.events.capture { name = "n" .. i, data = {
      i = client:stats().accepted, text = text_of(size or 200),
    } })
  end
end

local function fail(what, ...)
  error(what:format(...), 0)
end

-- Waits as a coroutine, and looks at the counts whenever it does.
local function await(run, what, condition)
  run.what = what
  while true do
    local stats = run.client and exchange.adds_up(run.client)
    if run.listener.problem then
      fail("the server: %s", run.listener.problem)
    elseif condition(stats) then
      return stats
    end
    coroutine.yield()
  end
end

-- Of the requests of a listener, one key has one body, one body one key, and
-- so many events are among them; among those that were answered well, if
-- `healthy`.
function faults.check_requests(listener, accepted, healthy)
  local body_of, key_of, arrived = {}, {}, 0
  for _, request in ipairs(listener.requests) do
    local key, body = request.key, request.body
    body_of[key], key_of[body] = body_of[key] or body, key_of[body] or key
    if body_of[key] ~= body or key_of[body] ~= key then
      fail("an attempt differs: %s %s", key, body)
    end
  end
  local seen = {}
  for _, request in ipairs(listener.requests) do
    if (request.healthy or not healthy) and not seen[request.key] then
      seen[request.key], arrived = true, arrived + 1
    end
  end
  if arrived < accepted then
    fail("%d of %d events have arrived", arrived, accepted)
  end
end

local EXPECTED = {
  delivered = function(stats) return stats.pending == 0 end,
  rejected = function(stats) return stats.pending == 0 end,
  again = function(stats) return stats.last_error end,
}

local function check_outcome(stats, expected)
  local counted = expected == "again" and "pending" or expected
  if stats[counted] ~= stats.accepted then
    fail("not %s: %s", expected, cjson.encode(stats))
  end
end

-- Queued events, with the limits of the line.
local function run_queued(run, line)
  capture(run.client, EVENTS, line.size)
  local stats = await(run, line[3], EXPECTED[line[3]])
  check_outcome(stats, line[3])
  faults.heal(run.listener)
  stats = await(run, "recovery", EXPECTED.delivered)
  check_outcome(stats, line[3] == "rejected" and "rejected" or "delivered")
  if line[3] == "again" then
    faults.check_requests(run.listener, EVENTS, true)
  elseif not line.unread then
    faults.check_requests(run.listener, EVENTS, false)
  end
end

-- Queued events with no limit to an attempt: while the fault lasts, nobody
-- steps the server, so who waited for it would wait for ever.
local function run_captures(run, line)
  capture(run.client, 1, line.size)
  await(run, "the fault", function() return run.listener.begun end)
  capture(run.client, MORE)
  local stats = exchange.adds_up(run.client)
  if stats.accepted ~= MORE + 1 or stats.dropped ~= 0 then
    fail("not accepted: %s", cjson.encode(stats))
  end
  faults.heal(run.listener)
  run.listener:cut "reset"
  stats = await(run, "recovery", EXPECTED.delivered)
  if stats.delivered + stats.rejected ~= MORE + 1 then
    fail("lost: %s", cjson.encode(stats))
  end
end

local function start(net, line, f, more)
  local run = { line = line, listener = faults.listen(net, line) }
  local url = run.listener.url
  run.client = with_environment(line, url, exchange.client,
    line.base_url or url, faults.options_of(line, more))
  run.routine = coroutine.create(function() f(run, line) end)
  return run
end

-- Takes its step; true once it has ended.
local function step(run, problems)
  local ok, problem = coroutine.resume(run.routine)
  if coroutine.status(run.routine) ~= "dead" then
    return false
  elseif not ok then
    problems[#problems + 1] = problem
  end
  run.client:close(0)
  return true
end

local function each_run(lines)
  local list = {}
  for i = 1, #lines do
    list[#list + 1] = { i, run_queued }
    list[#list + 1] = { i, run_captures, { timeout = 3600 } }
  end
  return list
end

-- Runs all of them; the problems of each line, and what is wrong besides.
local function run_all(net, lines, behind)
  local problems, active, waiting = {}, {}, each_run(lines)
  for i = 1, #lines do
    problems[i] = {}
  end
  local families = children.start(faults, net, lines)
  local deadline, next_run = socket.gettime() + HANG, 1
  while children.step(faults, families) or waiting[next_run] or #active > 0 do
    while #active < SIDE_BY_SIDE and waiting[next_run] do
      local entry = waiting[next_run]
      local run = start(net, lines[entry[1]], entry[2], entry[3])
      run.problems = problems[entry[1]]
      active[#active + 1], next_run = run, next_run + 1
    end
    net:step()
    if behind then
      behind:step()
    end
    for i = #active, 1, -1 do
      if step(active[i], active[i].problems) then
        net:remove(table.remove(active, i).listener)
      end
    end
    if socket.gettime() > deadline then
      for _, run in ipairs(active) do
        run.problems[#run.problems + 1] = "hangs, waiting for "
          .. tostring(run.what) .. ": " .. cjson.encode(run.client:stats())
      end
      break
    end
  end
  return problems, children.judge(faults, families, problems)
end

local function count_descriptors()
  local count = 0
  for _ in pairs(process.descriptors(shell.own_pid())) do
    count = count + 1
  end
  return count
end

-- One request over a connection that ends with it. libcurl looks for dead
-- connections when it needs one.
local function breathe(net)
  local listener = net:listen(faults.serve_once)
  local client = exchange.client(listener.url)
  capture(client, 1)
  net:serve(function() return client:stats().pending == 0 end, 10)
  client:close(0)
  net:remove(listener)
end

-- Waits until the process has no more descriptors than it had: a while by
-- requests, and if some are left, until those go that nobody uses.
local function count_left(net, before)
  local begun = socket.gettime()
  local count
  repeat
    if socket.gettime() - begun < 10 then
      breathe(net)
    else
      socket.sleep(0.2)
    end
    count = count_descriptors()
  until count <= before or socket.gettime() - begun > 60
  return math.max(count - before, 0)
end

-- Describes a table of faults: a spec for each line, and two for the whole.
-- The servers of `behind`, if any, work meanwhile.
function faults.describe(title, lines, behind)
  local it, same = busted.it, luassert.same
  busted.describe(title, function()
    local problems, others, left

    busted.setup(function()
      local net = faulty.new()
      breathe(net)
      local before = count_descriptors()
      problems, others = run_all(net, lines, behind)
      net:close()
      for _, listener in ipairs(behind and behind.listeners or {}) do
        listener:cut()
      end
      left = count_left(net, before)
    end)

    for i, line in ipairs(lines) do
      it(line[1] .. ": " .. line[3] .. ", " .. (line[4] or "not waited for"),
        function() same({}, problems[i]) end)
    end

    it("ends no interpreter, and makes none say anything", function()
      same({}, others)
    end)

    it("leaves no descriptor behind", function()
      same(0, left)
    end)
  end)
end

return faults
