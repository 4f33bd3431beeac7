local cjson = require "cjson"
local h = require "spec.helper"

-- The interpreters of the system, and the build of the module for each. One
-- for which nothing was built is skipped, by name.
local BUILDS = {}
for interpreter, build in pairs {
  ["lua5.1"] = "5.1", ["lua5.2"] = "5.2", ["lua5.3"] = "5.3",
  ["lua5.4"] = "5.4", luajit = "luajit",
} do
  if h.shell.read("build/" .. build .. "/seerstack.so") then
    BUILDS[interpreter] = build
  else
    pending(interpreter .. ": there is no module for it")
  end
end

-- Without luasocket, which would change how signals are handled.
local PREAMBLE = [[
  local seerstack = require "seerstack"
  local who = os.getenv "WHO"
  local options = { rate_limit = false, log_level = "error" }
  if os.getenv "THREAD" == "no" then
    options.thread = false
  end
  local client = seerstack.new(options)
  local function event(name, data)
    return { name = name, user_id = who, data = data }
  end
  local function capture(count)
    for i = 1, count do
      assert(client.events.capture(event("n" .. i)))
    end
  end
  local function tell(...)
    print(...)
    io.stdout:flush()
  end
]]

local server = h.standin()
local started

before_each(function()
  started = {}
end)

after_each(function()
  for _, child in pairs(started) do
    child:finish()
  end
  h.host.clean_up()
end)

-- Starts a program in every interpreter, each with a thread and without:
-- { ["lua5.1"] = child, ["lua5.1 without a thread"] = child, ... }
local function start_all(code, env)
  for interpreter, build in pairs(BUILDS) do
    for _, thread in ipairs { "", " without a thread" } do
      local all = h.merge({
        LUA_CPATH = ("%s/build/%s/?.so;;"):format(h.host.root, build),
        LUA_PATH = ";;",
        SEERSTACK_BASE_URL = server.url,
        SEERSTACK_API_KEY = server.key,
        WHO = interpreter .. thread,
        THREAD = thread ~= "" and "no" or "yes",
      }, env)
      started[interpreter .. thread] = h.start {
        code = PREAMBLE .. code, interpreter = interpreter, env = all,
        prefix = "env --default-signal=INT", timeout = 40,
      }
    end
  end
  return started
end

-- The events of some requests, { [who] = { event, ... } }, decoded.
local function by_program(requests)
  local events = {}
  for _, request in ipairs(requests) do
    local event = cjson.decode(request.body)
    event.json = request.body
    events[event.user_id] = events[event.user_id] or {}
    table.insert(events[event.user_id], event)
  end
  return events
end

local function all_ended()
  for _, child in pairs(started) do
    if not child:done() then
      return false
    end
  end
  return true
end

-- What f makes of each program and its name.
local function assert_each(expected, f)
  local wanted, found = {}, {}
  for who, child in pairs(started) do
    wanted[who], found[who] = expected, f(child, who)
  end
  assert.same(wanted, found)
end

local function assert_ended_well()
  assert_each("0 ", function(child)
    local result = child:wait()
    return result.status .. " " .. result.stderr
  end)
end

local function run_all(...)
  start_all(...)
  assert_ended_well()
end

-- Each program has delivered so many events, none twice.
local function assert_delivered(count, requests)
  local events = by_program(requests or server:events())
  assert_each(count .. " of " .. count, function(_, who)
    local names, distinct = {}, 0
    for _, event in ipairs(events[who] or {}) do
      distinct = distinct + (names[event.name] and 0 or 1)
      names[event.name] = true
    end
    return distinct .. " of " .. #(events[who] or {})
  end)
end

