-- A wall clock that is set forward and back by a day while events are queued,
-- tried again, paused and growing old. No delay or age may notice.

local h = require "spec.helper"
local socket = require "socket"

local DAY = 86400
local HANG = 40 -- seconds

local CODE = [[
local function new(options)
  options.log_level, options.exit_timeout = "off", 0
  options.rate_limit = false
  options.initial_retry_delay = options.initial_retry_delay or 0.3
  options.max_retry_delay = options.initial_retry_delay
  return seerstack.new(options)
end
local function look(client)
  local s = client:stats()
  assert(s.accepted == s.delivered + s.rejected + s.dropped + s.pending)
  return s
end
]]

local x, directory

before_each(function()
  x = h.open()
  directory = h.shell.temporary_directory "clock"
end)

after_each(function()
  x:close()
  h.shell.remove(directory)
end)

-- At once, so that nobody reads half of it.
local function set(seconds)
  h.shell.write(directory .. "/new", ("%d\n"):format(seconds))
  assert(os.rename(directory .. "/new", directory .. "/clock"))
end

-- Runs a program under that clock; the handler sets it, or look(child).
local function run(code, handler, look)
  set(0)
  local child = h.start {
    code = CODE .. code, timeout = HANG,
    env = h.environment(x.url, x.key, {
      LD_PRELOAD = h.preload "wall_clock",
      SEER_CLOCK_FILE = directory .. "/clock",
    }),
  }
  x:serve(handler, function()
    if look then
      look(child)
    end
    return child:done()
  end, HANG + 10)
  return h.ended_well(child).stdout
end

-- The offsets one after the other, one for each request.
local function stepping(offsets, handler)
  local number = 0
  return function(request)
    number = number + 1
    set(offsets[number] or 0)
    return handler(request, number)
  end
end

local function http_date(wall)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", wall)
end

local JUMPS = {
  forward = { DAY, -DAY, DAY, DAY }, back = { -DAY, DAY, -DAY, -DAY },
}

for how, offsets in pairs(JUMPS) do
  describe("a wall clock set " .. how .. " by a day", function()
    it("hurries or holds no event that is tried again", function()
      local times = {}
      local out = run([[
        local client = new { max_age = 3600 }
        assert(client.events.capture { name = "a.b" })
        assert(client:flush(30))
        print(look(client).delivered)
      ]], stepping(offsets, function(_, number)
        times[number] = socket.gettime()
        return number < 4 and 503 or 200, nil, "{}"
      end))
      assert.equal("1\n", out)
      for i = 2, 4 do
        assert.is_true(times[i] - times[i - 1] > 0.2, times[i] - times[i - 1])
        assert.equal(x.requests[1].body, x.requests[i].body)
      end
    end)

    it("hurries or holds no event that waits until a date", function()
      for _, own in ipairs { true, false } do
        local times, before = {}, #x.requests
        run([[
          local client = new {}
          assert(client.events.capture { name = "a.b" })
          repeat client:flush(0.01) until look(client).retry_at
          print "paused"
          io.stdout:flush()
          assert(client:flush(30))
          assert(look(client).delivered == 1)
        ]], function()
          local number = #x.requests - before
          times[number] = socket.gettime()
          if number > 1 then
            return h.ok()
          end
          return 429, {
            Date = own and http_date(math.floor(times[1])) or nil,
            ["Retry-After"] = http_date(math.floor(times[1]) + 3),
          }, "{}"
        end, function(child)
          if child:stdout() == "paused\n" then
            set(offsets[1])
          end
        end)
        assert.is_true(times[2] - times[1] > 1.5, times[2] - times[1])
      end
    end)

    it("makes no event older or younger than it is", function()
      local out = run([[
        local client = new { max_age = 60, timeout = 30 }
        assert(client.events.capture { name = "young" })
        assert(client:flush(30))
        assert(look(client).delivered == 1)
        client = new { max_age = 1, initial_retry_delay = 100 }
        assert(client.events.capture { name = "old" })
        assert(client:flush(30))
        print(look(client).dropped_by.expired)
      ]], stepping(offsets, function(request)
        if h.body_of(request).name == "old" then
          return 503
        end
        return "delay", 0.5, 200, nil, "{}"
      end))
      assert.equal("1\n", out)
    end)

    it("ends or prolongs no wait of a caller", function()
      local out = run([[
        local client = new { timeout = 1, max_retries = 0 }
        local _, _, err = client.events.capture({ name = "a" },
          { wait = true })
        print(err.name)
        client = new { timeout = 30 }
        client.events.capture { name = "b" }
        _, _, err = client:flush(1)
        print(err.name)
      ]], stepping(offsets, function() return "hold" end))
      assert.equal("APITimeoutError\nTimeoutError\n", out)
    end)

    it("is told by the timestamps, which stay what they were", function()
      run([[
        local client = new {}
        for i = 1, 2 do
          assert(client.events.capture { name = "n" .. i })
          assert(client:flush(30))
        end
        assert(look(client).delivered == 2)
      ]], stepping(offsets, function(_, number)
        return number == 1 and 503 or 200, nil, "{}"
      end))
      local first, again, second = x.requests[1], x.requests[2], x.requests[3]
      assert.equal(first.body, again.body)
      local function day(request)
        return h.body_of(request).timestamp:sub(1, 10)
      end
      local now = socket.gettime()
      local on_day = os.date("!%Y-%m-%d", math.floor(now))
      assert.is_true(day(first) == on_day
        or day(first) == os.date("!%Y-%m-%d", math.floor(now - 60)))
      assert.not_equal(day(first), day(second))
    end)
  end)
end
