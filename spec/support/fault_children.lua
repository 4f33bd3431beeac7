-- The lines of a table of faults in other interpreters, which wait for their
-- requests or pump; see spec/support/faults.lua.

local cjson = require "cjson"
local script = require "spec.support.script"
local socket = require "socket"

local children = {}

local EVENTS = 3  -- of each client that is pumped
local WAITERS = 4 -- interpreters: each waits for one line after the other
local HANG = 100  -- seconds

-- The programs of the other interpreters. They are given the lines as JSON.

local COMMON = [[
local cjson = require "cjson"
local seerstack = require "seerstack"
local lines = cjson.decode(io.read "*a")
local native = require "seer_spec_native"
local function new(line, more)
  for name, value in pairs(more) do
    line.options[name] = value
  end
  for name, value in pairs(line.environment) do
    native.setenv(name, value)
  end
  local client = seerstack.new(line.options)
  for name in pairs(line.environment) do
    native.setenv(name, nil)
  end
  return client
end
local function look(client)
  local s = client:stats()
  assert(s.accepted == s.delivered + s.rejected + s.dropped + s.pending)
  return s
end
local function say(...)
  print(...)
  io.stdout:flush()
end
]]

local WAIT = COMMON .. [[
for i, line in ipairs(lines) do
  local client = new(line, { max_retries = 0 })
  local response, _, err = client.events.capture(
    { name = "n", data = { text = ("x"):rep(line.size) } }, { wait = true })
  local stats = look(client)
  local good = response or (err.status or 0) >= 200 and err.status < 300
  say(i, stats.accepted == 1
    and stats[good and "delivered" or "rejected"] == 1
    and (response and "response" or err.name) or "miscounted")
end
]]

local PUMP = COMMON .. [[
local clients, left = {}, #lines
for i, line in ipairs(lines) do
  clients[i] = new(line, { thread = false })
  local text = ("x"):rep(line.size)
  for j = 1, EVENTS do
    assert(clients[i].events.capture {
      name = "n" .. j, data = { j = j, text = text },
    })
  end
end
local seen, ended = {}, {}
while left > 0 do
  for i, client in ipairs(clients) do
    client:pump(i == 1 and 0.01 or 0)
    local stats = look(client)
    if not seen[i] and (stats.last_error or stats.pending == 0) then
      seen[i] = true
      say("seen", i)
    elseif seen[i] and not ended[i] and stats.pending == 0 then
      ended[i], left = true, left - 1
      say("ended", i, stats.delivered, stats.rejected)
    end
  end
end
]]

local count = 0

local function start_child(kit, code, lines, listeners)
  local given = {}
  for i, line in ipairs(lines) do
    local url, environment = listeners[i].url, {}
    count = count + 1
    for name, value in pairs(line.environment or {}) do
      environment[name] = value:gsub("URL", url)
    end
    given[i] = { size = line.size or 0, environment = environment }
    given[i].options = kit.options_of(line, {
      base_url = line.base_url or url, api_key = "sk_child_" .. count,
      initial_retry_delay = 0.02, max_retry_delay = 0.1, exit_timeout = 0,
      rate_limit = false,
    })
  end
  return script.start {
    code = code:gsub("EVENTS", EVENTS), stdin = cjson.encode(given),
    env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
    timeout = HANG,
  }
end

local function add_line(kit, family, net, line, i)
  local number = #family.lines + 1
  family.lines[number], family.listeners[number] = line,
    kit.listen(net, line)
  line.index = i
end

-- Starts them; `kit` is spec/support/faults.lua.
function children.start(kit, net, lines)
  local families = {}
  for i = 1, 1 + WAITERS do
    families[i] = { lines = {}, listeners = {},
      mode = i == 1 and "pumped" or "waited for" }
  end
  for i, line in ipairs(lines) do
    if line[4] then
      add_line(kit, families[2 + i % WAITERS], net, line, i)
    end
    if not line.unpumped then
      add_line(kit, families[1], net, line, i)
    end
  end
  for i, family in ipairs(families) do
    family.child = start_child(kit, i == 1 and PUMP or WAIT, family.lines,
      family.listeners)
  end
  return families
end

-- What is rejected needs no recovery, and all of it is to be.
local function heal_pumped(kit, family)
  family.healed = family.healed or {}
  for text in family.child:stdout():gmatch "seen\t(%d+)\n" do
    local number = tonumber(text)
    if not family.healed[number] and family.lines[number][3] ~= "rejected" then
      family.healed[number] = true
      kit.heal(family.listeners[number])
    end
  end
end

local function judge_waited(_, family, i, line, out)
  local got = ("\n" .. out):match("\n" .. i .. "\t(%w+)\n")
  if got ~= line[4] then
    return ("waited for: %s"):format(got or "nothing, " .. out)
  end
  return family.listeners[i].problem
end

local function judge_pumped(kit, family, i, line, out)
  local delivered, rejected =
    out:match("ended\t" .. i .. "\t(%d+)\t(%d+)\n")
  local expected = line[3] == "rejected" and rejected or delivered
  if tonumber(expected) ~= EVENTS then
    return ("pumped: %s delivered, %s rejected"):format(delivered, rejected)
  elseif line[3] ~= "rejected" and not line.unread then
    local ok, problem = pcall(kit.check_requests, family.listeners[i], EVENTS,
      line[3] == "again")
    return not ok and "pumped: " .. problem or family.listeners[i].problem
  end
end

-- Adds what is wrong with a line to its problems; returns what is wrong with
-- the interpreter.
local function judge_child(kit, family, problems)
  local result = family.child:wait()
  local judge = family.mode == "pumped" and judge_pumped or judge_waited
  for i, line in ipairs(family.lines) do
    local list = problems[line.index]
    list[#list + 1] = judge(kit, family, i, line, result.stdout)
  end
  if result.status ~= 0 or result.stderr ~= "" then
    return ("%s: status %d: %s"):format(family.mode, result.status,
      result.stderr)
  end
end

-- True while one of them runs. Looks now and then, for that costs.
function children.step(kit, families)
  local running, now = false, socket.gettime()
  if now < (families.due or 0) then
    return true
  end
  families.due = now + 0.05
  for _, family in ipairs(families) do
    if family.mode == "pumped" then
      heal_pumped(kit, family)
    end
    running = not family.child:done() or running
  end
  return running
end

-- Waits for their ends. Adds what is wrong with each line to its problems, and
-- returns what is wrong besides.
function children.judge(kit, families, problems)
  local others = {}
  for _, family in ipairs(families) do
    others[#others + 1] = judge_child(kit, family, problems)
  end
  return others
end

return children