describe("Ctrl-C", function()
  local silent -- answers when it is told to

  before_each(function()
    silent = h.server.new()
  end)

  after_each(function()
    silent:close()
  end)

  local function start(code)
    return start_all(code .. '\ntell "after"\n',
      { SEERSTACK_BASE_URL = silent.url })
  end

  local function serve(handler, until_)
    assert(silent:serve { handler = handler, until_ = until_, deadline = 40 })
  end

  -- Serves until something of every program is here, and waits.
  local function wait_for_requests()
    serve(function() return "hold" end, function()
      local events = by_program(silent.requests)
      for who in pairs(started) do
        if not events[who] then
          return false
        end
      end
      return true
    end)
  end

  local function wait_for_line(line)
    serve(function() return "hold" end, function()
      for _, child in pairs(started) do
        if not child:stdout():find(line .. "\n", 1, true) then
          return false
        end
      end
      return true
    end)
  end

  local function answer()
    for _, peer in ipairs(silent.connections) do
      if peer.busy then
        peer.busy = false
        peer:respond(200, nil, '{"success":true}')
      end
    end
    serve(function() return 200, nil, '{"success":true}' end, all_ended)
  end

  local function interrupt()
    for _, child in pairs(started) do
      child:kill("INT")
    end
  end

  -- Each interpreter ends with its own error, before the next line of the
  -- program, and delivers what it has.
  local function assert_interrupted(count)
    assert_each("1 interrupted", function(child)
      local result = child:wait()
      local quiet = not result.stderr:find "not delivered"
        and not result.stdout:find "after"
      return result.status .. (quiet and " " or " too late ")
        .. (result.stderr:match "interrupted" or result.stderr)
    end)
    assert_delivered(count, silent.requests)
  end

  local function check_loop(loop)
    start('capture(50)\ntell "busy"\n' .. loop)
    wait_for_line "busy"
    interrupt()
    answer()
    assert_interrupted(50)
  end

  -- `code` tells that it is busy and waits for an answer that comes after the
  -- interrupt.
  local function check_waiting(code, count)
    start(code)
    wait_for_line "busy"
    wait_for_requests()
    interrupt()
    answer()
    assert_interrupted(count)
  end

  it("ends a busy loop, and what is queued is delivered", function()
    -- LuaJIT does not look for it in a loop that it has compiled.
    check_loop 'while true do os.getenv "HOME" end'
  end)

  it("ends a loop that pumps", function()
    check_loop "while true do client:pump(0.1) end"
  end)

  it("ends a program behind its flush", function()
    check_waiting('capture(50) tell "busy" client:flush(30)', 50)
  end)

  it("ends a program behind the answer that it waits for", function()
    check_waiting([[
      capture(10)
      tell "busy"
      client.events.capture(event "w", { wait = true })
    ]], 11)
  end)

  it("ends a program behind a future", function()
    check_waiting([[
      local future = client.events.capture(event "f", { future = true })
      capture(10)
      tell "busy"
      future:get()
    ]], 11)
  end)

  it("ends a program behind a future that is given a time", function()
    check_waiting([[
      local future = client.events.capture(event "f", { future = true })
      capture(10)
      tell "busy"
      future:get(30)
    ]], 11)
  end)

  local function assert_killed(said)
    assert_each("2 " .. (said or ""), function(child)
      local result = child:wait()
      return tostring(result.signal) .. " " .. result.stdout
    end)
  end

  it("kills when it comes a second time, as without the module", function()
    start "capture(1) client:flush(60)"
    wait_for_requests()
    -- Two that come at once are one to the system.
    serve(function() return "hold" end, function()
      interrupt()
      return all_ended()
    end)
    assert_killed()
  end)

  it("kills a program that delivers at its end", function()
    -- What is collected last tells when the interpreter has done with Ctrl-C.
    start_all([[
      options.exit_timeout = 60
      seerstack.new(options).events.capture(event "n1")
      local function ending() tell "ending" end
      if newproxy then
        last = newproxy(true)
        getmetatable(last).__gc = ending
      else
        last = setmetatable({}, { __gc = ending })
      end
    ]], { SEERSTACK_BASE_URL = silent.url })
    wait_for_requests()
    wait_for_line "ending"
    interrupt()
    serve(function() return "hold" end, all_ended)
    assert_killed "ending\n"
  end)
end)

