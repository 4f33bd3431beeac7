local h = require "spec.helper"

local x = h.exchange()
local messages

-- Gives the exchange a client whose logger keeps its calls in `messages`.
local function listen(options)
  local all = h.merge({
    api_key = x.key, max_in_flight = 1, logger = function(...)
      messages[#messages + 1] = { n = select("#", ...), ... }
    end,
  }, options)
  messages = {}
  x:use(all)
  return x.client
end

-- "level: text" of what the logger hears now, a list.
local function hear()
  messages = {}
  local calls = x.client:poll()
  local lines = {}
  for i, message in ipairs(messages) do
    lines[i] = message[1] .. ": "
      .. message[2]:gsub("the event '[^']+'", "the event 'a'")
  end
  assert.equal(calls, #lines)
  return lines
end

local LOST = "the event 'a' to /capture is lost"

local function told(what, status, rest)
  return ("%s %s: %d because %d; %s"):format(what, x.url, status, status,
    rest or "events are kept and sent later")
end

local function because(...)
  local answers = {}
  for i, status in ipairs { ... } do
    answers[i] = { status, { ["Retry-After-Ms"] = "1" },
      status ~= 200 and "because " .. status or "{}" }
  end
  return h.sequence(answers)
end

describe("logger", function()
  it("gets level, message and fields", function()
    listen()
    x:capture "a"
    x:settle(because(401, 401, 401))
    assert.same({}, messages)
    assert.equal(1, x.client:poll())
    assert.same({ { n = 3, "warn", told("warn: refused by", 401):sub(7),
      { url = x.url, status = 401, attempt = 1 } } }, messages)
    assert.equal(0, x.client:poll())
  end)

  it("gets the number of the attempt", function()
    listen { max_retries = 3 }
    x:capture "a"
    x:settle(because(409, 409, 409, 409))
    messages = {}
    x.client:poll()
    assert.same({
      { n = 3, "warn", told("trouble at", 409),
        { url = x.url, status = 409, attempt = 1 } },
      { n = 3, "error", told("event rejected by", 409, LOST),
        { url = x.url, status = 409, attempt = 4 } },
    }, messages)
  end)

  it("gets no status when there was no answer", function()
    listen()
    x:capture "a"
    x:settle(h.sequence { { "reset" } })
    x.client:poll()
    assert.equal(1, #messages)
    assert.equal("warn", messages[1][1])
    assert.matches("^no answer from " .. x.url:gsub("%p", "%%%0") .. ": .+; "
      .. "events are kept and sent later$", messages[1][2])
    assert.same({ url = x.url, attempt = 1 }, messages[1][3])
  end)

  it("hears of each kind of trouble once", function()
    listen()
    x:capture_many(100)
    x:settle(because(401, 429, 500, 503, 400, 422, 401, 429, 500, 400))
    assert.same({
      "warn: " .. told("refused by", 401),
      "warn: " .. told("rate limited by", 429),
      "warn: " .. told("trouble at", 500),
      "error: " .. told("event rejected by", 400, LOST),
    }, hear())
  end)

  it("hears of its own client's trouble, and of no other's", function()
    local first = listen()
    local heard = {}
    local second = first:with_options { logger = function(_, message)
      heard[#heard + 1] = message
    end }
    local silent = first:with_options { logger = false, log_level = "off" }
    for _, client in ipairs { first, second, silent } do
      x.client = client
      x:capture "a"
      x:settle(because(400))
    end
    local line = told("event rejected by", 400, LOST)
    assert.equal(0, silent:poll())
    assert.equal(1, second:poll())
    assert.same({ line }, heard)
    assert.same({}, messages)
    assert.equal(1, first:poll())
    assert.equal(line, messages[1][2])
  end)

  it("hears what the level says", function()
    local expected = {
      { "info", "version 0.1.0, sending to " .. x.url },
      { "warn", told("refused by", 401) },
      { "info", "delivering again to " .. x.url },
      { "error", told("event rejected by", 400, LOST) },
    }
    local ranks = { off = 0, error = 1, warn = 2, info = 3 }
    for level, rank in pairs(ranks) do
      listen { log_level = level, api_key = h.key() }
      x:capture "a"
      x:settle(because(401))
      x:capture "b"
      x:settle(because(400))
      local lines = {}
      for _, line in ipairs(expected) do
        if ranks[line[1]] <= rank then
          lines[#lines + 1] = line[1] .. ": " .. line[2]
        end
      end
      assert.same(lines, hear())
    end
  end)

  -- Nothing else is sent until the result, a function, is called. It is for
  -- a request that does not become too old.
  local function block()
    local held
    local future = x:ask("flying")
    x:serve_requests(1, function(_, peer)
      held = peer
      return "hold"
    end)
    return function()
      assert.is_false(future:done())
      held:respond(200, nil, "{}")
      held:close()
      x:settle()
    end
  end

  it("hears of events that were displaced", function()
    listen { overflow = "drop_oldest", max_queue_events = 2,
      log_level = "error" }
    local release = block()
    x:capture_many(4)
    assert.same({ "error: 3 events were dropped: the queue was full" },
      hear())
    assert.same({ url = x.url }, messages[1][3])
    x:capture_many(4)
    assert.same({}, hear())
    release()
  end)

  it("hears of events that were too old", function()
    listen { max_age = 0.05, log_level = "error" }
    local release = block()
    x:capture "old"
    x:serve(nil, function()
      return x.client:stats().dropped_by.expired == 1
    end)
    assert.same({ "error: 1 event was dropped: older than max_age" },
      hear())
    assert.same({ url = x.url }, messages[1][3])
    release()
  end)

  it("hears of no drops with the level off", function()
    listen { overflow = "drop_oldest", max_queue_events = 2,
      log_level = "off" }
    local release = block()
    x:capture_many(10)
    assert.equal(9, h.adds_up(x.client).dropped_by.displaced)
    assert.same({}, hear())
    release()
  end)

  it("is called where on_error is, before it", function()
    local order = {}
    listen { logger = function(level) order[#order + 1] = level end,
      on_error = function(err) order[#order + 1] = err.status end }
    local function lose()
      order = {}
      x:capture "a"
      x:settle(because(400, 500))
    end
    lose()
    assert.same({}, order)
    assert.is_true(x.client:flush(0))
    assert.same({ "error", 400 }, order)
    x:capture "b"
    x:settle(because(500))
    x.client:close(0)
    assert.same({ "error", 400, "warn" }, order)
  end)

  it("can be given false, and gets what is told otherwise", function()
    assert.is_false((pcall(listen, { logger = 5 })))
    local child = x:child({ code = [[
      local client = seerstack.new {
        logger = print, log_level = "info",
      }:with_options { logger = false }
      client.events.capture { name = "a.b" }
      print(client:flush(10), client:poll())
    ]] }, because(400))
    assert.equal("true\t0\n", child.stdout)
    assert.equal("seerstack: info: version 0.1.0, sending to " .. x.url
      .. "\nseerstack: error: " .. told("event rejected by", 400,
      "the event 'a.b' to /capture is lost") .. "\n", child.stderr)
  end)

  it("is told that the base URL is plain http", function()
    local child = x:child { code = [[
      seerstack.new {
        base_url = "http://api.example.invalid", logger = function(...)
          print((select(3, ...)).url, ...)
        end,
      }:poll()
    ]] }
    assert.matches("^http://api%.example%.invalid\twarn\t"
      .. "base_url is plain http: [^\n]*\n$", child.stdout)
    assert.equal("", child.stderr)
  end)

  it("takes the place of the standard error, but for the end", function()
    local child = x:child({ code = [[
      local count = 0
      local function new(options)
        options.logger = function() count = count + 1 end
        options.log_level, options.exit_timeout = "debug", 0
        options.initial_retry_delay, options.max_retry_delay = 0.01, 0.02
        return seerstack.new(options)
      end
      local client = new { max_in_flight = 1 }
      for _, status in ipairs { 400, 401, 500 } do
        client.events.capture { name = "s" .. status }
        client:flush(10)
      end
      local full = new { overflow = "drop_oldest", max_queue_events = 1 }
      for _ = 1, 5 do full.events.capture { name = "a" } end
      full:flush(10)
      local bad = new {}
      bad.events.capture { name = "bad" }
      while not bad:stats().last_error do socket.sleep(0.002) end
      bad:poll()
      print(count > 10)
    ]] }, function(request)
      local name = h.body_of(request).name
      local status = tonumber(name:match "%d+") or name == "bad" and 500
      if status and #x.requests < 4 or name == "bad" then
        return status, nil, "no"
      end
      return h.ok()
    end)
    assert.equal("true\n", child.stdout)
    assert.matches("^seerstack: error: 1 event was not delivered before "
      .. "exit: [^\n]*\n$", child.stderr)
  end)

  it("that raises is told of once, and hears the rest", function()
    local child = x:child({ code = [[
      local client = seerstack.new {
        max_in_flight = 1, initial_retry_delay = 0.001,
        logger = function(level)
          io.stdout:write(level, " ")
          error("my\nreason", 0)
        end, on_error = function() io.stdout:write "lost " end,
      }
      client.events.capture { name = "a" }
      client.events.capture { name = "b" }
      print(client:flush(10), client:poll())
      client.events.capture { name = "c" }
      print(client:flush(10))
    ]] }, because(500, 400, 400, 401))
    assert.equal("warn error lost lost true\t0\nwarn true\n",
      child.stdout)
    assert.equal("seerstack: warn: logger failed: my reason\n", child.stderr)
  end)

  it("that raises a value with a text is told of with that", function()
    local child = x:child({ code = [[
      local function fail(text)
        return function()
          error(setmetatable({}, { __tostring = function()
            return text or error "again"
          end }))
        end
      end
      local function try(name, f)
        local client = seerstack.new { [name] = f }
        client.events.capture { name = name == "on_delivered" and "a" or "" }
        assert(client:flush(10))
        client:poll()
      end
      try("logger", fail "mine")
      try("on_delivered", fail "my own")
      try("on_error", fail(nil))
    ]] }, because(200))
    assert.equal("", child.stdout)
    local said = {}
    for line in child.stderr:gmatch "[^\n]+ failed: [^\n]+" do
      said[#said + 1] = line:match "warn: (.*)"
    end
    assert.same({ "logger failed: mine", "on_delivered failed: my own",
      "on_error failed: table" }, said)
  end)

  it("that yields is told of, too", function()
    local child = x:child({ code = [[
      local client = seerstack.new {
        logger = function() coroutine.yield() end, log_level = "info",
      }
      coroutine.wrap(function() print(client:poll()) end)()
    ]] })
    assert.equal("1\n", child.stdout)
    assert.matches("^seerstack: warn: logger failed: [^\n]*yield[^\n]*\n$",
      child.stderr)
  end)

  it("keeps the newest 64 messages, and counts others as missed", function()
    local client = listen { log_level = "debug" }
    x:capture_many(50) -- 50 requests, 50 answers, and "version"
    x:settle()
    assert.equal(101 - 64, client:stats().missed)
    local lines = hear()
    assert.equal(64, #lines)
    for i = 1, 32 do
      assert.truthy(lines[2 * i - 1]:find('"name":"n' .. i + 18 .. '"', 1,
        true))
      assert.matches("^debug: 200 from ", lines[2 * i])
    end
  end)

  it("and on_error do not take each other's room", function()
    local lost = 0
    local client = listen { log_level = "debug", on_error = function()
      lost = lost + 1
    end }
    x:capture_many(64)
    x:settle(function() return 400 end)
    assert.equal(64 * 2 + 2 - 64, client:stats().missed)
    assert.equal(128, client:poll())
    assert.equal(64, lost)
    assert.equal(64, #messages)
  end)

  it("that nobody calls any more costs no memory", function()
    local answered = 0
    local child = x:child({ code = [[
      local function resident()
        local file = io.open "/proc/self/status"
        local text = file:read "*a"
        file:close()
        return tonumber(text:match "VmRSS:%s*(%d+)")
      end
      local watch = seerstack.new { rate_limit = false }
      local data = { text = ("x"):rep(3000) }
      local sent = 0
      local function capture_and_leave()
        local client = seerstack.new {
          logger = function() end, log_level = "debug", rate_limit = false,
        }
        for _ = 1, 40 do
          client.events.capture { name = "a", data = data }
          sent = sent + 1
        end
      end
      local function leave(times)
        for _ = 1, times do
          capture_and_leave()
          collectgarbage()
          collectgarbage()
          repeat
            local response = watch.events.capture({ name = "count" },
              { wait = true })
          until response.answered == sent
        end
      end
      leave(10)
      local before = resident()
      leave(40)
      print(resident() - before)
    ]] }, function(request)
      if request.body:find('"name":"count"', 1, true) then
        return 200, nil, '{"answered":' .. answered .. "}"
      end
      answered = answered + 1
      return h.ok()
    end)
    -- KiB; of some 3,200.
    local limit = os.getenv "SANITIZER" and 20000 or 1200
    assert.is_true(tonumber(child.stdout) < limit, child.stdout)
    assert.equal("", child.stderr)
  end)
end)
