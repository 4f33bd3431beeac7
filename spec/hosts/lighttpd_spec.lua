local h = require "spec.helper"

describe("lighttpd", function()
  local api = h.own_standin({ key = h.host.key() }, h.host.clean_up)

  -- The example, on a free port, with more lines of configuration. It has
  -- answered one request, which gives an event. Options: cpath, where the
  -- module is; env.
  local function run(more, options)
    options = options or {}
    local directory = h.host.directory "lighttpd"
    local port = h.host.port()
    local script = h.host.copy("lighttpd/analytics.lua", directory, {
      ["-- package.cpath = \"/opt/lua/?.so;\""] =
        ("package.cpath = %q"):format((options.cpath
          or h.host.cpath(directory, "5.4")) .. ";"),
    })
    local configuration = h.host.copy("lighttpd/lighttpd.conf", directory, {
      ["server.port = 8080"] = "server.port = " .. port,
      ["/var/www/html"] = directory,
      ["/var/log/lighttpd"] = directory .. "/log",
      ["/etc/lighttpd/analytics.lua"] = script,
    })
    h.shell.write(configuration, h.shell.read(configuration) .. (more or ""))
    h.shell.write(directory .. "/index.html", "Hello\n")
    assert.equal(0, h.shell.run("install -d -o www-data " .. directory
      .. "/log"))
    local started = h.host.start {
      command = "lighttpd -D -f " .. configuration,
      env = h.merge({
        SEERSTACK_API_KEY = api.key, SEERSTACK_BASE_URL = api.url,
      }, options.env),
    }
    started.url = "http://127.0.0.1:" .. port .. "/index.html"
    started.log = directory .. "/log/error.log"
    h.host.ready(started, started.url)
    return started
  end

  -- With workers the parent does not wait for them. After SIGTERM lighttpd's
  -- status is 0 or 1, whatever it runs.
  local function stop(started, signal)
    started:kill(signal)
    local result = started:wait(30)
    h.wait(function() return #h.host.processes(started) == 0 end, 30)
    return result
  end

  -- Nothing went wrong, and all that was answered has arrived.
  local function check(started, result, expected)
    assert.is_true(result.status <= 1)
    assert.is_nil((result.stderr .. h.shell.read(started.log))
      :find("seerstack", 1, true))
    assert.same(expected, h.host.arrived(api))
  end

  for _, signal in ipairs { "INT", "TERM" } do
    it("delivers an event for each answer at SIG" .. signal, function()
      local started = run()
      assert.equal(300, (h.host.load(started.url, 300)))
      assert.equal(0, (h.host.load(started.url .. ".none", 20)))
      check(started, stop(started, signal),
        { ["/index.html"] = 301, ["/index.html.none"] = 20 })
    end)

    it("delivers all at SIG" .. signal .. " when the API is slow", function()
      local started = run()
      api:config { delay = 1.8 }
      assert.equal(40, (h.host.load(started.url, 40)))
      check(started, stop(started, signal), { ["/index.html"] = 41 })
    end)

    it("delivers all of its workers at SIG" .. signal, function()
      local started = run("server.max-worker = 2\n")
      assert.equal(300, (h.host.load(started.url, 300)))
      assert.equal(3, #h.host.processes(started))
      check(started, stop(started, signal), { ["/index.html"] = 301 })
    end)
  end

  -- Whatever is missing, the website works, and it is told once.
  local function assert_off(reason, options)
    local started = run(nil, options)
    assert.equal(50, (h.host.load(started.url, 50)))
    local result = stop(started, "INT")
    assert.is_true(result.status <= 1)
    local told = result.stderr .. h.shell.read(started.log)
    local _, count = told:gsub(reason, "")
    assert.equal(1, count, told)
    assert.equal(0, api:count())
  end

  it("serves without a key", function()
    assert_off("SEERSTACK_API_KEY is missing",
      { env = { SEERSTACK_API_KEY = false } })
  end)

  it("serves without the module", function()
    assert_off("analytics are off: module 'seerstack' not found",
      { cpath = "/nowhere/?.so" })
  end)

  it("sends while it runs, as an unprivileged user", function()
    local started = run()
    local status = h.shell.read("/proc/" .. started:pid() .. "/status")
    assert.equal(h.shell.output("id -u www-data"),
      status:match("\nUid:%s+%d+%s+(%d+)"))
    assert.equal(300, (h.host.load(started.url, 300)))
    h.wait(function() return api:count() == 301 end, 20)
    check(started, stop(started, "INT"), { ["/index.html"] = 301 })
  end)

  it("delivers all over graceful restarts", function()
    local started = run()
    local requests = 1
    for i = 1, 5 do
      requests = requests + h.host.load(started.url, 100)
      started:kill("USR1")
      h.wait(function()
        local _, begun = h.shell.read(started.log):gsub("server started", "")
        return begun == i + 1
      end, 20)
    end
    assert.equal(501, requests)
    assert.equal(100, (h.host.load(started.url, 100)))
    check(started, stop(started, "INT"), { ["/index.html"] = 601 })
  end)
end)
