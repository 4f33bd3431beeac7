-- Forks beside other threads of the process, which are anywhere.

local h = require "spec.helper"

-- The allocator of a sanitizer, unlike the system's, is broken in the child
-- when another thread was in it.
local it_unsanitized = os.getenv "SANITIZER" and pending or it

local PREAMBLE = [[
  if os.getenv "SEER_HOST" then
    native[os.getenv "SEER_HOST"]() -- whose handlers run after the module's
  end
  local client = seerstack.new { rate_limit = false }
  -- A thread that has the lock again and again.
  local function start_thread()
    native.thread [=[
      while true do
        local other = require "seerstack".new { enabled = false }
        other:stats()
        other.events.capture { name = "o" }
        require "socket".sleep(0.001)
      end
    ]=]
  end
]]

describe("a fork", function()
  local server = h.standin()

  local function run(code, env)
    local changes = h.merge(h.NO_LEAKS, env)
    return h.script.run {
      code = PREAMBLE .. code, timeout = 60,
      env = h.environment(server.url, server.key, changes),
    }
  end

  -- The host has one lock around Lua, and takes it when it forks, after our
  -- handler. Others capture at any moment, so a child may have been made in
  -- the middle of that.
  it_unsanitized("beside threads that capture under a lock of the host's",
    function()
      local result = run([[
        local clients = [=[
          local native = require "seer_spec_native"
          local client = require "seerstack".new {
            rate_limit = 1, overflow = "drop_oldest", max_queue_events = 20,
            log_level = "off",
          }
          while true do
            %s
            for i = 1, 5 do
              client.events.capture { name = "a", user_id = "u" }
              client.users.identify { user_id = "u" .. i }
            end
            %s
          end
        ]=]
        native.thread(clients:format("native.lock()", "native.unlock()"))
        native.thread(clients:format("", ""))
        -- As many as a busy machine makes, for the host's lock is unfair.
        local last, i = socket.gettime() + 10, 0
        while i < 10 or i < 300 and socket.gettime() < last do
          i = i + 1
          local future = client.events.capture({ name = "f" },
            { future = true })
          local pid = native.fork()
          if pid == 0 then
            local answer, _, err = future:get(5)
            assert(answer or err.name == "ClosedError", tostring(err))
            assert(client:stats().pending == 0)
            assert(client.events.capture { name = "b" })
            native.exit(0)
          end
          assert(native.wait(pid) == 0, "child " .. i)
        end
        io.stdout:write "done\n"
        io.stdout:flush()
        native.exit(0)
      ]], { SEER_HOST = "host" })
      assert.equal("", result.stderr)
      assert.equal("done\n", result.stdout)
    end)

  it_unsanitized("in the middle of another thread's change leaves the child "
    .. "nothing of it", function()
      local result = run([[
        capture(client, 1, 3)
        local future = client.events.capture({ name = "f" },
          { future = true })
        start_thread()
        local pid = native.fork()
        if pid == 0 then
          local answer, _, err = future:get(5)
          assert(answer or err.name == "ClosedError", tostring(err))
          local stats = client:stats()
          assert(stats.accepted == 0 and stats.pending == 0)
          capture(client, 1, 2)
          assert(client:flush(10))
          assert(client:stats().delivered == 2)
          native.exit(0)
        end
        assert(native.wait(pid) == 0)
        assert(client:flush(10))
        native.exit(0)
      ]], { SEER_HOST = "hold", LD_PRELOAD = h.preload "held_lock" })
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)

  it_unsanitized("without handlers, while another thread has the lock, hangs "
    .. "no child, which says nothing of events", function()
      server:config { delay = 0.2 }
      local result = run([[
        capture(client, 1, 100) -- more than are in flight
        start_thread()
        native.arm "other stays"
        while not native.held() do
          socket.sleep(0.001)
        end
        local pid = native.raw_fork()
        native.arm "nothing"
        if pid == 0 then
          native.exit_in(20)
          client:stats()
          client = nil
          os.exit(0, true)
        end
        assert(native.wait(pid) == 0)
        assert(client:flush(10))
        assert(client:stats().delivered == 100)
        native.exit(0)
      ]], { LD_PRELOAD = h.preload "held_lock" })
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)
end)
