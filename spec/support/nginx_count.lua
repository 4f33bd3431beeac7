-- The example of nginx with a location that counts what capture returns, in
-- shared memory, which outlives reloads and workers that are killed.

local cjson = require "cjson"
local nginx = require "spec.support.nginx"
local script = require "spec.support.script"
local shell = require "dev.shell"
local wait = require "spec.support.wait"

local count = {}

-- What count.clean_up ends.
local loads = {}

local EXAMPLE_CLIENT = "seerstack.new {}"

-- A worker writes all counts to a file when it ends. The last one has seen
-- everything.
local HTTP = [[
lua_shared_dict counts 4m;
init_worker_by_lua_block {
  function publish()
    local counts, all = ngx.shared.counts, {}
    for _, name in ipairs(counts:get_keys(0)) do
      all[name] = counts:get(name)
    end
    return require("cjson").encode(all)
  end
}
exit_worker_by_lua_block {
  local pid, stats = ngx.worker.pid(), require("analytics").client:stats()
  for _, name in ipairs { "accepted", "refused" } do
    ngx.shared.counts:set(name .. ":" .. pid, stats[name])
  end
  local file = assert(io.open("{{written}}/" .. pid .. ".json", "w"))
  file:write(publish())
  file:close()
}
]]

local SERVER = [[
location = /count {
  content_by_lua_block {
    local counts, pid = ngx.shared.counts, ngx.worker.pid()
    local client = require("analytics").client
    local most = tonumber(ngx.var.arg_most)
    while most and client:stats().pending >= most do
      ngx.sleep(0.01)
    end
    counts:incr("begun:" .. pid, 1, 0)
    local ok, message, err = client.events.capture {
      name = "counted", data = { pid = pid },
    }
    counts:incr((ok and "true:" or err.name .. ":") .. pid, 1, 0)
    counts:set("pending:" .. pid, client:stats().pending)
    ngx.print(pid)
  }
}
location = /counts { content_by_lua_block { ngx.print(publish()) } }
]]

-- Who visits /count?most=n waits until fewer events than that are pending.

-- Starts it, with nginx.start's options and
--   client  options of the example's client, as text
function count.start(options)
  options.http = HTTP .. (options.http or "")
  options.server = SERVER .. (options.server or "")
  options.files = { ["analytics.lua"] = {
    [EXAMPLE_CLIENT] = ("seerstack.new { rate_limit = false, %s }"):format(
      options.client or ""),
  } }
  return nginx.start(options)
end

-- The sum of what processes have counted under a name.
function count.sum(counts, name)
  local total = 0
  for key, value in pairs(counts) do
    if key:match("^(%w+):%d+$") == name then
      total = total + value
    end
  end
  return math.floor(total)
end

-- How often capture returned at all.
function count.returned(counts)
  return count.sum(counts, "true") + count.sum(counts, "QueueFullError")
end

-- The counts of a running server.
function count.now(server)
  return cjson.decode((server:fetch "/counts"))
end

-- The counts of a server that has ended: the highest that any worker has
-- seen. They only grow, and those of a killed worker stand still.
function count.final(server)
  local final = {}
  for path in shell.output("ls " .. server.written .. "/*.json")
    :gmatch("[^\n]+") do
    for name, value in pairs(cjson.decode((shell.read(path)))) do
      final[name] = math.max(value, final[name] or 0)
    end
  end
  return final
end

-- Sends requests for a path until count.clean_up is called, which has to be
-- long before wrk ends by itself.
function count.load(server, path, options)
  local load = script.start {
    commands = ("exec wrk -t1 -c16 -d600 %s %s"):format(options or "",
      (path:find("^/") and server.url or "") .. path),
    timeout = 610,
  }
  loads[#loads + 1] = load
  return load
end

-- To be called after each spec, in the place of nginx.clean_up.
function count.clean_up()
  while #loads > 0 do
    local load = table.remove(loads)
    if not load:done() then
      load:kill()
      load:wait()
    end
  end
  nginx.clean_up()
end

-- Waits until capture has returned so often.
function count.wait_for(server, load, total)
  wait.until_(function()
    assert(not load:done(), load:stdout() .. load:stderr())
    return count.returned(count.now(server)) >= total
  end, 30, 0.02, total .. " captures")
end

return count
