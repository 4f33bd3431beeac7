-- Thousands of clients in one process. What a turn costs does not depend on
-- those that have nothing to do: that is counted in spec/unit/schedule.c.

local cjson = require "cjson"
local h = require "spec.helper"

local COUNT = 3000

-- Client i, of key i or of all clients' one, sends 1 + i % 3 events; 100
-- clients at a time, so that there are no more connections.
local MAKE = [[
  local seerstack = require "seerstack"
  local COUNT, WAVE = tonumber(arg[1]), 100
  local clients = {}
  local function send(first, what)
    for i = first, first + WAVE - 1 do
      for n = 1, 1 + i % 3 do
        assert(clients[i].events.capture {
          name = "a.b", data = { what = what, i = i, n = n },
        })
      end
    end
  end
  local function flush(first)
    for i = first, first + WAVE - 1 do
      assert(clients[i]:flush(60), i)
    end
  end
]]

local MANY_KEYS = [[
  for i = 1, COUNT do
    clients[i] = seerstack.new { api_key = "key" .. i, exit_timeout = 60 }
  end
]]

describe("thousands of clients", function()
  local api = h.own_standin()

  local function run(code, changes)
    api:config { key = false } -- any
    h.ended_well(h.script.run {
      args = { COUNT }, timeout = 120, code = MAKE .. code,
      env = h.environment(api.url, "key", changes),
    })
  end

  -- Each event once, under its client's key; and how many of each `what`.
  local function received(many_keys)
    local seen, counts = {}, {}
    for _, event in ipairs(api:events()) do
      local data = cjson.decode(event.body).data
      local id = ("%s %d %d"):format(data.what, data.i, data.n)
      assert.is_nil(seen[id], id)
      seen[id] = true
      local key = many_keys and ("key%d"):format(data.i) or "key"
      assert.equal("Bearer " .. key, event.headers.authorization)
      counts[data.what] = (counts[data.what] or 0) + 1
    end
    return counts
  end

  it("of as many keys have what they send delivered, at exit, too", function()
    run(MANY_KEYS .. [[
      for first = 1, COUNT, WAVE do
        send(first, "flushed")
        flush(first)
      end
      for i = COUNT, 2, -1 do
        assert(clients[i]:stats().delivered == 1 + i % 3)
        if i % 2 == 0 then
          clients[i] = nil
        end
      end
      collectgarbage()
      for i = 2, WAVE, 2 do
        clients[i] = seerstack.new { api_key = "key" .. i }
      end
      send(1, "left")
    ]])
    assert.same({ flushed = 2 * COUNT, left = 200 }, received(true))
  end)

  it("of one key, of which many wait for limits of their own, do so",
    function()
      run [[
        local first = seerstack.new {
          rate_limit = false, exit_timeout = 0, log_level = "off",
        }
        for i = 1, COUNT do
          clients[i] = first:with_options { rate_limit = 1 + i % 3 }
        end
        for first = 1, COUNT, WAVE do
          send(first, "first")
        end
        local function delivered()
          local count, all = 0, 0
          for i = 1, COUNT do
            local stats = clients[i]:stats()
            count, all = count + stats.delivered, all + stats.accepted
            assert(stats.delivered <= math.max(1, i % 3))
          end
          return count, all
        end
        local wanted = 4 * COUNT / 3
        local deadline = os.time() + 60
        repeat
          first:pump(0.01)
          local count, all = delivered()
          assert(all == 2 * COUNT and os.time() < deadline)
        until count == wanted
      ]]
      assert.same({ first = 4 * COUNT / 3 }, received(false))
    end)

  it("begin anew in the child of a fork, in the middle of it all", function()
    run(MANY_KEYS .. [[
      for first = 1, COUNT / 2, WAVE do
        send(first, "parent")
      end
      local native = require "seer_spec_native"
      local pid = native.fork()
      if pid == 0 then
        for first = 1, 5 * WAVE, WAVE do
          send(first, "child")
          flush(first)
        end
        for i = 1, COUNT do
          assert(clients[i]:stats().pending == 0)
        end
        os.exit(0, true)
      end
      assert(native.wait(pid) == 0)
      for first = 1, COUNT / 2, WAVE do
        flush(first)
      end
    ]], h.NO_LEAKS)
    local counts = received(true)
    assert.same({ parent = COUNT, child = 1001 }, counts)
  end)
end)
