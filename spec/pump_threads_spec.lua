-- Lua states in several threads of a process, one of which sends for itself.

local h = require "spec.helper"

describe("a client that wants a thread", function()
  local x, directory

  before_each(function()
    x = h.open { enabled = false }
    directory = h.shell.temporary_directory "threads"
  end)

  after_each(function()
    x:close()
    h.shell.remove(directory)
  end)

  -- The first request stays unanswered until the other client has captured.
  it("gets one when its event came while another made a step", function()
    local arrived = directory .. "/arrived"
    local child = h.start {
      code = [[
        local native = require "seer_spec_native"
        local seerstack = require "seerstack"
        local socket = require "socket"
        native.thread [=[
          local client = require "seerstack".new { thread = false }
          assert(client.events.capture({ name = "own" }, { wait = true }))
          require "socket".sleep(60) -- it does nothing more
        ]=]
        local client = seerstack.new { exit_timeout = 0 }
        local deadline = socket.gettime() + 20
        while not io.open(os.getenv "ARRIVED") do
          assert(socket.gettime() < deadline, "nothing arrives")
          socket.sleep(0.005)
        end
        assert(client.events.capture { name = "other" })
        print "captured"
        io.stdout:flush()
        while client:stats().delivered == 0 do
          assert(socket.gettime() < deadline, "nothing is sent")
          socket.sleep(0.005)
        end
      ]],
      env = h.environment(x.url, x.key, { ARRIVED = arrived }),
    }
    x:serve(function(request)
      if h.body_of(request).name == "own" then
        h.shell.write(arrived, "")
        h.wait(function() return child:stdout() ~= "" end, 20)
      end
      return h.ok()
    end, function() return child:done() end, 30)
    h.ended_well(child)
    assert.same({ "own", "other" }, x:names())
  end)
end)

describe("a process that ends while another thread pumps", function()
  -- Only once it pumps: what the system's libraries do while they start is
  -- not ours.
  it("ends well", function()
    local api = h.start_standin()
    local directory = h.shell.temporary_directory "exit"
    local pumps = directory .. "/pumps"
    finally(function()
      api:stop()
      h.shell.remove(directory)
    end)
    -- The end waits ten seconds for who is inside libcurl; memcheck takes
    -- longer for sixteen TLS handshakes in one go.
    local most = os.getenv "SANITIZER" == "valgrind" and 1 or 16
    for _ = 1, 15 do
      os.remove(pumps)
      h.ended_well(h.start {
        code = [[
          require "seer_spec_native".thread [=[
            local client = require "seerstack".new {
              thread = false, rate_limit = false, exit_timeout = 0.2,
              log_level = "off", max_in_flight = tonumber(os.getenv "MOST"),
            }
            client.events.capture { name = "a" }
            client:pump(0.01)
            io.open(os.getenv "PUMPS", "w"):close()
            while true do
              client.events.capture { name = "a" }
              client:pump(0.01)
            end
          ]=]
          local socket = require "socket"
          local deadline = socket.gettime()
            + 20 * require "spec.support.util".slow
          while not io.open(os.getenv "PUMPS") do
            assert(socket.gettime() < deadline, "nothing is pumped")
          end
          socket.sleep(math.random() / 20)
          os.exit(0)
        ]],
        env = h.environment(api.tls_url, api.key,
          { SSL_CERT_FILE = api.ca_file, PUMPS = pumps, MOST = most }),
      })
    end
  end)
end)
