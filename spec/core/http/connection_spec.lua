local h = require "spec.helper"
local socket = require "socket"

describe("a connection", function()
  local x

  after_each(function()
    x:close()
  end)

  -- Delivers one event, and returns the number of its connection.
  local function deliver(name, handler)
    local number
    x:capture(name)
    x:settle(function(request, peer)
      number = peer.number
      return handler(request, peer)
    end)
    return number
  end

  local function connections()
    return #x.server.connections
  end

  for what, status in pairs { ["a good"] = 200, ["a bad"] = 400 } do
    it("is not used again when " .. what .. " answer waits on it", function()
      x = h.open()
      for i = 1, 4 do
        deliver("n" .. i, h.ok)
        local last = x.server.connections[connections()]
        assert(last:respond(status, nil, "{}"))
      end
      assert.same({ "n1", "n2", "n3", "n4" }, x:names())
      local stats = x.client:stats()
      assert.same({ 4, 0 }, { stats.delivered, stats.rejected })
      assert.equal(4, connections())
    end)
  end

  it("is not used again when the server has closed it", function()
    x = h.open()
    deliver("n1", h.ok)
    x.server.connections[1]:close()
    assert.equal(2, deliver("n2", h.ok))
  end)

  it("is used again otherwise", function()
    x = h.open()
    for i = 1, 4 do
      assert.equal(1, deliver("n" .. i, h.ok))
    end
  end)

  it("is not used again when it is older than max_connection_age", function()
    x = h.open { max_connection_age = 1, rate_limit = false }
    local count, deadline = 0, socket.gettime() + 20 * h.slow
    repeat
      count = count + 1
      socket.sleep(0.01)
      deliver("n" .. count, h.ok)
    until connections() > 1 or socket.gettime() > deadline
    assert.equal(2, connections())
    assert.is_true(count > 2)
    assert.equal(2, deliver("again", h.ok))
  end)

  it("is as good as dead when another as old has timed out", function()
    x = h.open { timeout = 2, max_in_flight = 16 }
    local first = {}
    x:capture_many(16)
    x:serve_requests(16, function(_, peer)
      first[peer.number] = true
      return "hold"
    end)
    for _, peer in ipairs(x.server.connections) do
      peer.busy = false
      assert(peer:respond(h.ok()))
    end
    x:settle()
    local before, silent = connections(), 0
    x:capture "again"
    x:settle(function(_, peer)
      if first[peer.number] then
        silent = silent + 1
        return "hold"
      end
      return h.ok()
    end)
    assert.same({ 16, 1 }, { before, silent })
  end)

  it("is kept when a burst is over, for the next one", function()
    x = h.open { max_in_flight = 16 }
    for _ = 1, 3 do
      local come = #x.requests
      x:capture_many(16)
      x:serve_requests(come + 16, function() return "hold" end)
      for _, peer in ipairs(x.server.connections) do
        peer.busy = false
        assert(peer:respond(h.ok()))
        h.wait(function()
          return x.client:stats().pending < 16
        end)
      end
      x:settle()
    end
    assert.equal(16, connections())
  end)

  it("is not taken for another that has the same port on our end", function()
    x = h.open()
    local other = h.start_standin()
    local result = x:child({ env = {
      LD_PRELOAD = h.preload "one_port", SEER_PORT = h.ports.take(),
      OTHER_URL = other.url, OTHER_KEY = other.key,
    }, code = [[
      local options = { wait = true, max_retries = 0 }
      local seerstack = require "seerstack"
      local client = seerstack.new {}
      local another = seerstack.new {
        base_url = os.getenv "OTHER_URL", api_key = os.getenv "OTHER_KEY",
      }
      assert(client.events.capture({ name = "a.b" }, options))
      assert(another.events.capture({ name = "a.b" }, options))
    ]] }, function(_, peer)
      peer:respond(h.ok())
      peer:close()
    end)
    other:stop()
    assert.equal("", result.stderr)
  end)

  it("that is silent at exit is given up in time for another", function()
    x = h.open()
    local result = x:child({ code = [[
      local client = require "seerstack".new { exit_timeout = 20 }
      client.events.capture { name = "first" }
      assert(client:flush(5))
      client.events.capture { name = "last" }
    ]] }, function(_, peer)
      if peer.answered then
        return "hold"
      end
      peer.answered = true
      return h.ok()
    end)
    assert.is_nil(result.stderr:find("not delivered", 1, true), result.stderr)
    assert.same({ "first", "last", "last" }, x:names())
  end)

  it("has no descriptor of a standard stream", function()
    x = h.open()
    x:child { env = { SEER_LUA = h.script.interpreter }, code = [[
      local program = [=[
        local client = require "seerstack".new {}
        for i = 1, 4 do
          client.events.capture { name = "n" .. i }
          assert(client:flush(5))
          print "customer 4711 paid"
          io.stdout:flush()
        end
        for fd = 1, 2 do -- to look takes 0
          local found = io.open("/proc/self/fdinfo/" .. fd)
          client.events.capture { name = found and "taken" or "free" }
        end
      ]=]
      local file = arg[0] .. ".closed"
      local out = assert(io.open(file, "w"))
      out:write(program)
      out:close()
      os.execute(os.getenv "SEER_LUA" .. " " .. file .. " <&- >&- 2>&-")
      os.remove(file)
    ]] }
    assert.same({ "n1", "n2", "n3", "n4", "free", "free" }, x:names())
  end)

  -- What a program that is started has, and the child of each fork.
  it("outlives no exec and no fork, nor does what wakes libcurl", function()
    x = h.open()
    local result = x:child { code = [[
      local native = require "seer_spec_native"
      local client = require "seerstack".new {}
      local function sockets(whose)
        -- Its own pipe is gone when it is looked at by the child.
        local list = io.popen("ls -l /proc/" .. whose .. "/fd 2>/dev/null")
        local _, count = list:read "*a":gsub("socket:", "")
        list:close()
        return count
      end
      local before = sockets "self"
      client.events.capture { name = "a" }
      assert(client:flush(5))
      assert(sockets "self" == before, "exec")
      local mine = sockets(native.pid())
      for _ = 1, 3 do
        local pid = native.fork()
        if pid > 0 then
          native.exit(native.wait(pid) == 0 and 0 or 1)
        end
        client.events.capture { name = "a" }
        assert(client:flush(5))
        assert(sockets(native.pid()) == mine, "fork")
      end
      native.exit(0)
    ]] }
    assert.equal("", result.stderr)
  end)

  it("that no descriptor is left for is told of so", function()
    x = h.open()
    local result = x:child { code = [[
      local client = require "seerstack".new {
        thread = false, base_url = "http://127.0.0.2:9",
      }
      local function ask()
        return select(2, client.events.capture({ name = "a" },
          { wait = true, max_retries = 0 }))
      end
      ask()
      local files = {}
      repeat
        local file = io.open "/dev/null"
        files[#files + 1] = file
      until not file
      print((ask()))
    ]] }
    assert.equal("too many open files\n", result.stdout)
  end)
end)

describe("an answer that came while the process stood still", function()
  it("is read before the time is judged", function()
    local x = h.open()
    local child = h.start {
      env = h.environment(x.url, x.key), timeout = 60,
      code = [[
        local client = require "seerstack".new {}
        print(client.events.capture({ name = "a" },
          { wait = true, timeout = 3, max_retries = 0 }))
      ]],
    }
    local peer = assert(x.server:accept(10))
    assert(peer:request(10))
    os.execute("kill -STOP " .. child:pid())
    assert(peer:respond(h.ok()))
    local thawed = socket.gettime() + 5
    h.wait(function() return socket.gettime() > thawed end, 10)
    os.execute("kill -CONT " .. child:pid())
    local result = child:wait()
    x:close()
    assert.matches("^table: ", result.stdout)
  end)
end)
