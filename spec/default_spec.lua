local cjson = require "cjson"
local h = require "spec.helper"

local MISSING = "the environment variable SEERSTACK_API_KEY is missing or "
  .. "empty; the option 'api_key' may be given instead"

local api = h.standin()

-- Runs a program with `env` as its environment and returns its output, and
-- what it wrote to the standard error.
local function run(code, env)
  local result = h.script.run {
    code = 'local seerstack = require "seerstack"\n' .. code,
    env = {
      SEERSTACK_API_KEY = env.key or false,
      SEERSTACK_BASE_URL = env.url or false,
    },
  }
  assert.equal(0, result.status, result.stderr)
  return result.stdout, result.stderr
end

-- The same, with an environment in which all is well.
local function run_well(code)
  local output, errors = run(code, { key = api.key, url = api.url })
  assert.equal("", errors)
  return output
end

describe("the default client", function()
  it("is made from the environment at the first use", function()
    assert.equal("true true true\n", run_well [[
      local capture, identify = seerstack.capture, seerstack.identify
      local first = capture { name = "a.b" }
      local second = identify { user_id = "u", name = "U" }
      print(tostring(first) .. " " .. tostring(second) .. " "
        .. tostring(seerstack.flush(10)))
    ]])
    local events = api:events()
    assert.equal(2, #events)
    assert.equal("Bearer " .. api.key, events[1].headers.authorization)
    local paths = { [events[1].path] = true, [events[2].path] = true }
    assert.same({ ["/capture"] = true, ["/identify"] = true }, paths)
  end)

  it("takes the options of a request", function()
    assert.equal("true 200\n", run_well [[
      local response, http = seerstack.capture({ name = "a.b" },
        { wait = true })
      print(tostring(response.success) .. " " .. http.status)
    ]])
    assert.equal(1, api:count())
  end)

  it("is what default returns, and is one", function()
    assert.equal("true true 1\n", run_well [[
      local client = seerstack.default()
      client.events.capture { name = "a.b" }
      package.loaded.seerstack = nil
      print(tostring(client == seerstack.default()) .. " "
        .. tostring(client == require "seerstack".default()) .. " "
        .. seerstack.stats().accepted)
    ]])
  end)

  it("is kept", function()
    assert.equal("seerstack.client (" .. api.url .. ") 1\n", run_well [[
      seerstack.capture { name = "a.b" }
      collectgarbage()
      collectgarbage()
      print(tostring(seerstack.default()) .. " " .. seerstack.stats().accepted)
    ]])
  end)

  it("delivers at the end of the program", function()
    run_well [[
      for i = 1, 50 do seerstack.capture { name = "a.b" } end
    ]]
    assert.equal(50, api:count())
  end)

  it("is closed by close", function()
    assert.equal("true true client is closed ClosedError 1\n", run_well [[
      seerstack.configure { log_level = "error" }
      seerstack.capture { name = "a.b" }
      local first, second = seerstack.close(10), seerstack.close()
      local _, message, err = seerstack.capture { name = "a.b" }
      print(tostring(first) .. " " .. tostring(second) .. " " .. message .. " "
        .. err.name .. " " .. seerstack.stats().delivered)
    ]])
  end)

  it("raises on misuse", function()
    local output = run_well [[
      local function try(f, ...) print((select(2, pcall(f, ...)))) end
      try(seerstack.capture)
      try(seerstack.identify, "x")
      try(seerstack.capture, { name = "a" }, { wiat = true })
      try(seerstack.capture, { name = "a" }, 5)
      try(seerstack.flush, -1)
      try(seerstack.close, "x")
      print(seerstack.stats().accepted)
    ]]
    assert.equal([[
bad argument #1 to 'capture' (table expected, got nil)
bad argument #1 to 'identify' (table expected, got string)
bad argument #2 to 'capture' (unknown option 'wiat')
bad argument #2 to 'capture' (table expected, got number)
bad argument #1 to 'flush' (a number of seconds >= 0 expected, got -1)
bad argument #1 to 'close' (a number of seconds >= 0 expected, got string)
0
]], output)
  end)
end)

describe("without a key, the module's functions", function()
  local CALLS = [[
    for _, call in ipairs {
      { "capture", { name = "a.b" } },
      { "capture", { name = "a.b" }, { wait = true } },
      { "identify", { user_id = "u" } }, { "flush" }, { "flush", 1 },
      { "close" }, { "stats" }, { "default" },
    } do
      local result, message, err = seerstack[call[1] ](call[2], call[3])
      print(tostring(result) .. "|" .. message .. "|" .. err.name .. "|"
        .. err.message .. "|" .. tostring(err))
    end
  ]]

  local function assert_all_fail(message, output)
    local lines = 0
    for line in output:gmatch("[^\n]+") do
      assert.equal(("nil|%s|ValidationError|%s|%s")
        :format(message, message, message), line)
      lines = lines + 1
    end
    assert.equal(8, lines)
  end

  it("return nil, message, err, and it is told once", function()
    for _, key in ipairs { false, "", " \n" } do
      local output, errors = run(CALLS, { key = key, url = api.url })
      assert_all_fail(MISSING, output)
      assert.equal("seerstack: warn: nothing is sent: " .. MISSING .. "\n",
        errors)
    end
  end)

  it("do so for a key that cannot be used, and do not show it", function()
    local output, errors = run(CALLS, { key = "sk_se\ncret", url = api.url })
    assert_all_fail("option 'api_key', from the environment variable "
      .. "SEERSTACK_API_KEY: the key has a control character", output)
    assert.is_nil((output .. errors):find("sk_se", 1, true))
    assert.is_nil((output .. errors):find("cret", 1, true))
    assert.equal(1, select(2, errors:gsub("\n", "")))
  end)

  it("do so for a base URL that cannot be used", function()
    local output, errors = run(CALLS, { key = "sk_x",
      url = "ftp://jane:pa55word@h" })
    for line in output:gmatch("[^\n]+") do
      assert.matches("^nil|option 'base_url', from the environment variable "
        .. "SEERSTACK_BASE_URL: ", line)
      assert.matches("|ValidationError|", line, 1, true)
    end
    assert.is_nil((output .. errors):find("pa55word", 1, true))
    assert.equal(1, select(2, errors:gsub("\n", "")))
  end)
end)

describe("configure", function()
  it("sets the options of the default client", function()
    assert.equal("seerstack.client (" .. api.url .. ")\nqueue full: "
      .. "max_queue_events is 1000, max_queue_bytes 1\n",
      (run(([[
        seerstack.configure {
          api_key = "sk_x", base_url = %q, max_queue_events = 1000,
          max_queue_bytes = 1,
        }
        print(tostring(seerstack.default()))
        print((select(2, seerstack.capture { name = "a.b" })))
      ]]):format(api.url), {})))
  end)

  it("leaves the rest to the environment", function()
    assert.equal("true\n", run_well [[
      seerstack.configure { wait = true }
      print(seerstack.capture { name = "a.b" }.success)
    ]])
  end)

  it("needs no key at once, but at the first use", function()
    local output = run([[
      seerstack.configure { timeout = 5 }
      print((select(2, seerstack.capture { name = "a.b" })))
      seerstack.configure { timeout = 5, api_key = "sk_x" }
      print(seerstack.stats().accepted)
    ]], { url = api.url })
    assert.equal(MISSING .. "\n0\n", output)
  end)

  it("is remembered as it was checked", function()
    assert.equal("true\n", run_well [[
      local options = { wait = true }
      seerstack.configure(options)
      options.wait, options.nonsense = "x", 1
      print(seerstack.capture { name = "a.b" }.success)
    ]])
  end)

  it("reads ca_file at once: the file may then be gone", function()
    local copy = os.tmpname()
    h.shell.write(copy, h.shell.read(api.ca_file))
    local output = run(([[
      local path = %q
      seerstack.configure { ca_file = path, base_url = %q }
      assert(os.remove(path))
      local answer, message = seerstack.capture({ name = "a.b" },
        { wait = true, max_retries = 0 })
      print(answer and answer.success or message)
    ]]):format(copy, api.tls_url), { key = api.key })
    assert.equal("true\n", output)
    assert.equal(1, api:count())
  end)

  it("keeps what was in its tables", function()
    run_well [[
      local options = {
        headers = { ["X-A"] = "given" }, query = { q = "given" },
        default_data = { key = { "given" } }, test_mode = true,
      }
      seerstack.configure(options)
      options.headers["X-A"] = {}
      options.headers["X-B"] = "late"
      options.query.q = "late"
      options.default_data.key[1] = "late"
      options.default_data.more = print
      assert(seerstack.capture { name = "a.b" })
      local request = seerstack.default():captured()[1]
      assert(request.headers["x-a"] == "given")
      assert(request.headers["x-b"] == nil)
      assert(request.query == "q=given")
      assert(request.json:find('"data":{"key":["given"]}', 1, true))
    ]]
  end)

  it("may be called again before the first use: the last one counts",
    function()
      assert.equal("table\n", run_well [[
        seerstack.configure { wait = false, max_queue_bytes = 1 }
        seerstack.configure { wait = true }
        print(type(seerstack.capture { name = "a.b" }))
      ]])
    end)

  it("raises on misuse, and changes nothing then", function()
    local output = run_well [[
      local function try(...)
        print((select(2, pcall(seerstack.configure, ...))))
      end
      seerstack.configure { wait = true }
      try()
      try("sk_x")
      try { flushat = 20 }
      try { timeout = -1 }
      try { api_key = " " }
      try { base_url = "nonsense" }
      print(seerstack.capture { name = "a.b" }.success)
    ]]
    local lines = {}
    for line in output:gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    local bad = "bad argument #1 to 'configure' ("
    assert.equal(bad .. "table expected, got nil)", lines[1])
    assert.equal(bad .. "table expected, got string)", lines[2])
    assert.equal(bad .. "unknown option 'flushat')", lines[3])
    assert.equal(bad
      .. "option 'timeout': a number of seconds > 0 expected, got -1)",
      lines[4])
    assert.matches(bad .. "option 'api_key': ", lines[5], 1, true)
    assert.matches(bad .. "option 'base_url': ", lines[6], 1, true)
    assert.equal("true", lines[7])
  end)

  it("raises after the first use", function()
    assert.equal("false configure: the default client exists already\n",
      run_well [[
        seerstack.capture { name = "a.b" }
        local ok, message = pcall(seerstack.configure, { wait = true })
        print(tostring(ok) .. " " .. message)
      ]])
    assert.equal("false configure: the default client exists already\n",
      run_well [[
        seerstack.flush()
        local ok, message = pcall(seerstack.configure, {})
        print(tostring(ok) .. " " .. message)
      ]])
  end)

  it("works again after close, as between two specs", function()
    assert.equal("a 1\nb 1\nc 1\n", run_well [[
      for _, name in ipairs { "a", "b", "c" } do
        seerstack.configure { test_mode = true }
        assert(seerstack.capture { name = name })
        local requests = seerstack.default():captured()
        print(requests[1].body.name .. " " .. #requests)
        assert(seerstack.close())
      end
    ]])
  end)

  it("after close starts a new client; the old one stays closed", function()
    local output = run_well [[
      seerstack.configure { log_level = "error" }
      local old = seerstack.default()
      seerstack.capture { name = "old" }
      assert(seerstack.close(10))
      seerstack.configure { wait = false }
      local _, message = old.events.capture { name = "late" }
      print(message:match "closed", seerstack.capture { name = "new" })
      assert(seerstack.flush(10))
      print(old:stats().delivered, seerstack.stats().delivered)
    ]]
    assert.equal("closed\ttrue\n1\t1\n", output)
    assert.equal(2, api:count())
  end)

  it("does not lose what the closed client has not sent yet", function()
    run_well [[
      for i = 1, 20 do seerstack.capture { name = "a.b" } end
      seerstack.close(0)
      seerstack.configure {}
      collectgarbage()
      collectgarbage()
    ]]
    assert.equal(20, api:count())
  end)

  it("leaves the closed client where the options are wrong", function()
    assert.equal("client is closed\n", run_well [[
      seerstack.configure { log_level = "error" }
      seerstack.close()
      assert(not pcall(seerstack.configure, { timeout = -1 }))
      print((select(2, seerstack.capture { name = "a.b" })))
    ]])
  end)
end)

describe("an event of the default client", function()
  it("arrives as it was given", function()
    run_well [[
      seerstack.capture { name = "a.b", data = { n = 5 } }
      seerstack.close(10)
    ]]
    assert.same({ n = 5 }, cjson.decode(api:events()[1].body).data)
  end)
end)