describe("a child", function()
  -- What the child and its parent have open. Besides connections, libcurl
  -- has a pair of sockets that lead nowhere.
  local LOOK = "ls -l /proc/self/fd; echo =; ls -l /proc/$PPID/fd; echo =; "
    .. "cat /proc/$PPID/net/tcp /proc/$PPID/net/tcp6"

  -- Looks until connections are open, while answers are waited for.
  local function check(look)
    server:config { delay = 1 }
    start_all(([[
      local command = %q
      local function look()
        %s
      end
      capture(16)
      client:pump(0.1)
      local text, sockets
      repeat
        text = look()
        sockets = select(2, text:match("=(.*)="):gsub("socket:", ""))
      until sockets > 2 or client:stats().pending == 0
      print(text)
    ]]):format(LOOK, look))
    assert_ended_well()
    assert_each("0 of some", function(child)
      local own, parents, tcp =
        child:wait().stdout:match("(.-)\n=\n(.-)\n=\n(.*)")
      local open = #h.process.tcp_among(parents, tcp)
      return #h.process.tcp_among(own, tcp) .. " of "
        .. (open > 0 and "some" or "none")
    end)
    assert_delivered(16)
  end

  it("of io.popen inherits no connection", function()
    check [[
      local pipe = io.popen(command)
      local text = pipe:read "*a"
      pipe:close()
      return text
    ]]
  end)

  it("of os.execute inherits no connection", function()
    check [[
      local name = os.tmpname()
      os.execute("(" .. command .. ") >" .. name)
      local text = assert(io.open(name)):read "*a"
      os.remove(name)
      return text
    ]]
  end)
end)

describe("os.setlocale", function()
  local directory

  setup(function()
    directory = h.shell.temporary_directory "locale"
    assert.equal(0, h.shell.run("localedef -i de_DE -f UTF-8 "
      .. h.shell.quote(directory .. "/de_DE.UTF-8")))
  end)

  teardown(function()
    h.shell.remove(directory)
  end)

  -- In a locale that writes 1,5: also for what the program makes of strings.
  local GERMAN = [[
    local before = client
    assert(os.setlocale "de_DE.UTF-8" == "de_DE.UTF-8")
    local after = seerstack.new(options)
  ]]

  it("changes nothing in the numbers that are sent", function()
    run_all(GERMAN .. [[
      for i, one in ipairs { before, after } do
        assert(one.events.capture(event("n" .. i, {
          half = 0.5, tiny = 1e-7, price = 19.99, huge = 1.5e300,
          third = 1 / 3, whole = 2^53, list = { 1.25, -0.75 },
          [2.5] = "key",
        })))
        assert(one:flush(20))
      end
      assert(os.setlocale(nil) == "de_DE.UTF-8")
    ]], { LOCPATH = directory })
    assert_delivered(2)
    for who, events in pairs(by_program(server:events())) do
      for _, event in ipairs(events) do
        for _, text in ipairs {
          '"half":0.5[,}]', '"tiny":1e%-0?7[,}]', '"price":19.99[,}]',
          '"huge":1.5e%+300[,}]', '"third":0.3333333333333333[,}]',
          '"whole":9007199254740992[,}]', '"list":%[1.25,%-0.75%]',
          '"2.5":"key"',
        } do
          assert.is_truthy(event.json:find(text), who .. ": " .. event.json)
        end
      end
    end
  end)

  it("changes nothing in the times of options and events", function()
    run_all(GERMAN .. [[
      after = after:with_options { timeout = 10.5, headers = { ["X-N"] = 1.5 },
        query = { q = 0.25 } }
      local sent = event "n1"
      sent.timestamp = 1700000000.125
      assert(after.events.capture(sent))
      assert(after:flush(20.5))
    ]], { LOCPATH = directory })
    assert_delivered(1)
    for _, request in ipairs(server:events()) do
      assert.equal("2023-11-14T22:13:20.125Z",
        cjson.decode(request.body).timestamp)
      assert.equal("1.5", request.headers["x-n"])
      assert.equal("q=0.25", request.query)
    end
  end)

  it("changes nothing in what is read from an answer", function()
    local fractions = h.server.new()
    start_all(GERMAN .. [[
      for i, one in ipairs { before, after } do
        local response = assert(one.events.capture(event("n" .. i),
          { wait = true }))
        assert(response.half * 2 == 1)
      end
    ]], { LOCPATH = directory, SEERSTACK_BASE_URL = fractions.url })
    fractions:serve {
      handler = function() return 200, nil, '{"success":true,"half":0.5}' end,
      until_ = all_ended,
      deadline = 30,
    }
    fractions:close()
    assert_ended_well()
  end)
end)
