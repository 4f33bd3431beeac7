-- examples/cron: each run is short, and what one has not sent the next does.

local h = require "spec.helper"

describe("the script for cron", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local function run()
    return h.ended_well(h.script.run {
      commands = "exec " .. h.shell.quote(h.script.interpreter)
        .. " examples/cron/report.lua\n",
      env = h.environment(api.url, api.key, { EVENTS = disk.directory,
        SEERSTACK_LOG = "off" }),
    })
  end

  it("loses nothing while the API is away", function()
    api:config { fail_status = 503 }
    for _ = 1, 5 do
      h.assert_in_time(run(), 5)
    end
    assert.equal(5, disk:totals().events)
    api:config { fail_status = false }
    h.ended_well(disk:drain(api))
    assert.equal(5, api:count())
  end)
end)
