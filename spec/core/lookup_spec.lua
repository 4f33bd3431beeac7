-- Names of hosts, as a resolver between program and system has them.

local h = require "spec.helper"

local x = h.exchange()

local directory, file, log

before_each(function()
  directory = h.shell.temporary_directory "lookup"
  file, log = directory .. "/resolver", directory .. "/log"
end)

after_each(function()
  h.shell.remove(directory)
end)

-- What the resolver says while it is there: seconds to wait, an error, and an
-- address; `env` are more variables.
local function environment(says, env, libraries)
  if says then
    h.shell.write(file, says)
  end
  local preload = h.preload "resolver"
  for _, library in ipairs(libraries or {}) do
    preload = preload .. ":" .. h.preload(library)
  end
  return h.merge({
    SEERSTACK_BASE_URL = "http://api.test:" .. x.server.port,
    LD_PRELOAD = preload, SEER_RESOLVER_FILE = file, SEER_RESOLVER_LOG = log,
    SEER_THREADS_REFUSED = 1000000, http_proxy = false, all_proxy = false,
    ALL_PROXY = false, no_proxy = false, NO_PROXY = false,
  }, env)
end

local PREAMBLE = [[
  local file = os.getenv "SEER_RESOLVER_FILE"
  local function resolver(says)
    if not says then
      return assert(os.remove(file))
    end
    local out = assert(io.open(file, "w"))
    out:write(says)
    out:close()
  end
  local function capture(client, options)
    return client.events.capture({ name = "a.b" }, options)
  end
]]

local function run(code, env, handler)
  local result = x:child({ code = PREAMBLE .. code, env = env }, handler)
  assert.equal("", result.stderr)
  return result.stdout
end

-- The names that were asked for, each once.
local function asked()
  local names, seen = {}, {}
  for name in (h.shell.read(log) or ""):gmatch "(%S+) %d+\n" do
    if not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

