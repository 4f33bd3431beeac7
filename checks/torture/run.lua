-- Tortures: starts the server, has each scenario run with each class of calls
-- failing in each mode, and sums up. See checks/torture/torture.h.
--   LUAS, SCENARIO, CLASS, MODE, N   restrict it
--   SAMPLE=k                         k of all n, evenly spread
--   EVERY=1                          each allocation of other libraries, too,
--                                    where else some stand for all with the
--                                    same stack
--   JOBS=k                           k runs at a time

local server = require "checks.torture.server"
local shell = require "dev.shell"

local CLASSES = {
  "memory.ours", "memory.curl", "memory.tls", "memory.lua", "memory.json",
  "memory.rest", "memory", "threads", "network", "files", "random", "process",
  "libcurl",
}
local SCENARIOS = {
  "require", "basic", "waited", "options", "sites", "turns", "tls",
  "callbacks", "pump", "exit", "fork", "states", "full", "kept",
  "idle", "store",
}
local MODES = { "once", "outage", "ever" }

local function chosen(name, all)
  local text = os.getenv(name)
  if not text or text == "" then
    return all
  end
  local list = {}
  for word in text:gmatch "%S+" do
    list[#list + 1] = word
  end
  return list
end

local directory = shell.temporary_directory("torture")

local function environment(started, lua)
  local build = ("build/%s/"):format(lua)
  return {
    TORTURE_PORT = started.port,
    TORTURE_TLS_PORT = started.tls_port,
    TORTURE_CA = started.certificate .. "/cert.pem",
    TORTURE_MODULE = build .. "seerstack.so",
    TORTURE_LUA = lua,
    TORTURE_DIRECTORY = directory,
    TORTURE_FROM = os.getenv "N",
    TORTURE_LAST = os.getenv "N",
    TORTURE_RUNS = os.getenv "SAMPLE",
    TORTURE_EVERY = os.getenv "EVERY",
    TORTURE_JOBS = os.getenv "JOBS",
    LUA_CPATH = build .. "?.so;;",
    LUA_PATH = "./?.lua;;",
  }
end

local function command(env, lua, ...)
  local words = { "env", "-u", "LUA_INIT" }
  for name, value in pairs(env) do
    if value ~= "" then
      words[#words + 1] = name .. "=" .. value
    end
  end
  words[#words + 1] = ("build/%s/torture/host"):format(lua)
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return shell.join(words) .. " 2>&1"
end

local passed, failed = 0, 0
local sums = {} -- by class

-- What a host counts: good and bad runs, calls when none fails, calls that
-- failed, stacks of others' allocations and how many of them failed.
local COUNTS = { "good", "bad", "reached", "failures", "met", "stacks" }

local function add(class, counts)
  local sum = sums[class] or {}
  local i = 0
  for count in counts:gmatch "%d+" do
    i = i + 1
    sum[COUNTS[i]] = (sum[COUNTS[i]] or 0) + count
  end
  sums[class] = sum
  local good, bad = counts:match "(%d+) (%d+)"
  passed, failed = passed + good, failed + bad
end

-- Shows what a host says, but the line for us.
local function run(env, lua, scenario, class, mode)
  local counted = false
  env.TORTURE_LOAD = scenario ~= "require" and env.TORTURE_MODULE or nil
  local pipe = io.popen(command(env, lua, scenario, class, mode))
  for line in pipe:lines() do
    local counts = line:match "^count (.*)$"
    if counts then
      counted = true
      add(class, counts)
    else
      print(line)
    end
  end
  pipe:close()
  if not counted then
    print("FAILED " .. table.concat({ lua, scenario, class, mode }, " "))
    failed = failed + 1
  end
  io.stdout:flush()
end

-- Once, a failure of `memory` is one of its parts.
local function classes(mode)
  local list = {}
  for _, class in ipairs(chosen("CLASS", CLASSES)) do
    if class ~= "memory" or mode ~= "once" then
      list[#list + 1] = class
    end
  end
  return list
end

local function run_all(started)
  for _, lua in ipairs(chosen("LUAS", { "5.4" })) do
    local env = environment(started, lua)
    print("Lua " .. lua)
    for _, scenario in ipairs(chosen("SCENARIO", SCENARIOS)) do
      for _, mode in ipairs(chosen("MODE", MODES)) do
        for _, class in ipairs(classes(mode)) do
          run(env, lua, scenario, class, mode)
        end
      end
    end
  end
end

local function sum_up()
  for _, class in ipairs(CLASSES) do
    local sum = sums[class]
    if sum then
      print(("%-13s %7d reached %7d runs %9d failures%s, %d bad"):format(
        class, sum.reached, sum.good + sum.bad, sum.failures,
        sum.stacks > 0 and (", %d of %d stacks"):format(sum.met, sum.stacks)
          or "", sum.bad))
    end
  end
end

local started = server.start()
local ok, message = pcall(run_all, started)
started:stop()
shell.remove(directory)
if not ok then
  print(message)
  failed = failed + 1
end
sum_up()
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
