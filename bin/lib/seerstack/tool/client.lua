-- What the commands share that talk to the API: a client, one request with its
-- time, and what is said of both.

local cjson = require "cjson"
local seerstack = require "seerstack"
local fail = require "seerstack.tool.fail"

local client = {}

-- For the list of a command's options.
client.URL = {
  "url", value = "URL", about = "instead of SEERSTACK_BASE_URL and the API's",
}
client.TIMEOUT = {
  "timeout", value = "SECONDS", number = true, about = "of one attempt; 10",
}
client.JSON = { "json", about = "results as JSON, for scripts" }

-- Seconds, from some moment on. Lua's own clocks tell whole seconds, or the
-- processor's.
local function uptime()
  local file = assert(io.open("/proc/uptime"))
  local seconds = file:read "*n"
  file:close()
  return seconds
end

local has_socket, socket = pcall(require, "socket")
client.now = has_socket and socket.gettime or uptime

-- Lets so many seconds pass. Not by os.execute, which would ignore Ctrl-C.
client.sleep = has_socket and socket.sleep or function(seconds)
  io.popen("sleep " .. seconds):close()
end

-- Raises where the key is missing, or it or an option is wrong.
function client.new(given, options)
  local all = {
    base_url = given.url, timeout = given.timeout or 10,
    log_level = not os.getenv "SEERSTACK_LOG" and "error" or nil,
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  if not (os.getenv "SEERSTACK_API_KEY" or ""):find "%S" then
    fail.with(fail.KEY, "there is no key: set SEERSTACK_API_KEY")
  end
  local ok, made = pcall(seerstack.new, all)
  if not ok then
    fail.usage("%s", made:match "bad argument #1 to 'new' %((.*)%)$" or made)
  end
  return made
end

-- Calls f, which waits for an answer, and returns its results and the
-- milliseconds that it took.
function client.timed(f)
  local began = client.now()
  local response, http, err = f()
  local ms = math.floor((client.now() - began) * 1000 + 0.5)
  return response, http, err, ms
end

-- Sends one event and tells of the answer.
function client.send(what, given, f)
  local response, http, err, ms = client.timed(f)
  if given.json then
    print(cjson.encode {
      name = what, ms = ms, status = response and http.status or err.status,
      error = err and err.message, error_name = err and err.name,
    })
  end
  if not response then
    fail.with(fail.status_of(err), "%s: %s", what, err.message)
  elseif not given.json then
    print(("%d %s %d ms"):format(http.status, what, ms))
  end
end

return client