describe("a name", function()
  it("is looked up once for all who want it", function()
    run([[
      local client = seerstack.new {
        rate_limit = false, log_level = "error",
      }
      for _ = 1, 50 do
        assert(capture(client))
      end
      assert(client:flush(20))
    ]], environment "1 0")
    assert.equal(50, #x.requests)
    assert.equal("api.test:" .. x.server.port, x.requests[1].headers.host)
    local _, lines = h.shell.read(log):gsub("\n", "")
    assert.equal(1, lines)
  end)

  it("has few threads, however long the resolver takes", function()
    local threads = run([[
      local client = seerstack.new {
        rate_limit = false, log_level = "off", exit_timeout = 0,
      }
      local most = 0
      for _ = 1, 40 do
        local _, _, err = capture(client,
          { wait = true, timeout = 0.05, max_retries = 0 })
        assert(err.name == "APITimeoutError")
        for line in io.lines "/proc/self/status" do
          local threads = line:match "^Threads:%s+(%d+)"
          most = math.max(most, tonumber(threads) or 0)
        end
      end
      print(most)
    ]], environment "60 0")
    assert.is_true(tonumber(threads) <= 2 + 4)
  end)

  it("is named when its look-up takes too long", function()
    assert.matches("looking up api%.test", run([[
      local client = seerstack.new {
        log_level = "off", exit_timeout = 0, connect_timeout = 0.05,
      }
      print(select(2, capture(client, { wait = true, max_retries = 0 })))
    ]], environment "60 0"))
  end)

  it("is named when there is no such host", function()
    assert.matches("Could not resolve host: api%.test", run([[
      local client = seerstack.new { log_level = "off", exit_timeout = 0 }
      print(select(2, capture(client, { wait = true, max_retries = 0 })))
    ]], environment "0 -2"))
  end)

  for _, thread in ipairs { "true", "false" } do
    it("is looked up again once nobody is there, thread = " .. thread,
      function()
        run([[
          local client = seerstack.new {
            thread = ]] .. thread .. [[, log_level = "off",
            initial_retry_delay = 0.05,
          }
          assert(not capture(client, { wait = true, max_retries = 0 }))
          resolver "0 0 127.0.0.1"
          assert(capture(client, { wait = true, max_retries = 0 }))
        ]], environment "0 0 127.0.0.9")
        assert.equal(1, #x.requests)
      end)
  end

  it("is looked up for a new client without a thread", function()
    run([[
      local options = { thread = false, log_level = "off" }
      seerstack.new(options)
      resolver "0 0 127.0.0.1"
      assert(capture(seerstack.new(options),
        { wait = true, max_retries = 0 }))
    ]], environment "0 0 127.0.0.9")
    assert.equal(1, #x.requests)
  end)

  it("that a redirect leads to is looked up, too", function()
    run([[
      local client = seerstack.new { log_level = "error" }
      assert(capture(client, { wait = true, max_retries = 0 }))
    ]], environment(), function(request)
      if request.headers.host:find "^api" then
        local place = "http://other.test:" .. x.server.port .. "/"
        return 307, h.location(place), ""
      end
      return h.ok()
    end)
    assert.equal("other.test:" .. x.server.port, x.requests[2].headers.host)
    assert.same({ "api.test", "other.test" }, asked())
  end)

  it("is looked up by a child while its parent's thread does", function()
    run([[
      local native = require "seer_spec_native"
      local client = seerstack.new { log_level = "off", exit_timeout = 0 }
      assert(capture(client, { future = true }))
      local deadline = socket.gettime() + 20
      while not io.open(os.getenv "SEER_RESOLVER_LOG") do
        assert(socket.gettime() < deadline)
        socket.sleep(0.005)
      end
      resolver()
      local child = native.fork()
      if child == 0 then
        native.exit(capture(client, { wait = true }) and 0 or 1)
      end
      assert(native.wait(child) == 0)
    ]], environment "60 0")
    assert.equal(1, #x.requests)
  end)

  h.it_unless_musl("the shell, which is for glibc, loads no library for musl",
    "has no descriptor of a standard stream while it is looked up", function()
      run([[
        local program = arg[0] .. ".closed"
        local out = assert(io.open(program, "w"))
        out:write [=[
          local seerstack = require "seerstack"
          for _, thread in ipairs { false, true } do
            local client = seerstack.new { thread = thread }
            client.events.capture({ name = "a.b" }, { wait = true })
          end
        ]=]
        out:close()
        os.execute(os.getenv "SEER_LUA" .. " " .. program
          .. " <&- >&- 2>&-")
        os.remove(program)
      ]], environment "0 -2")
      for fd in h.shell.read(log):gmatch " (%d+)\n" do
        assert.is_true(tonumber(fd) > 2)
      end
    end)
end)

describe("a proxy", function()
  local CODE = [[
    local client = seerstack.new { log_level = "off", exit_timeout = 0 }
    assert(capture(client, { wait = true, max_retries = 0 }))
  ]]

  it("of http is looked up, and the API is not", function()
    for _, no_proxy in ipairs { false, "localhost,other.test", "est" } do
      h.shell.write(log, "")
      run(CODE, environment(nil, {
        http_proxy = "http://proxy.test:" .. x.server.port,
        no_proxy = no_proxy,
      }))
      assert.same({ "proxy.test" }, asked())
    end
  end)

  it("is not looked up for a host that goes without", function()
    for _, no_proxy in ipairs { "*", "api.test", "other, .TEST.", "test" } do
      h.shell.write(log, "")
      run(CODE, environment(nil, {
        http_proxy = "http://proxy.test:9", no_proxy = no_proxy,
      }))
      assert.same({ "api.test" }, asked())
    end
  end)

  it("of SOCKS is looked up, and the API if it wants an address", function()
    for scheme, names in pairs {
      socks4 = { "api.test", "proxy.test" }, socks4a = { "proxy.test" },
      socks5 = { "api.test", "proxy.test" }, socks5h = { "proxy.test" },
    } do
      local tunnel = h.tunnel.new { port = x.server.port }
      h.shell.write(log, "")
      local child = h.start {
        code = PREAMBLE .. CODE,
        env = h.environment(x.url, x.key, environment(nil, {
          http_proxy = ("%s://proxy.test:%d"):format(scheme, tunnel.port),
        })),
      }
      x:serve(function()
        tunnel:step()
        return h.ok()
      end, function()
        tunnel:step()
        return child:done()
      end, 20)
      tunnel:close()
      h.ended_well(child)
      assert.same(names, asked(), scheme)
    end
  end)
end)

describe("where the system refuses threads, an old address", function()
  it("is used while none can be looked up", function()
    local gone = h.server.refusing()
    local child = h.start {
      code = PREAMBLE .. [[
        local client = seerstack.new {
          log_level = "off", initial_retry_delay = 0.05,
          max_retry_delay = 0.05,
        }
        resolver "60 0"
        assert(capture(client))
        while not client:stats().last_error do
          client:flush(0.05)
        end
        print "in vain"
        io.stdout:flush()
        while not client:flush(0.5) do end
      ]],
      env = h.environment("", h.key(), environment("0 0", {
        SEERSTACK_BASE_URL = "http://api.test:" .. gone.port,
      }, { "threads" })),
    }
    h.wait(function() return child:stdout() == "in vain\n" end, 20)
    local server = h.server.new(gone.port)
    assert(server:serve {
      handler = h.ok, until_ = function() return child:done() end,
      deadline = 20,
    })
    server:close()
    h.ended_well(child)
    assert.equal(1, #server.requests)
  end)
end)
