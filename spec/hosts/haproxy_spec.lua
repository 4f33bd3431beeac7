local h = require "spec.helper"
local socket = require "socket"

local lua = h.host.lua_of "$(PATH=$PATH:/usr/sbin command -v haproxy)"

describe("HAProxy", function()
  local api = h.own_standin({ key = h.host.key() }, h.host.clean_up)

  -- The example, on a free port. Options: load, the word that loads Lua; lua,
  -- changes of the Lua file, and more, what is appended to it; ca_file; cpath;
  -- base_url; env, beyond this; arguments, of HAProxy.
  local function start(options)
    options = options or {}
    local directory = h.host.directory "haproxy"
    local port = h.host.port()
    local script = h.host.copy("haproxy/analytics.lua", directory, options.lua)
    h.shell.write(script, h.host.replace(h.shell.read(script), {
      ["/etc/ssl/certs/ca-certificates.crt"] = options.ca_file or api.ca_file,
    }) .. (options.more or ""))
    local configuration = h.host.copy("haproxy/haproxy.cfg", directory, {
      ["# lua-prepend-path /opt/lua/?.so cpath"] =
        "lua-prepend-path " .. (options.cpath
          or h.host.cpath(directory, lua)) .. " cpath",
      ["lua-load /etc/haproxy/analytics.lua"] =
        (options.load or "lua-load") .. " " .. script,
      ["127.0.0.1:8080"] = "127.0.0.1:" .. port,
    })
    local started = h.host.start {
      command = ("haproxy %s -f %s")
        :format(options.arguments or "-db", configuration),
      env = h.merge({
        SEERSTACK_API_KEY = api.key,
        SEERSTACK_BASE_URL = options.base_url or api.url,
      }, options.env),
    }
    started.url = "http://127.0.0.1:" .. port .. "/"
    return started
  end

  -- The same, once it has answered a request, which gives an event.
  local function run(options)
    local started = start(options)
    h.host.ready(started, started.url)
    return started
  end

  -- What a process is allowed, and who it is.
  local function status(pid, field)
    return h.shell.read("/proc/" .. pid .. "/status")
      :match("\n" .. field .. ":%s+(%S+)")
  end

  local function stop(started, signal)
    started:kill(signal)
    return started:wait(30)
  end

  -- A master executes itself anew after each reload, and what arrives right
  -- then it may miss.
  local function insist(started, signal, predicate)
    local again = 0
    h.wait(function()
      local done = predicate()
      if not done and socket.gettime() >= again then
        started:kill(signal)
        again = socket.gettime() + 5
      end
      return done
    end, 30)
  end

  for _, load in ipairs { "lua-load", "lua-load-per-thread" } do
    it("delivers all at SIGUSR1 with " .. load, function()
      local started = run { load = load }
      assert.equal(300, (h.host.load(started.url, 300)))
      local result = stop(started, "USR1")
      assert.equal(0, result.status)
      assert.same({ ["/"] = 301 }, h.host.arrived(api))
      assert.is_nil(result.stderr:find("seerstack", 1, true))
    end)
  end

  it("comes up without a key, and tells that analytics are off", function()
    local started = run { env = { SEERSTACK_API_KEY = false } }
    local result = stop(started, "USR1")
    assert.equal(0, result.status)
    assert.matches("analytics are off: .*SEERSTACK_API_KEY is missing",
      result.stderr)
    assert.equal(0, api:status().requests)
  end)

  it("comes up without the module, and tells that analytics are off",
    function()
      local started = run { cpath = "/nowhere/?.so" }
      local result = stop(started, "USR1")
      assert.equal(0, result.status)
      assert.matches("analytics are off: .*module 'seerstack' not found",
        result.stderr)
      assert.equal(0, api:status().requests)
    end)

  it("captures in every thread with lua-load-per-thread", function()
    local started = run {
      load = "lua-load-per-thread",
      lua = { ["path ="] = "thread = core.thread, path =" },
    }
    local requests = 1
    h.wait(function()
      requests = requests + h.host.load(started.url, 50, 16)
      local seen = {}
      for _, event in ipairs(api:events()) do
        seen[event.body:match('"thread":(%d+)')] = true
      end
      return seen["1"] and seen["2"]
    end, 20)
    assert.equal(0, stop(started, "USR1").status)
    assert.same({ ["/"] = requests }, h.host.arrived(api))
  end)

  it("delivers as a user who may start no thread, before any stop",
    function()
      local started = run()
      local pid = started:pid()
      local limits = h.shell.read("/proc/" .. pid .. "/limits")
      assert.equal("0", limits:match("Max processes%s+(%d+)"))
      assert.equal(h.shell.output("id -u haproxy"), status(pid, "Uid"))
      assert.equal(300, (h.host.load(started.url, 300)))
      h.wait(function() return api:count() == 301 end, 20)
      assert.equal("2", status(pid, "Threads"))
      assert.equal(0, stop(started, "USR1").status)
      assert.same({ ["/"] = 301 }, h.host.arrived(api))
    end)

  it("delivers over TLS from a chroot, with ca_blob", function()
    local started = run { base_url = api.tls_url }
    assert.equal("/var/lib/haproxy",
      h.shell.output("readlink /proc/" .. started:pid() .. "/root"))
    assert.equal(200, (h.host.load(started.url, 200)))
    h.wait(function() return api:count() == 201 end, 20)
    assert.equal(200, (h.host.load(started.url, 200)))
    local result = stop(started, "USR1")
    assert.equal(0, result.status)
    assert.same({ ["/"] = 401 }, h.host.arrived(api))
    assert.equal("", (result.stderr:gsub("%[WARNING%][^\n]*stopped[^\n]*\n",
      "")))
  end)

  it("does not trust an API that ca_blob does not vouch for", function()
    local started = run {
      base_url = api.tls_url,
      ca_file = "/etc/ssl/certs/ca-certificates.crt",
    }
    assert.equal(20, (h.host.load(started.url, 20)))
    h.wait(function()
      return started:stderr():find("seerstack: warn: ", 1, true)
    end, 20)
    local result = stop(started, "USR1")
    assert.equal(0, result.status)
    assert.equal(0, api:count())
    assert.is_truthy(result.stderr:find(
      "seerstack: error: 21 events were not delivered before exit", 1, true))
  end)

  -- One in the spec's own process, which answers nothing until it serves.
  local function scripted()
    local server = h.server.new()
    server.events = function() return server.requests end
    return server
  end

  it("answers while the API is silent, and delivers at SIGUSR1", function()
    local silent = scripted()
    local started = run {
      base_url = silent.url,
      lua = { ["max_in_flight = 2"] = "max_in_flight = 20" },
    }
    assert.equal(40, (h.host.load(started.url, 40)))
    started:kill "USR1"
    assert(silent:serve {
      handler = function() return "delay", 1, h.ok() end,
      until_ = function() return started:done() end, deadline = 30,
    })
    silent:close()
    assert.equal(0, started:wait().status)
    assert.same({ ["/"] = 41 }, h.host.arrived(silent))
  end)

  -- Each request is answered after its own event was, and no event before all
  -- have come.
  it("lets a request wait for a future without holding up others",
    function()
      local held = scripted()
      local started = start {
        base_url = held.url,
        lua = {
          ["max_in_flight = 2"] = "max_in_flight = 20",
          ['"capture", {'] = '"other", {',
        },
        more = [[
          core.register_action("capture", { "http-req" }, function(txn)
            local future = client.events.capture(
              { name = "page.requested", data = { path = txn.f:path() } },
              { future = true })
            while not future:done() do
              core.msleep(5)
            end
            assert(future:get())
          end)
        ]],
      }
      local load = h.start { commands = h.shell.join { "curl", "-sfZ",
        "--parallel-max", "16", "--parallel-immediate", "-o", "/dev/null",
        "--retry", "50", "--retry-delay", "1", "--retry-connrefused",
        started.url .. "?[1-16]" } }
      local function serve(handler, until_)
        assert(held:serve {
          handler = handler, until_ = until_, deadline = 30,
        })
      end
      serve(h.hold, function() return #held.requests == 16 end)
      assert.is_false(load:done())
      for _, peer in ipairs(held.connections) do
        peer:respond(h.ok())
        peer.busy = false
      end
      serve(h.ok, function() return load:done() end)
      assert.equal(0, load:wait().status)
      held:close()
      assert.same({ ["/"] = 16 }, h.host.arrived(held))
      assert.equal(0, stop(started, "USR1").status)
    end)

  -- No guarantee, but what the manual says.
  it("is killed by SIGTERM, with what it holds", function()
    local started = run()
    assert.equal(100, (h.host.load(started.url, 100)))
    h.wait(function() return api:count() == 101 end, 20)
    api:config { delay = 60 }
    assert.equal(100, (h.host.load(started.url, 100)))
    assert.equal(15, stop(started, "TERM").signal)
    assert.is_true(api:count() <= 101 + 2)
  end)

  it("delivers from each worker of a master, over reloads", function()
    local started = run { arguments = "-W -db" }
    -- The youngest one.
    local function worker()
      return started:stderr():match(".*New worker %((%d+)%) forked")
    end
    for _ = 1, 5 do
      local before = worker()
      assert.equal(100, (h.host.load(started.url, 100)))
      insist(started, "USR2", function() return worker() ~= before end)
      h.wait(function() return not h.shell.alive(before) end, 20)
    end
    assert.equal(100, (h.host.load(started.url, 100)))
    insist(started, "USR1", function() return started:done() end)
    assert.equal(0, started:wait().status)
    assert.same({ ["/"] = 601 }, h.host.arrived(api))
  end)

  it("delivers as a daemon", function()
    local started = start { arguments = "-D" }
    assert.equal(0, started:wait(20).status)
    h.wait(function() return h.host.get(started.url) == 200 end, 20)
    local pids = h.host.processes(started)
    assert.equal(1, #pids)
    assert.equal(300, (h.host.load(started.url, 300)))
    assert.equal(0, h.shell.run("kill -USR1 " .. pids[1]))
    h.wait(function() return not h.shell.alive(pids[1]) end, 20)
    assert.same({ ["/"] = 301 }, h.host.arrived(api))
  end)
end)
