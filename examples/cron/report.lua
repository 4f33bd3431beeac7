-- A script that cron starts, and that must not wait for the network: its
-- events are on the disk when it ends, a few milliseconds later. The next run
-- sends what this one has not.
--
--   */5 * * * * SEERSTACK_API_KEY=... lua5.4 /usr/local/bin/report.lua

local seerstack = require "seerstack"
local sqlite = require "seerstack.sqlite"

local client = seerstack.new {
  store = sqlite.open {
    directory = os.getenv "EVENTS" or "/var/lib/report/events",
  },
  exit_timeout = 0, -- what is in the store need not be sent now
}

assert(client.events.capture {
  name = "report.ran", data = { load = tonumber(
    (io.open "/proc/loadavg":read "*a":match "^%S+")) },
})

-- Without this the end of the process does the same, and says nothing.
local stored, message = client:persist(5)
if not stored then
  io.stderr:write("not stored: ", message, "\n")
  os.exit(1)
end
