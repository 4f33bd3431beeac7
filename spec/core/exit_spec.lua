-- The end of a process while the API is slow; the rest is in process_spec.

local h = require "spec.helper"

describe("at exit", function()
  local api = h.own_standin { delay = 3 }

  -- What is in flight was connected before the exit began, and is answered
  -- more than two seconds after.
  local function run(thread)
    local go = api.directory .. "/go"
    local child = h.start {
      code = ([[
        local client = seerstack.new { max_in_flight = 1, thread = %s }
        for _ = 1, 2 do
          client.events.capture { name = "a" }
        end
        repeat
          client:pump(0.01)
        until io.open(arg[1])
      ]]):format(thread),
      args = { go }, env = h.environment(api.url, api.key),
    }
    h.wait(function() return api:status().requests >= 1 end, 20)
    h.shell.write(go, "")
    return child
  end

  for _, thread in ipairs { "true", "false" } do
    it("a connection that has just been used counts, thread = " .. thread,
      function()
        h.ended_well(run(thread))
        assert.equal(2, api:count())
      end)
  end

  -- There is room for sixteen requests, see room_spec; the others begin to
  -- connect three seconds after the exit has begun.
  it("has exit_connect_timeout from when the turn of its client comes",
    function()
      api:config { key = false, delay = 3 }
      local before = api:count()
      h.ended_well(h.script.run {
        code = [[
          for i = 1, 20 do
            local client = seerstack.new { api_key = "key" .. i }
            assert(client.events.capture { name = "a" })
          end
        ]],
        env = h.environment(api.url),
        prefix = [[bash -c 'ulimit -n 64; exec "$@"' -]],
      })
      assert.equal(20, api:count() - before)
    end)
end)

describe("at exit, the lock", function()
  local api = h.own_standin { delay = 0.5 }

  local function run(code)
    return h.script.run {
      code = [[
        local client = seerstack.new { max_in_flight = 1 }
        for i = 1, 5 do
          assert(client.events.capture { name = "a", data = { i = i } })
        end
      ]] .. code,
      env = h.environment(api.url, api.key, {
        LD_PRELOAD = h.preload "held_lock",
      }),
    }
  end

  it("is waited for as long as another thread holds it", function()
    h.ended_well(run [[
      native.arm "other waits"
      while not native.held() do
        require "socket".sleep(0.001)
      end
      os.exit(0, false)
    ]])
    h.assert_received(api, 5)
  end)

  -- As a signal's handler does that came at this moment.
  it("is not waited for by the thread that holds it", function()
    local result = run [[
      native.arm "exit"
      client:stats()
    ]]
    assert.equal("", result.stderr)
    assert.equal(3, result.status)
    h.assert_in_time(result, 5)
  end)
end)
