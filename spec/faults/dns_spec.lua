-- A resolver that fails or hangs, as a library between program and system.

local h = require "spec.helper"

-- What the file says to the resolver (seconds to wait, and what it returns
-- then), what a waited-for request gets, and the client's options.
local LINES = {
  { "finds no such name", "0 -2", "APIConnectionError" },
  { "fails for now", "0 -3", "APIConnectionError" },
  { "fails for good", "0 -4", "APIConnectionError" },
  { "has no memory", "0 -10", "APIConnectionError" },
  { "is slow", "1 0", "response" },
  { "is slow, and fails", "1 -3", "APIConnectionError" },
  { "hangs beyond connect_timeout", "60 0", "APITimeoutError",
    "connect_timeout = 0.5" },
  { "hangs beyond timeout", "60 0", "APITimeoutError", "timeout = 0.5" },
}

local CODE = [[
local client = seerstack.new {
  log_level = "off", initial_retry_delay = 0.05, max_retry_delay = 0.2,
  exit_timeout = 0, rate_limit = false, %s
}
local function look()
  local s = client:stats()
  assert(s.accepted == s.delivered + s.rejected + s.dropped + s.pending)
  return s
end
local response, _, err = client.events.capture({ name = "waited" },
  { wait = true, max_retries = 0 })
print(response and "response" or err.name)
for i = 1, 20 do
  assert(client.events.capture { name = "n" .. i })
end
if response then
  assert(client:flush(30))
else
  repeat until look().last_error
  assert(look().pending == 20)
end
for i = 21, 40 do
  assert(client.events.capture { name = "n" .. i })
end
print "seen"
io.stdout:flush()
assert(client:flush(60))
local stats = look()
print(stats.delivered, stats.rejected, stats.dropped)
]]

local function finish(line, net, listener, directory)
  local child = h.start {
    code = CODE:format(line[4] or ""), timeout = 60,
    env = h.environment("http://api.test:" .. listener.port,
      h.key(), {
        LD_PRELOAD = h.preload "resolver", SEER_RESOLVER_FILE = directory
          .. "/resolver", http_proxy = false, all_proxy = false,
        ALL_PROXY = false,
      }),
  }
  net:serve(function()
    if child:stdout():find "seen" then
      os.remove(directory .. "/resolver")
    end
    return child:done()
  end, 70)
  return child:wait()
end

describe("a resolver that", function()
  for _, line in ipairs(LINES) do
    it(line[1] .. " loses nothing, and holds no capture", function()
      local net = h.faulty.new()
      local directory = h.shell.temporary_directory "resolver"
      local listener = net:listen(h.faults.serve)
      h.shell.write(directory .. "/resolver", line[2])
      local result = finish(line, net, listener, directory)
      net:close()
      h.shell.remove(directory)
      assert.equal("", result.stderr)
      local good = line[3] == "response"
      assert.equal(("%s\nseen\n%d\t%d\t0\n"):format(line[3],
        good and 41 or 40, good and 0 or 1), result.stdout)
      h.faults.check_requests(listener, good and 41 or 40, true)
    end)
  end
end)
