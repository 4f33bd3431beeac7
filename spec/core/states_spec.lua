local h = require "spec.helper"

-- memcheck opens some ten states a second.
local STATES = os.getenv "SANITIZER" == "valgrind" and 200 or 2000

-- The signals that a crash raises, by number.
local CRASH = { ILL = 4, TRAP = 5, BUS = 7, FPE = 8, SEGV = 11, SYS = 31 }

describe("a process", function()
  local server = h.standin()

  local function start(url, code)
    return h.start {
      code = code,
      env = h.environment(url, server.key),
      timeout = 120,
    }
  end

  local function run(code)
    return h.ended_well(start(server.url, code):wait())
  end

  local function assert_keys_differ(count)
    local keys, found = {}, 0
    for _, event in ipairs(server:events()) do
      local key = event.headers["idempotency-key"]
      found = found + (keys[key] and 0 or 1)
      keys[key] = true
    end
    assert.equal(count, found)
    assert.equal(count, server:count())
  end

  it(("may open and close %d states that capture once each"):format(STATES),
    function()
      run("local count = " .. STATES .. [==[

        require "seer_spec_native".states(count, [[
          local seerstack = require "seerstack"
          local client = seerstack.new { rate_limit = false }
          assert(client.events.capture { name = "a.b" })
        ]])
      ]==])
      assert_keys_differ(STATES)
    end)

  it("may close states whose clients were closed or collected", function()
    run [==[
      require "seer_spec_native".states(200, [[
        local seerstack = require "seerstack"
        for i = 1, 3 do
          local client = seerstack.new { rate_limit = false }
          assert(client.events.capture { name = "a.b" })
          if i == 1 then client:close(0.001) end
        end
        collectgarbage()
      ]])
    ]==]
    assert_keys_differ(600)
  end)

  it("may close states while answers are waited for in others", function()
    run [==[
      local native = require "seer_spec_native"
      local seerstack = require "seerstack"
      local client = seerstack.new { rate_limit = false, wait = true }
      for i = 1, 50 do
        native.states(2, [[
          local seerstack = require "seerstack"
          assert(seerstack.new { rate_limit = false }.events.capture {
            name = "a.b",
          })
        ]])
        assert(client.events.capture({ name = "a.b" }).success == true)
      end
    ]==]
    assert_keys_differ(150)
  end)

  it("delivers what the default clients of closed states had", function()
    run [==[
      require "seer_spec_native".states(300, [[
        assert(require "seerstack".capture { name = "a.b" })
      ]])
    ]==]
    assert_keys_differ(300)
  end)

  it("shares one rate limit among its states", function()
    local result = start(server.url, [==[
      require "seer_spec_native".states(30, [[
        local seerstack = require "seerstack"
        local client = seerstack.new { rate_limit = 20 }
        assert(client.events.capture { name = "a.b" })
      ]])
    ]==]):wait()
    assert.matches("^seerstack: error: 11 events were not delivered",
      result.stderr)
    assert_keys_differ(19)
  end)

  describe("that sends", function()
    local scripted, child

    before_each(function()
      scripted = h.server.new()
    end)

    after_each(function()
      child:kill("KILL")
      child:wait(5)
      scripted:close()
    end)

    -- A program with 16 requests in flight, which stay there. What else it
    -- needs is loaded before: a library is a descriptor while it loads.
    local function send(code)
      child = start(scripted.url, code)
      assert(scripted:serve {
        handler = function() return "hold" end,
        until_ = function() return #scripted.requests == 16 end,
      })
      return child:pid()
    end

    local CAPTURE = [==[
      local seerstack, sleep = require "seerstack", require "socket".sleep
      local client = seerstack.new { rate_limit = false }
      for _ = 1, 20 do
        assert(client.events.capture { name = "a.b" })
      end
      while true do sleep(1) end
    ]==]

    it("has no thread before the first event", function()
      child = start(scripted.url, [[
        local client = require "seerstack".new()
        print(client:stats().sender)
        io.stdout:flush()
        while true do require "socket".sleep(1) end
      ]])
      h.wait(function() return child:stdout() == "none\n" end, 10)
      assert.same({}, h.process.threads(child:pid()))
    end)

    it("has one thread more, whatever the number of clients and states",
      function()
        local pid = send [==[
          local seerstack = require "seerstack"
          local clients = {}
          for i = 1, 20 do
            clients[i] = seerstack.new { rate_limit = false }
            assert(clients[i].events.capture { name = "a.b" })
          end
          require "seer_spec_native".states(20, [[
            local seerstack = require "seerstack"
            local client = seerstack.new { rate_limit = false }
            assert(client.events.capture { name = "a.b" })
          ]])
          while true do require "socket".sleep(1) end
        ]==]
        assert.equal(1, #h.process.threads(pid))
      end)

    it("lets no signal reach that thread but those of a crash", function()
      local pid = send(CAPTURE)
      local thread = h.process.threads(pid)[1]
      local blocked = h.process.status(pid, thread, "SigBlk")
      -- Sixteen hexadecimal digits; signal 1 is the lowest bit.
      local function is_blocked(signal)
        local position = #blocked - math.floor((signal - 1) / 4)
        local digit = tonumber(blocked:sub(position, position), 16)
        return math.floor(digit / 2 ^ ((signal - 1) % 4)) % 2 == 1
      end
      local open = {}
      for signal = 1, 31 do
        -- KILL and STOP cannot be blocked.
        if signal ~= 9 and signal ~= 19 and not is_blocked(signal) then
          open[#open + 1] = signal
        end
      end
      assert.same({ CRASH.ILL, CRASH.TRAP, CRASH.BUS, CRASH.FPE, CRASH.SEGV,
        CRASH.SYS }, open)
      assert.equal(("0"):rep(16), h.process.status(pid, pid, "SigBlk"))
    end)

    it("closes its connections and its alarm when it becomes another program",
      function()
        local pid = send(CAPTURE)
        local connections = h.process.tcp_sockets(pid)
        assert.equal(16, #connections)
        for _, fd in ipairs(connections) do
          assert.is_true(h.process.closes_on_exec(pid, fd))
        end
        local alarms = 0
        for fd, target in pairs(h.process.descriptors(pid)) do
          if target == "anon_inode:[eventfd]"
              and h.process.closes_on_exec(pid, fd) then
            alarms = alarms + 1
          end
        end
        assert.is_true(alarms >= 1)
      end)

    -- valgrind has descriptors of its own.
    local it_alone = os.getenv "SANITIZER" == "valgrind" and pending or it

    it_alone("gives another program nothing but libcurl's own wake-up pair",
      function()
        local pid = send(CAPTURE)
        local inherited = {}
        for fd, target in pairs(h.process.descriptors(pid)) do
          if fd > 2 and not h.process.closes_on_exec(pid, fd) then
            inherited[#inherited + 1] = target
          end
        end
        -- A pair of sockets, or an event descriptor in later versions.
        assert.is_true(#inherited <= 2)
        local unix = h.shell.read("/proc/" .. pid .. "/net/unix")
        for _, target in ipairs(inherited) do
          local inode = target:match("^socket:%[(%d+)%]$")
          assert.is_true(target == "anon_inode:[eventfd]"
            or unix:find(" " .. tostring(inode) .. "\n", 1, true) ~= nil)
        end
      end)
  end)

  -- Sanitizers have their own ways with memory.
  local it_unsanitized = os.getenv "SANITIZER" and pending or it

  it_unsanitized("does not grow with the states it closes", function()
    local result = run [==[
      local native = require "seer_spec_native"
      local function resident()
        local file = io.open("/proc/self/status")
        local kilobytes = file:read("*a"):match("VmRSS:%s*(%d+)")
        file:close()
        return tonumber(kilobytes)
      end
      local CODE = [[
        local seerstack = require "seerstack"
        local client = seerstack.new { rate_limit = false }
        assert(client.events.capture { name = "a.b", data = { x = ("x"):rep(
          10000) } })
        assert(client:flush(10))
      ]]
      native.states(300, CODE)
      local before = resident()
      native.states(700, CODE)
      print(resident() - before)
    ]==]
    assert.is_true(tonumber(result.stdout) < 1000)
    assert_keys_differ(1000)
  end)
end)
