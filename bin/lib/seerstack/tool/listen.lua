-- `seerstack listen`: plays the API on this machine, and shows what arrives: a
-- line for each request here, and all of it on a page.

local cjson = require "cjson"
local child = require "seerstack.tool.child"
local fail = require "seerstack.tool.fail"

local listen = {
  summary = "play the API on this machine, and show what arrives on a page",
  usage = "listen [OPTION]... [-- COMMAND...]",
  tail = true,
  help = [[
Serves http://127.0.0.1:8700/, which shows what programs send to it, and can
answer them with failures. Nothing leaves this machine. A COMMAND runs with
SEERSTACK_BASE_URL and SEERSTACK_API_KEY set, and when it ends, so does this,
with its status. Ctrl-C ends it. It needs luasocket.]],
  options = {
    { "port", short = "p", value = "N", number = true,
      about = "8700; 0: any that is free" },
    { "fail", value = "STATUS[:N]", about = "answer so, N times only" },
    { "delay", value = "SECONDS", number = true,
      about = "before each answer" },
    { "key", value = "KEY", about = "the only one that is good; any" },
    { "rate-limit", value = "N", number = true,
      about = "requests a minute; 1000, 0: no limit" },
    { "stay", about = "go on when COMMAND has ended" },
    { "json", about = "arrivals as JSON, one a line" },
  },
}

local function printable(text)
  return (tostring(text):gsub("%c", "?"))
end

-- The fields of a body that tell it from others.
local function describe(entry)
  local ok, body = pcall(cjson.decode, entry.body)
  if not ok or type(body) ~= "table" then
    return ""
  end
  local words = {}
  for _, field in ipairs(entry.path == "/identify" and { "user_id", "email" }
    or { "name", "user_id" }) do
    local value = body[field]
    words[#words + 1] = type(value) == "string" and printable(value) or nil
  end
  return table.concat(words, " ")
end

local function show_line(entry)
  local parts = {
    os.date("%H:%M:%S", math.floor(entry.time)),
    entry.mute and "---" or entry.status, printable(entry.path),
    describe(entry),
  }
  if entry.attempt > 1 then
    parts[#parts + 1] = "(attempt " .. entry.attempt .. ")"
  end
  parts[#parts + 1] = entry.error
  print((table.concat(parts, " "):gsub(" +", " ")))
end

local function show_json(entry)
  print(cjson.encode(entry))
end

local function behaviour(given)
  local wanted = { delay = given.delay }
  if given.fail then
    local status, count = given.fail:match "^(%d+):?(%d*)$"
    wanted.fail_status = tonumber(status) or 0
    wanted.fail_count = tonumber(count)
  end
  return wanted
end

local function needs_socket()
  if not pcall(require, "socket") then
    fail.with(fail.FAILED, "listen needs luasocket, which is not there for %s:"
      .. " luarocks install luasocket, or Debian's package lua-socket",
      _VERSION)
  end
end

local function open(given)
  needs_socket()
  local limit = given["rate-limit"] or 1000
  local site = require "seerstack.tool.site".new({
    key = given.key, rate_limit = limit > 0 and limit or nil,
  }, given.json and show_json or show_line)
  local ok, problem = site.box:behave(behaviour(given))
  if not ok then
    fail.usage("listen: %s", problem)
  end
  local port = given.port or 8700
  local server
  server, problem = require "seerstack.tool.server".new(port,
    function(...) return site:serve(...) end)
  if not server then
    fail.with(fail.FAILED, "port %d: %s; --port names another", port, problem)
  end
  return server
end

local function start_command(words, url, key, server)
  local no_proxy = os.getenv "no_proxy" or os.getenv "NO_PROXY"
  return child.start(words, {
    "SEERSTACK_BASE_URL=" .. url, "SEERSTACK_API_KEY=" .. key,
    "no_proxy=127.0.0.1" .. (no_proxy and "," .. no_proxy or ""),
  }, server.listener:getfd())
end

-- Serves until `ended` says so, or Ctrl-C does; false in that case.
local function serve(server, ended)
  local ok, problem = pcall(function()
    repeat
      server:step(0.1)
      io.stdout:flush()
    until ended()
  end)
  if not ok and not tostring(problem):find("interrupted!", 1, true) then
    error(problem, 0)
  end
  return ok
end

local function never()
  return false
end

-- A program that is interrupted, too, may yet send what it has: it is served
-- to its end. Ctrl-C once more kills both.
local function serve_command(server, running)
  local function ended()
    return running:status() ~= nil
  end
  local undisturbed = serve(server, ended) or not serve(server, ended)
  local status = running:status()
  running:finish()
  return status, undisturbed
end

function listen.run(given, words)
  if words[1] then
    fail.usage("listen: '%s'? A command follows a --", words[1])
  end
  local server = open(given)
  local url = "http://127.0.0.1:" .. server.port
  local key = given.key or "sk_test_listen"
  local say = given.json and io.stderr or io.stdout
  say:write("page  ", url, "/\n")
  local command = words.tail and words.tail[1] and words.tail
  if not command then
    say:write("export SEERSTACK_BASE_URL=", url, " SEERSTACK_API_KEY=", key,
      "\n")
  end
  say:flush()
  local status, undisturbed = 0, true
  if command then
    status, undisturbed = serve_command(server,
      start_command(command, url, key, server))
    if given.stay and undisturbed then
      say:write("page  ", url, "/  (Ctrl-C ends it)\n")
      say:flush()
    end
  end
  if not command or given.stay and undisturbed then
    serve(server, never)
  end
  server:close()
  return status
end

return listen
