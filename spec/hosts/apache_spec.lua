local h = require "spec.helper"
local socket = require "socket"

local lua = h.host.lua_of "/usr/lib/apache2/modules/mod_lua.so"

for _, mpm in ipairs { "event", "prefork" } do
describe("Apache, " .. mpm, function()
  local api = h.own_standin({ key = h.host.key() }, h.host.clean_up)

  -- The example, on a free port. Options: scope of the Lua states; more lines
  -- of configuration; cpath, where the module is; env. It has answered one
  -- request, which gives an event.
  local function run(options)
    options = options or {}
    local directory, port = h.host.directory("apache"), h.host.port()
    local script = h.host.copy("apache/analytics.lua", directory, {
      ["exit_timeout = 7,"] = "exit_timeout = 7, rate_limit = false,"
    })
    local configuration = h.host.copy("apache/apache2.conf", directory, {
      ["mpm_event"] = "mpm_" .. mpm,
      ["127.0.0.1:8080"] = "127.0.0.1:" .. port,
      ["ServerRoot /etc/apache2"] = "ServerRoot " .. directory,
      ["/run/apache2"] = directory,
      ["/var/log/apache2"] = directory,
      ["/var/www/html"] = directory .. "/html",
      ["# LuaPackageCPath /opt/lua/?.so"] =
        "LuaPackageCPath " .. (options.cpath
          or h.host.cpath(directory, lua)),
      ["LuaScope thread"] = "LuaScope " .. (options.scope or "thread"),
      ["/etc/apache2/analytics.lua"] = script,
    })
    h.shell.write(configuration, h.shell.read(configuration)
      .. "CustomLog access.log %m\n" .. (options.more or ""))
    assert.equal(0, h.shell.run("mkdir " .. directory .. "/html"))
    h.shell.write(directory .. "/html/index.html", "Hello\n")
    local command = "apache2 -f " .. configuration
    local started = h.host.start {
      command = command .. " -D FOREGROUND",
      env = h.merge({
        SEERSTACK_API_KEY = api.key, SEERSTACK_BASE_URL = api.url,
      }, options.env),
    }
    started.command = command
    started.port = port
    started.url = "http://127.0.0.1:" .. port .. "/index.html"
    started.log = directory .. "/error.log"
    started.access_log = directory .. "/access.log"
    h.host.ready(started, started.url)
    return started
  end

  -- A child of prefork serves one connection at a time, and there are five.
  local function load(url, requests)
    return (h.host.load(url, requests, 4))
  end

  -- A request has its answer before it is logged. A graceful stop lets it go
  -- on, the other kind ends it, and what was not captured cannot arrive.
  -- Apache logs its own requests as well, which are OPTIONS.
  local function wait_for_log(started, requests, method)
    h.wait(function()
      local log = h.shell.read(started.access_log)
      return select(2, log:gsub((method or "GET") .. "\n", "")) >= requests
    end, 20)
  end

  -- As apachectl does: "graceful-stop", "stop" or "graceful".
  local function control(started, verb)
    assert.equal(0, h.shell.run(started.command .. " -k " .. verb))
  end

  -- The parent ends after its children.
  local function stop(started, verb)
    control(started, verb)
    local result = started:wait(30)
    assert.equal(0, result.status)
    assert.same({}, h.host.processes(started))
    return h.shell.read(started.log) .. result.stderr
  end

  -- Nothing went wrong, and all that was answered has arrived.
  local function check(log, expected)
    assert.is_nil(log:find("seerstack", 1, true))
    assert.is_nil(log:find("sending a SIGKILL", 1, true))
    assert.same(expected, h.host.arrived(api))
  end

  it("delivers an event for each request at graceful-stop", function()
    local started = run()
    assert.equal(300, load(started.url, 300))
    assert.equal(0, load(started.url .. ".none", 20))
    check(stop(started, "graceful-stop"),
      { ["/index.html"] = 301, ["/index.html.none"] = 20 })
  end)

  -- Whatever is missing, the website works, and why there is no event is told
  -- once by each Lua state: each thread has its own.
  local function assert_off(reason, options)
    local started = run(options)
    assert.equal(50, (h.host.load(started.url, 50, 1)))
    local log = stop(started, "graceful-stop")
    local tellers, count = {}, 0
    for line in log:gmatch "[^\n]*analytics are off: [^\n]*" do
      local thread = line:match "%[pid %d+:tid (%d+)%]"
      assert.is_nil(tellers[thread], log)
      assert.matches(reason, line, 1, true)
      tellers[thread], count = true, count + 1
    end
    assert.is_true(count >= 1, log)
    assert.equal(0, api:count())
  end

  it("serves without a key", function()
    assert_off("SEERSTACK_API_KEY is missing",
      { env = { SEERSTACK_API_KEY = false } })
  end)

  it("serves without the module", function()
    assert_off("module 'seerstack' not found", { cpath = "/nowhere/?.so" })
  end)

  it("delivers all at graceful-stop when the API is slow", function()
    local started = run()
    api:config { delay = 1 }
    assert.equal(40, load(started.url, 40))
    check(stop(started, "graceful-stop"), { ["/index.html"] = 41 })
  end)

  it("delivers all that was logged at stop, also slowly", function()
    local started = run()
    assert.equal(300, load(started.url, 300))
    h.wait(function() return api:count() == 301 end, 20)
    api:config { delay = 1 }
    assert.equal(40, load(started.url, 40))
    wait_for_log(started, 341)
    check(stop(started, "stop"), { ["/index.html"] = 341 })
  end)

  it("delivers all with a Lua state for each request", function()
    local started = run { scope = "once" }
    assert.equal(300, load(started.url, 300))
    check(stop(started, "graceful-stop"), { ["/index.html"] = 301 })
  end)

  it("delivers while it runs, from children that come and go", function()
    local started = run { more = "MaxConnectionsPerChild 5\n" }
    for _ = 1, 10 do -- curl uses its connections again
      assert.equal(20, load(started.url, 20))
    end
    h.wait(function() return api:count() == 201 end, 20)
    check(stop(started, "graceful-stop"), { ["/index.html"] = 201 })
  end)

  it("delivers all over graceful restarts", function()
    local started = run()
    for i = 1, 5 do
      assert.equal(100, load(started.url, 100))
      control(started, "graceful")
      h.wait(function()
        local log = h.shell.read(started.log)
        return select(2, log:gsub("resuming normal operations", "")) == i + 1
      end, 20)
    end
    assert.equal(100, load(started.url, 100))
    check(stop(started, "graceful-stop"), { ["/index.html"] = 601 })
  end)

  it("captures nothing of Apache's own requests", function()
    local started = run()
    local connection = assert(socket.connect("127.0.0.1", started.port))
    assert(connection:send("OPTIONS * HTTP/1.0\r\n\r\n"))
    assert.matches("^HTTP/1.1 200 ", connection:receive("*a"))
    connection:close()
    wait_for_log(started, 1, "OPTIONS")
    check(stop(started, "graceful-stop"), { ["/index.html"] = 1 })
  end)

  -- Apache kills children that have not ended 9 seconds after `stop`.
  it("tells what it could not deliver before it would be killed", function()
    local started = run()
    h.wait(function() return api:count() == 1 end)
    api:config { delay = 60 }
    assert.equal(30, load(started.url, 30))
    wait_for_log(started, 31)
    local log, lost = stop(started, "stop"), 0
    for count in log:gmatch("seerstack: error: (%d+) events? w") do
      lost = lost + count
    end
    assert.equal(30, lost)
    assert.is_nil(log:find("sending a SIGKILL", 1, true))
  end)
end)
end
