local h = require "spec.helper"
local socket = require "socket"

local PROGRAM = [[
  local client = seerstack.new()
  capture(client, 1, 20)
  assert(client:flush(10))
  print("flushed")
  io.stdout:flush()
  for line in io.lines(arg[1]) do
    if line == "again" then
      assert(client.events.capture { name = "a.b", data = { i = 0 } })
    end
  end
]]

describe("after the last event", function()
  local server, directory
  local programs = {}

  -- Starts a program that delivers 20 events, then reads lines from a pipe.
  local function start(name, url)
    local pipe = directory .. "/" .. name
    assert(h.shell.run("mkfifo " .. h.shell.quote(pipe)) == 0)
    local child = h.start {
      code = PROGRAM,
      args = { pipe },
      env = h.environment(url, server.key, {
        SSL_CERT_FILE = server.ca_file,
      }),
      timeout = 120,
    }
    programs[name] = { child = child, pipe = pipe }
  end

  -- Its process and its sender's thread, once it has delivered.
  local function sender_of(name)
    local child = programs[name].child
    h.wait(function() return child:stdout() == "flushed\n" end, 10)
    local threads = h.process.threads(child:pid())
    assert.equal(1, #threads)
    return child:pid(), threads[1]
  end

  setup(function()
    server = h.start_standin()
    directory = h.shell.temporary_directory("idle")
    start("plain", server.url)
    start("tls", server.tls_url)
  end)

  teardown(function()
    for _, program in pairs(programs) do
      program.child:kill("KILL")
      program.child:wait(5)
    end
    server:stop()
    h.shell.remove(directory)
  end)

  local function count_connections(pid)
    return #h.process.tcp_sockets(pid)
  end

  -- A whole second passes without a wake-up, soon after the last request.
  local function assert_asleep(pid, tid)
    h.wait(function()
      local before = h.process.switches(pid, tid)
      socket.sleep(1)
      return h.process.switches(pid, tid) == before
    end, 5, nil, "a second without a wake-up")
  end

  it("the sender sleeps while the connections are kept", function()
    for _, name in ipairs { "plain", "tls" } do
      local pid, tid = sender_of(name)
      assert.is_true(count_connections(pid) >= 1)
      assert_asleep(pid, tid)
    end
  end)

  -- They are kept for 30 s.
  if h.patient then
    it("the connections are closed, and there are no wake-ups for 10 s",
      function()
        for _, name in ipairs { "plain", "tls" } do
          local pid, tid = sender_of(name)
          h.wait(function() return count_connections(pid) == 0 end, 40,
            0.1)
          assert_asleep(pid, tid)
        end
        local switches = {}
        for name in pairs(programs) do
          switches[name] = h.process.switches(sender_of(name))
        end
        socket.sleep(10)
        for name, before in pairs(switches) do
          assert.equal(before, h.process.switches(sender_of(name)))
          assert.equal(0, count_connections((sender_of(name))))
        end
      end)
  end

  it("the next event wakes the sender up again", function()
    for name, program in pairs(programs) do
      local pid = sender_of(name)
      local count = server:count()
      assert.is_false(program.child:done())
      h.shell.write(program.pipe, "again\n")
      h.wait(function() return program.child:done() end, 20)
      assert.equal("", program.child:wait().stderr)
      assert.equal(count + 1, server:count())
      assert.is_false(h.shell.alive(pid))
    end
    programs = {}
  end)
end)
