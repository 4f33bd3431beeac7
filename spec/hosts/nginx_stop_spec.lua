-- examples/nginx when it is not given the time, or not even asked: TERM,
-- kill -9, and a Lua state per request.

local h = require "spec.helper"

local count = h.nginx_count

describe("nginx", function()
  local api = h.own_standin(nil, count.clean_up)

  -- How many events the processes have said to be lost.
  local function told(server)
    local lost = 0
    for number in server:error_log():gmatch("seerstack: error: (%d+) events?"
      .. " %a+ not delivered before exit: ") do
      lost = lost + tonumber(number)
    end
    return lost
  end

  it("has no worker killed after TERM with a slow API", function()
    api:config { delay = 1.8 } -- the master's patience ends earlier
    local server = count.start { api = api }
    local load = count.load(server, "/count")
    count.wait_for(server, load, 1000)
    server:stop "TERM"
    assert.equal(0, server.handle:wait().status)
    assert.is_nil(server:error_log():find("exited on signal", 1, true))
    local captured = count.sum(count.final(server), "true")
    assert.is_true(told(server) > 0)
    assert.is_true(api:count() >= captured - told(server))
    assert.is_true(api:count() <= captured)
  end)

  it("delivers after QUIT to a slow API", function()
    api:config { delay = 1.8 }
    local server = count.start { api = api }
    for _ = 1, 10 do
      server:fetch "/count"
    end
    server:stop()
    assert.equal(10, api:count())
    assert.equal("", server:problems())
  end)

  -- { [pid] = events that have arrived }
  local function arrived()
    local by_pid = {}
    for _, event in ipairs(api:events()) do
      local pid = event.body:match '"pid":(%d+)'
      by_pid[pid] = (by_pid[pid] or 0) + 1
    end
    return by_pid
  end

  -- Waits until each of these workers has captured 120 events from now on.
  local function wait_for_each(server, pids)
    local begun = count.now(server)
    h.wait(function()
      local counts = count.now(server)
      for _, pid in ipairs(pids) do
        local name = "true:" .. pid
        if (counts[name] or 0) < (begun[name] or 0) + 120 then
          return false
        end
      end
      return true
    end, 20, 0.02, "each worker")
  end

  it("loses what a killed worker had in memory, and no more", function()
    api:config { delay = 0.2 } -- so that queues are always full
    local server = count.start {
      api = api, workers = 3,
      client = "exit_timeout = 30, max_queue_events = 100,",
    }
    -- A connection for each request gives all workers some.
    count.load(server, "/count", "-H 'Connection: close'")
    local before = server:workers()
    wait_for_each(server, before)
    local killed = tostring(before[1])
    assert.equal(0, h.shell.run("kill -KILL " .. killed))
    local new = server:wait_for_workers(before, 1)[1]
    wait_for_each(server, { before[2], before[3], new })
    server:stop()
    local counts, by_pid = count.final(server), arrived()
    for name, number in pairs(counts) do
      local pid = name:match "^true:(%d+)$"
      if pid and pid ~= killed then
        assert.equal(number, by_pid[pid])
      end
    end
    for _, pid in ipairs { before[2], before[3], new } do
      assert.is_true(by_pid[tostring(pid)] > 0)
    end
    -- It may have been killed between a capture and its count.
    local captured = counts["true:" .. killed]
    assert.is_true(by_pid[killed] <= counts["begun:" .. killed])
    assert.is_true(by_pid[killed] < captured)
    assert.is_true(by_pid[killed]
      >= captured - counts["pending:" .. killed] - 1)
    local _, signals = server:error_log():gsub("exited on signal 9", "")
    assert.equal(1, signals)
  end)

  it("has all events of 2,000 requests with lua_code_cache off", function()
    local server = count.start {
      api = api,
      http = "lua_code_cache off;",
      changes = {
        ["# env SEERSTACK_API_KEY;"] = "env SEERSTACK_API_KEY;",
        ["# env SEERSTACK_BASE_URL;"] = "env SEERSTACK_BASE_URL;",
      },
    }
    local workers = server:workers()
    assert.equal(2000, h.host.load(server.url .. "/count", 2000))
    assert.same(workers, server:workers())
    server:stop()
    assert.equal(2000, api:count())
    assert.is_nil(server:error_log():find("exited on signal", 1, true))
  end)
end)
