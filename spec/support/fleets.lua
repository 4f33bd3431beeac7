-- examples/fleet: nginx servers that share a Redis. They are on one machine
-- here, so they are told to share nothing else.

local host = require "spec.support.host"
local nginx = require "spec.support.nginx"
local redises = require "spec.support.redises"

local fleets = {}

-- A Redis that unprivileged users reach, too.
function fleets.redis()
  local port = host.port()
  local server = redises.new { "port " .. port, "bind 127.0.0.1",
    "appendonly yes" }
  server.address = ("redis://127.0.0.1:%d"):format(port)
  return server
end

-- A server; `client` are more options of its client.
function fleets.start(api, redis, workers, client, timeout)
  return nginx.start {
    api = api, example = "fleet", workers = workers, timeout = timeout,
    files = { ["analytics.lua"] = {
      ["seerstack\").new {"] = "seerstack\").new { share_rate_limit = false, "
        .. "log_level = \"off\", " .. (client or ""),
    } },
    changes = { ["root /var/www/html;"] = "root {{directory}};" },
    texts = { ["index.html"] = "Hello\n" },
    env = { EVENTS_REDIS = redis.address },
  }
end

-- Kills a server with all its workers.
function fleets.kill(server)
  local pids = server:workers()
  pids[#pids + 1] = server:pid()
  os.execute("kill -9 " .. table.concat(pids, " "))
end

return fleets
