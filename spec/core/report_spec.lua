-- What clients without a logger write to the standard error.

local h = require "spec.helper"

local x = h.exchange()

-- For programs: new(options) makes a client that sends one event at a time
-- and soon again; run(name) captures an event and waits for its end;
-- try(name) waits until something has been wrong with it.
local PREAMBLE = [[
  local function new(options)
    local all = {
      initial_retry_delay = 0.005, max_retry_delay = 0.01, max_in_flight = 1,
      exit_timeout = 0, rate_limit = false,
    }
    for name, value in pairs(options or {}) do
      all[name] = value
    end
    return seerstack.new(all)
  end
  local function run(client, name)
    assert(client.events.capture { name = name })
    assert(client:flush(20))
  end
  local function wait_for(condition)
    while not condition() do
      socket.sleep(0.002)
    end
  end
  local function try(client, name)
    assert(client.events.capture { name = name or "a.b" })
    wait_for(function() return client:stats().last_error end)
  end
]]

-- The lines that a program writes to the standard error, without what
-- differs from one run to the next.
local function lines_of(code, handler, env)
  local child = x:child({ code = PREAMBLE .. code, env = env }, handler)
  local lines = {}
  for line in child.stderr:gmatch "[^\n]*\n" do
    local rest = line:match "^seerstack: ([^\n]*)\n$"
    lines[#lines + 1] = (rest or line):gsub("http://127%.0%.0%.1:%d+", "URL")
  end
  return lines, child
end

-- Answers by the names of events: the first request of each gets the status
-- in it.
local function by_name()
  local seen = {}
  return function(request)
    local name = h.body_of(request).name
    local status = tonumber(name:match "%d+")
    if seen[name] or not status then
      return h.ok()
    end
    seen[name] = true
    return status, nil, "because " .. status
  end
end

local MADE = "info: version 0.1.0, sending to URL"
local REFUSED = "warn: refused by URL: 401 because 401; "
  .. "events are kept and sent later"
local AGAIN = "info: delivering again to URL"
local REJECTED = "error: event rejected by URL: 400 because 400; "
  .. "the event 's400' to /capture is lost"

local ALL = [[
  local client = new()
  run(client, "s401")
  run(client, "s400")
  run(client, "fine")
]]

describe("log_level", function()
  local EXPECTED = {
    off = {},
    error = { REJECTED },
    warn = { REFUSED, REJECTED },
    info = { MADE, REFUSED, AGAIN, REJECTED },
  }

  for level, expected in pairs(EXPECTED) do
    it(level .. " decides what is told", function()
      local code = ALL:gsub("%(%)", "{ log_level = '" .. level .. "' }")
      assert.same(expected, (lines_of(code, by_name())))
    end)

    it(level .. " may come from the environment", function()
      assert.same(expected, (lines_of(ALL, by_name(),
        { SEERSTACK_LOG = level })))
    end)
  end

  it("debug tells each request and each answer besides", function()
    local lines = lines_of(ALL, by_name(), { SEERSTACK_LOG = "debug" })
    local rest, debug = {}, {}
    for _, line in ipairs(lines) do
      local text = line:match "^debug: (.*)$"
      table.insert(text and debug or rest, text or line)
    end
    assert.same(EXPECTED.info, rest)
    assert.equal(8, #debug)
    for i, status in ipairs { 401, 200, 400, 200 } do
      assert.matches("^POST URL/capture; ", debug[2 * i - 1])
      assert.matches("^" .. status .. " from URL/capture after %d+ ms; ",
        debug[2 * i])
    end
  end)

  it("is warn by default", function()
    assert.same(EXPECTED.warn, (lines_of(ALL, by_name(),
      { SEERSTACK_LOG = false })))
  end)

  it("as an option overrules the environment", function()
    local code = ALL:gsub("%(%)", "{ log_level = 'error' }")
    assert.same(EXPECTED.error, (lines_of(code, by_name(),
      { SEERSTACK_LOG = "debug" })))
  end)

  it("in the environment may be wrong, which is told once", function()
    assert.same({ "warn: SEERSTACK_LOG is no level: loud; it counts as warn",
      REFUSED, REJECTED, }, (lines_of("new() new()" .. ALL, by_name(),
      { SEERSTACK_LOG = "loud" })))
  end)

  it("decides about a missing key, too", function()
    local function errors(level)
      return h.script.run { code = [[
        print(seerstack.capture { name = "a.b" })
        print(seerstack.capture { name = "a.b" })
      ]], env = {
        LUA_PATH = package.path, LUA_CPATH = package.cpath,
        SEERSTACK_API_KEY = false, SEERSTACK_LOG = level,
      } }.stderr
    end
    for _, level in ipairs { false, "warn", "info", "debug" } do
      assert.matches("^seerstack: warn: nothing is sent: [^\n]*"
        .. "SEERSTACK_API_KEY[^\n]*\n$", errors(level))
    end
    for _, level in ipairs { "error", "off" } do
      assert.equal("", errors(level))
    end
  end)
end)

describe("trouble", function()
  it("is told with what it is", function()
    local code = [[
      local gone = ...
      local client = new()
      for _, status in ipairs { 401, 429, 500, 400 } do
        run(client, "s" .. status)
      end
      local bound = socket.tcp() -- and not listening
      bound:bind("127.0.0.1", 0)
      local _, port = bound:getsockname()
      try(new { base_url = "http://127.0.0.1:" .. port })
      os.exit(0, true)
    ]]
    local lines = lines_of(code, by_name())
    local kept = "; events are kept and sent later"
    assert.equal(REFUSED, lines[1])
    assert.equal("warn: rate limited by URL: 429 because 429" .. kept,
      lines[2])
    assert.equal("warn: trouble at URL: 500 because 500" .. kept, lines[3])
    assert.equal(REJECTED, lines[4])
    assert.matches("^warn: no answer from URL: .*connect.*; "
      .. "events are kept and sent later$", lines[5])
    assert.matches("^error: 1 event was not delivered before exit: ",
      lines[6])
    assert.equal(6, #lines)
  end)

  it("is told once, not once per event", function()
    local lines = lines_of([[
      local client = new { max_in_flight = 8 }
      for i = 1, 100 do client.events.capture { name = "s400" } end
      assert(client:flush(20))
    ]], function() return 400, nil, "because 400" end)
    assert.equal(100, #x.requests)
    assert.same({ REJECTED }, lines)
  end)

  it("is told once, not once per attempt", function()
    local count = 0
    local lines = lines_of('run(new(), "n")', function()
      count = count + 1
      if count > 20 then
        return h.ok()
      end
      return 401, nil, "because 401"
    end)
    assert.equal(21, #x.requests)
    assert.same({ REFUSED }, lines)
  end)

  it("is summed up after five minutes", function()
    local directory = h.shell.temporary_directory "clock"
    local clock = directory .. "/clock"
    local lines = lines_of([[
      local function pass(seconds)
        local file = assert(io.open(os.getenv "SEER_CLOCK_FILE", "w"))
        file:write(seconds)
        file:close()
      end
      local client = new()
      for i = 1, 5 do run(client, "s400") end
      pass(290)
      run(client, "s400")
      pass(301)
      for i = 1, 3 do run(client, "s400") end
      pass(590)
      run(client, "s400")
      pass(602)
      run(client, "s400")
      pass(903)
      run(client, "s400")
    ]], function() return 400, nil, "because 400" end, {
      LD_PRELOAD = h.preload "wall_clock", SEER_CLOCK_FILE = clock,
      SEER_CLOCK_MONOTONIC = "1",
    })
    h.shell.remove(directory)
    assert.same({
      REJECTED,
      REJECTED .. " (5 more since the last report)",
      REJECTED .. " (3 more since the last report)",
      REJECTED,
    }, lines)
  end)

  it("are that the rate limit has held events for a minute", function()
    local directory = h.shell.temporary_directory "clock"
    local lines = lines_of([[
      local client = new { rate_limit = 20, thread = false }
      for _ = 1, 60 do
        assert(client.events.capture { name = "a.b" })
      end
      for minute = 1, 3 do
        wait_for(function()
          client:pump(0.01)
          return client:stats().delivered == 19 * minute
        end)
        for _ = 1, 5 do -- and finds that the next may not go
          client:pump(0.01)
        end
        local file = assert(io.open(os.getenv "SEER_CLOCK_FILE", "w"))
        file:write(61 * minute)
        file:close()
      end
    ]], by_name(), {
      LD_PRELOAD = h.preload "wall_clock",
      SEER_CLOCK_FILE = directory .. "/clock", SEER_CLOCK_MONOTONIC = "1",
    })
    h.shell.remove(directory)
    assert.matches("^warn: the rate limit holds events to URL: %d+ wait, "
      .. "%d+ a minute come, 19 a minute may go; ", lines[1])
    -- The exit may have time for the last three events, or tell of them.
    for i = 2, #lines do
      assert.matches("before exit", lines[i])
    end
  end)

  it("is told once by the clients of an endpoint", function()
    assert.same({ REJECTED }, (lines_of([[
      local client = new()
      run(client, "s400")
      run(new(), "again400")
      run(client:with_options { headers = { ["X-A"] = 1 } }, "more400")
    ]], by_name())))
    assert.equal(3, #x.requests)
  end)

  it("is told once more by clients of other endpoints", function()
    assert.same({
      REJECTED, (REJECTED:gsub("s400", "again400")),
      (REJECTED:gsub("s400", "more400"):gsub("URL", "URL/p")),
    }, (lines_of([[
        local client = new()
        run(client, "s400")
        run(new { api_key = "sk_test_other" }, "again400")
        run(new { base_url = os.getenv "SEERSTACK_BASE_URL" .. "/p" },
          "more400")
      ]], by_name())))
  end)

  it("that a client does not want to hear of is told by the next", function()
    assert.same({ REFUSED }, (lines_of([[
      run(new { log_level = "error" }, "first401")
      run(new { log_level = "off" }, "second401")
      run(new(), "s401")
    ]], by_name())))
  end)

  it("is no news for who waits for the answer", function()
    local lines, child = lines_of([[
      local client = new { max_retries = 0 }
      for _, status in ipairs { 400, 401, 500 } do
        print((select(2, client.events.capture({ name = "s" .. status },
          { wait = true }))))
        print((select(2, client.events.capture({ name = "t" .. status },
          { future = true }):get())))
      end
    ]], by_name())
    assert.same({}, lines)
    assert.equal(("400 because 400\n"):rep(2) .. ("401 because 401\n"):rep(2)
      .. ("500 because 500\n"):rep(2), child.stdout)
  end)

  it("names the event's path and, if it has one, its name", function()
    local lines = lines_of([[
      local options = { api_key = "sk_test_named", exit_timeout = 10 }
      local client = new(options)
      client.events.capture { name = '"sk_test_named\\' .. ("n"):rep(99) }
      assert(client:flush(20))
      options.base_url = os.getenv "SEERSTACK_BASE_URL" .. "/p"
      client = new(options)
      client:post("/other?sk_test_named", { name = "x" })
      assert(client:flush(20))
    ]], function() return 400, nil, "because 400" end)
    assert.same({
      (REJECTED:gsub("s400", '\\"***\\\\' .. ("n"):rep(83))),
      (REJECTED:gsub("'s400' to /capture", "to /other?***"):gsub("URL",
        "URL/p")),
    }, lines)
  end)

  it("at the end for want of rate names what would have waited", function()
    assert.same({
      "error: 1 event was not delivered before exit: the rate limit allows "
        .. "no more in time; client:flush(seconds) before the end waits "
        .. "for it",
    }, (lines_of [[
      local client = new { rate_limit = 2, exit_timeout = 5 }
      client.events.capture { name = "a" }
      client.events.capture { name = "b" }
    ]]))
  end)

  it("does not break the line", function()
    local lines = lines_of('run(new(), "n")', function()
      return 400, nil, "one\r\ntwo\27[31m\0three\127" .. ("x"):rep(3000)
    end)
    assert.equal(1, #lines)
    assert.matches("^error: event rejected by URL: 400 one  two %[31m",
      lines[1])
    assert.is_nil(lines[1]:find "%c")
    assert.is_true(#lines[1] < 700)
  end)

  it("is over when an event is delivered again, which is told at info",
    function()
      local code = 'run(new { log_level = "info" }, "n")'
      assert.same({ MADE, REFUSED, AGAIN }, (lines_of(code,
        h.sequence { { 401, nil, "because 401" } })))
      assert.same({ MADE }, (lines_of(code)))
    end)
end)

describe("plain http", function()
  local WARNING = "warn: base_url is plain http: everybody on the way can "
    .. "read the key"

  it("to another machine is told once", function()
    assert.same({ WARNING }, (lines_of [[
      for i = 1, 3 do
        new { base_url = "http://api" .. i .. ".example.invalid" }
      end
    ]]))
  end)

  it("to this machine is not told, nor is https", function()
    assert.same({}, (lines_of [[
      for _, url in ipairs {
        "http://127.0.0.1", "http://127.1.2.3:80/p", "http://localhost",
        "http://[::1]:8080", "https://api.example.invalid",
      } do
        new { base_url = url }
      end
    ]]))
  end)

  it("is not told below warn", function()
    assert.same({}, (lines_of [[
      new { base_url = "http://a.example.invalid", log_level = "error" }
      new { base_url = "http://a.example.invalid", log_level = "off" }
    ]]))
  end)

  it("is told although a client came first that tells nothing", function()
    assert.same({ WARNING }, (lines_of [[
      new { base_url = "http://a.example.invalid", log_level = "off" }
      new { base_url = "http://a.example.invalid" }
    ]]))
  end)
end)

describe("dropped events", function()
  it("are told of once for each reason", function()
    local lines, child = lines_of([[
      local function send(options, count)
        options.initial_retry_delay, options.max_retry_delay = 40, 40
        local client = new(options)
        for i = 1, count do client.events.capture { name = "n" .. i } end
        return client
      end
      local count = 0
      for _, level in ipairs { "off", "error", "warn", "warn" } do
        local client = send({ log_level = level, max_queue_events = 2,
          overflow = "drop_oldest" }, 10)
        count = count + client:stats().dropped_by.displaced
        send({ log_level = level, max_age = 0.02 }, 10)
        client = send({ log_level = level, max_age = 0.02 }, 10)
        wait_for(function()
          return client:stats().dropped_by.expired >= 5
        end)
        client:close(0)
      end
      print(count)
    ]], function() return "hold" end)
    assert.is_true(tonumber(child.stdout) >= 24)
    local told = {}
    for _, line in ipairs(lines) do
      if not line:find "before exit" then
        told[#told + 1] = line
      end
    end
    assert.same({
      "error: events are dropped: the queue is full (see stats)",
      "error: events are dropped: older than max_age (see stats)",
    }, told)
  end)
end)

describe("the end of the process", function()
  it("tells of what was not delivered, unless the level is off", function()
    local function run(level)
      return (lines_of([[
        keep = new { log_level = "]] .. level .. [[",
          initial_retry_delay = 40, max_retry_delay = 40 }
        try(keep)
        keep.events.capture { name = "a.b" }
      ]], function() return 401, nil, "because 401" end))
    end
    local lost = "^error: 2 events were not delivered before exit: "
    local lines = run "error"
    assert.equal(1, #lines)
    assert.matches(lost, lines[1])
    lines = run "warn"
    assert.equal(2, #lines)
    assert.equal(REFUSED, lines[1])
    assert.matches(lost, lines[2])
    assert.same({}, run "off")
  end)
end)
