-- examples/nginx with a store: a worker may be killed.

local h = require "spec.helper"
local sqlite = require "seerstack.sqlite"

describe("nginx with a store", function()
  local api = h.own_standin { rate_limit = false }
  local server, directory

  after_each(function() server:stop() end)

  local function start(daemon)
    server = h.nginx.start {
      api = api, workers = 1, daemon = daemon,
      main = "env SEERSTACK_API_KEY; env SEERSTACK_BASE_URL; env EVENTS;",
      files = { ["analytics.lua"] = {
        ["seerstack.new {}"] = [[seerstack.new {
          log_level = "off", rate_limit = false,
          timeout = 5, -- so long one who is killed may hold the probe
          store = require "seerstack.sqlite".open {
            directory = os.getenv "EVENTS" },
        }]],
      } },
      env = { EVENTS = directory },
    }
  end

  local function visit(count)
    for _ = 1, count do
      server:get "/"
    end
  end

  local function stored()
    return (sqlite.totals(directory) or { events = 0 }).events
  end

  local function start_in_outage(daemon)
    directory = h.shell.temporary_directory("events")
    h.shell.run("chown www-data " .. h.shell.quote(directory))
    api:config { fail_status = 503 }
    start(daemon)
  end

  -- All arrive, with one more that is captured afterwards.
  local function all_arrive(count)
    api:config { fail_status = false }
    visit(1)
    h.wait(function()
      local totals = sqlite.totals(directory) -- nil: it is busy
      if totals and totals.owners == 0 then
        visit(1) -- the one before was of a worker that has left
      end
      return api:count() > count and stored() == 0
    end, 30)
    h.shell.remove(directory)
  end

  it("loses nothing that a killed worker had stored, nor in reloads",
    function()
      start_in_outage()
      for n = 1, 5 do
        visit(20)
        h.wait(function() return stored() == 20 * n end, 10)
        local old = server:workers()
        h.shell.run("kill -KILL " .. old[1])
        server:wait_for_workers(old)
      end
      for n = 1, 5 do
        visit(20)
        server:reload()
        h.wait(function() return stored() == 100 + 20 * n end, 20)
      end
      all_arrive(200)
    end)

  -- More than ten, after which an event would be taken for what processes die
  -- of.
  it("loses nothing in many reloads of an outage, which are no deaths",
    function()
      local reloads = os.getenv "SEER_SLOW" == "1" and 100 or 12
      start_in_outage()
      for _ = 1, reloads do
        visit(6)
        server:reload()
      end
      h.wait(function() return stored() == 6 * reloads end, 20)
      assert.equal("0", h.shell.output(
        ("sqlite3 -cmd '.timeout 5000' 'file:%s/queue.db?mode=ro' "
          .. "'SELECT max(tries) FROM event'"):format(directory)))
      all_arrive(6 * reloads)
    end)

  -- No request was in flight when an old worker ended but those of an outage.
  it("loses and doubles nothing when a new program takes over", function()
    start_in_outage(true) -- else nginx would not do it
    visit(20)
    h.wait(function() return stored() == 20 end, 10)
    local old = server:upgrade()
    visit(40) -- the workers of both take them
    h.wait(function() return stored() == 60 end, 10)
    h.shell.run("kill -QUIT " .. old)
    h.wait(function() return not h.shell.alive(old) end, 20)
    visit(20)
    h.wait(function() return stored() == 80 end, 10)
    all_arrive(80)
    assert.is_true(h.host.arrived(api)["/index.html"] > 80) -- each once
    assert.equal("", server:problems())
  end)
end)
