local h = require "spec.helper"

describe("the sender", function()
  local api = h.standin()

  -- The second event finds the sender asleep, and its alarm rings when the
  -- third has woken it already. A sender that missed this alarm would find
  -- it ringing for ever.
  it("sleeps when it has nothing to do, also after an alarm that came late",
    function()
      local result = h.script.run {
        timeout = 60,
        env = h.environment(api.url, api.key, {
          LD_PRELOAD = h.preload "late_alarm", LATE_ALARM = "2",
        }),
        code = [[
          local seerstack, socket = require "seerstack", require "socket"
          local client = seerstack.new {}
          local function processor_time()
            local file = assert(io.open "/proc/self/stat")
            local fields = file:read "*a":match "%) (.*)"
            file:close()
            local user, system = fields:match(("%S+ "):rep(11)
              .. "(%d+) (%d+)")
            return user + system
          end
          for i = 1, 3 do
            assert(client.events.capture { name = "e" .. i })
            assert(client:flush())
            socket.sleep(0.05)
          end
          local before = processor_time()
          socket.sleep(2)
          print(processor_time() - before)
        ]],
      }
      assert.equal(0, result.status, result.stderr)
      local ticks = assert(tonumber(result.stdout), result.stdout)
      assert.is_true(ticks < 50, ticks .. " hundredths of a second")
    end)
end)

describe("a redirect", function()
  local HOPS = 3

  -- Each event is sent on HOPS times, then taken.
  local function redirecting(x)
    return function(request)
      local hop = tonumber(request.path:match "/hop(%d+)$") or 0
      if hop == HOPS then
        return h.ok()
      end
      return 307, { Location = x.url .. "/hop" .. hop + 1 }, ""
    end
  end

  it("is a request more to the pacer", function()
    local x = h.open { rate_limit = 20, max_in_flight = 1 }
    local handler = redirecting(x)
    x:capture_many(10)
    x:serve_requests(19, handler)
    x:serve_while(function() return #x.requests == 19 end, handler, 0.3)
    assert.equal(4, x.client:stats().delivered)
    x:close()
  end)
end)
