-- What happens to threads and processes in the middle of a wait, or of the
-- sender's work: nobody else may come to wait for it.

local h = require "spec.helper"

-- Sanitizers do not survive that a thread of theirs is torn out of the middle.
local it_unsanitized = os.getenv "SANITIZER" and pending or it

describe("a wait", function()
  local api = h.own_standin { delay = 8 }

  local function run(code, env)
    return h.script.run {
      code = [[
        local native = require "seer_spec_native"
        local seerstack = require "seerstack"
      ]] .. code,
      env = h.environment(api.url, api.key, h.merge(h.NO_LEAKS, env)),
      timeout = 20,
    }
  end

  for _, thread in ipairs { "true", "false" } do
    it("may be ended by a signal whose handler exits, thread = " .. thread,
      function()
        local result = run(([[
          local client = seerstack.new { thread = %s, exit_timeout = 1 }
          client.events.capture { name = "a" }
          native.exit_in(1)
          client:flush(30)
        ]]):format(thread), {
          -- It says of the exit itself that no handler should call it.
          TSAN_OPTIONS = (os.getenv "TSAN_OPTIONS" or "")
            .. ":report_signal_unsafe=0",
        })
        assert.equal(7, result.status)
        h.assert_in_time(result, 6)
      end)
  end

  it_unsanitized("may be ended by a thread's cancellation", function()
    local result = run [[
      local client = seerstack.new { exit_timeout = 0 }
      native.cancel [=[
        local client = require "seerstack".new { exit_timeout = 0 }
        client.events.capture { name = "a" }
        client:flush(30)
      ]=]
      assert(client.events.capture { name = "b" })
      assert(client:stats().pending == 1)
      assert(not client:flush(0.1))
    ]]
    assert.matches("not delivered before exit", result.stderr)
    assert.equal(0, result.status)
    h.assert_in_time(result, 6)
  end)

  it_unsanitized("without a thread survives a cancellation in a step",
    function()
      local result = run [[
        native.cancel [=[
          local client = require "seerstack".new {
            thread = false, exit_timeout = 0,
          }
          client.events.capture { name = "a" }
          client:flush(2)
          client:flush(30)
        ]=]
        local client = seerstack.new { thread = false, exit_timeout = 0 }
        assert(client.events.capture { name = "b" })
        client:pump(0)
        assert(client:stats().pending == 1)
      ]]
      assert.equal(0, result.status, result.stderr)
      h.assert_in_time(result, 16) -- the answer comes after eight
    end)

  it_unsanitized("keeps no child waiting that was made without handlers",
    function()
      local result = run [[
        local client = seerstack.new { exit_timeout = 0 }
        client.events.capture { name = "a" }
        client:flush(0.3)
        for i = 1, 2 do
          local pid = native.raw_fork()
          if pid == 0 then
            if i == 2 then
              client.events.capture { name = "b" }
            end
            os.exit(0)
          end
          assert(native.wait(pid) == 0)
        end
      ]]
      assert.equal(0, result.status)
      h.assert_in_time(result, 5)
    end)
end)

describe("the sender", function()
  local api = h.own_standin()

  local function run(library, env, ending)
    return h.script.run {
      code = [[
        local client = require "seerstack".new { max_retries = 0 }
        client.events.capture { name = "a" }
        ]] .. (ending or 'require "socket".sleep(15)') .. [[

      ]],
      env = h.environment(api.url, api.key, h.merge(h.NO_LEAKS, env,
        { LD_PRELOAD = h.preload(library) })),
      timeout = 20,
    }
  end

  it_unsanitized("that crashes ends the process, whose handler forks",
    function()
      local result = run("crash", { SEER_CRASH = "fork" })
      assert.equal(11, result.signal)
      h.assert_in_time(result, 6)
    end)

  it_unsanitized("that crashes ends the process, whose handler exits",
    function()
      local result = run("crash", { SEER_CRASH = "exit" })
      assert.equal(9, result.status)
      h.assert_in_time(result, 6)
    end)

  it_unsanitized("lets a sandbox answer the calls that it traps", function()
    h.ended_well(run("forbidden", nil, "assert(client:flush(15))"))
    assert.equal(1, api:count())
  end)
end)
