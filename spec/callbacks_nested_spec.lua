-- What callbacks may do with the client that has called them, and with
-- others.

local h = require "spec.helper"

local x = h.exchange()

local function no()
  return 400, nil, "no"
end

-- Gives the exchange a client with a callback.
local function new(name, callback, options)
  local all = h.merge({ [name] = callback, log_level = "off" }, options)
  x:use(all)
  return x.client
end

-- Gives it one with before_send.
local function filter(before_send, options)
  return new("before_send", before_send, options)
end

-- Gives it one that has lost so many events, which on_error is to hear of.
local function lose(count, on_error, options)
  new("on_error", on_error, options)
  x:capture_many(count)
  x:settle(no)
end

local function assert_refused(path, results)
  assert.equal(3, results.n)
  assert.is_nil(results[1])
  assert.equal("before_send cannot send with the client that has called it",
    results[2])
  assert.equal("DroppedError", results[3].name)
  assert.equal(results[2], results[3].message)
  assert.equal(path, results[3].path)
end

-- Sends with a client in each of the ways there are; returns the results and
-- the paths.
local function send_all(client)
  local results, paths = {}, {}
  local function add(path, ...)
    results[#results + 1], paths[#paths + 1] = h.pack(...), path
  end
  for _, options in ipairs { {}, { wait = true }, { future = true } } do
    add("/capture", client.events.capture({ name = "in.capture" }, options))
    add("/identify", client.users.identify({ user_id = "in" }, options))
    add("/p", client:post("/p", { x = "in" }, options))
    add("/p", client:post("/p", nil, options))
  end
  return results, paths
end

describe("inside before_send", function()
  it("the same client cannot send", function()
    local results, paths
    filter(function(event)
      results, paths = send_all(x.client)
      return event
    end)
    for _, send in ipairs {
      function() x:capture "a.b" end, function() x:identify("u", "U") end,
      function() assert(x.client:post("/q", { name = "a.b" })) end,
    } do
      results = nil
      send()
      assert.equal(12, #results)
      for i, result in ipairs(results) do
        assert_refused(paths[i], result)
      end
    end
    x:settle()
    assert.equal(3, #x.requests)
    h.assert_counts(x.client, { accepted = 3, delivered = 3 })
  end)

  it("it cannot do so from another coroutine either", function()
    local result
    filter(function(event)
      coroutine.wrap(function()
        result = h.pack(x.client.events.capture { name = "in" })
      end)()
      return event
    end)
    x:capture "a.b"
    assert_refused("/capture", result)
  end)

  it("it can send again when before_send has ended, however it did",
    function()
      local ends = {
        function(event) return event end, function() end,
        function() return 5 end, function() error "x" end,
        function(event) return coroutine.yield(event) end,
      }
      for i, final in ipairs(ends) do
        filter(function(event)
          return event.name == "again" and event or final(event)
        end)
        x.client.events.capture { name = "a.b" }
        x:capture "again"
        x:settle()
        h.assert_counts(x.client, {
          accepted = 2, delivered = i == 1 and 2 or 1,
        })
      end
    end)

  it("another client can send, even if it filters", function()
    local count = 0
    local other = x:new { before_send = function(event)
      count = count + 1
      return event
    end }
    filter(function(event)
      assert(other.events.capture { name = "in" })
      assert(other.users.identify { user_id = "in" })
      assert(other:post("/p", { x = "in" }))
      return event
    end)
    x:capture "a.b"
    x:settle()
    x:serve(nil, function() return other:stats().pending == 0 end)
    assert.equal(4, #x.requests)
    assert.equal(3, count)
    assert.equal(3, h.adds_up(other).delivered)
    assert.equal(1, h.adds_up(x.client).delivered)
  end)

  it("two clients that send with each other come to an end", function()
    local clients, messages = {}, {}
    local function send_with(other)
      return function(event)
        local _, message = clients[other].events.capture { name = "in" }
        messages[#messages + 1] = message
        return event
      end
    end
    clients.first = filter(send_with "second")
    clients.second = x:new { before_send = send_with "first" }
    x:capture "a.b"
    assert.same(
      { "before_send cannot send with the client that has called it" },
      messages)
    x:settle()
    assert.equal(1, clients.first:stats().accepted)
    assert.equal(1, clients.second:stats().accepted)
  end)

  it("flush, poll and stats work", function()
    local flushed, polled, stats, name
    filter(function(event)
      if event.name == "last" then
        flushed, polled = h.pack(x.client:flush(5)), h.pack(x.client:poll())
        stats, name = x.client:stats(), tostring(x.client)
      end
      return event
    end)
    x:capture "a.b"
    x:settle()
    x:capture "last"
    assert.same({ n = 1, true }, flushed)
    assert.same({ n = 1, 0 }, polled)
    assert.equal(1, stats.delivered)
    assert.equal(1, stats.accepted)
    assert.equal("seerstack.client (" .. x.url .. ")", name)
    assert.equal(2, x:settle().delivered)
  end)

  it("close works, and the event comes too late", function()
    for _, result in ipairs { { name = "a.b" }, false, "wrong" } do
      for _, options in ipairs { {}, { wait = true }, { future = true } } do
        local closed
        filter(function()
          closed = h.pack(x.client:close(5))
          return result or nil
        end)
        local nothing, message, err = x.client.events.capture(
          { name = "a.b" }, options)
        assert.same({ n = 1, true }, closed)
        assert.is_nil(nothing)
        assert.equal("client is closed", message)
        assert.equal("ClosedError", err.name)
        assert.equal(0, h.adds_up(x.client).accepted)
      end
    end
    assert.equal(0, #x.requests)
  end)

  it("poll may call on_error, which may not send", function()
    local result, filtered
    new("before_send", function(event)
      filtered = event.name == "last" and x.client:poll() or filtered
      return event
    end, { on_error = function()
      result = h.pack(x.client.events.capture { name = "in" })
    end })
    x:capture "a.b"
    x:settle(no)
    x:capture "last"
    assert.equal(1, filtered)
    assert_refused("/capture", result)
  end)

  it("the default client cannot be sent with, if it is the one", function()
    local child = x:child { code = [[
      seerstack.configure { before_send = function(event)
        for _, send in ipairs { seerstack.capture, seerstack.identify } do
          print(select(3, send { name = "in", user_id = "u" }).name)
        end
        print(select(3, seerstack.post("/p", {})).name)
        print(seerstack.flush(5), seerstack.poll())
        return event
      end }
      print(seerstack.capture { name = "a.b" })
    ]] }
    assert.equal(("DroppedError\n"):rep(3) .. "true\t0\ntrue\n",
      child.stdout)
    assert.same({ "a.b" }, x:names())
  end)
end)

describe("inside on_error", function()
  it("the event may be captured again", function()
    local times = 0
    lose(3, function(_, event)
      times = times + 1
      assert(x.client.events.capture(event))
    end)
    assert.equal(3, x.client:poll())
    assert.equal(2, x:settle(h.sequence { { 400 } }).delivered)
    assert.equal(1, x.client:poll())
    x:settle()
    assert.equal(0, x.client:poll())
    assert.equal(4, times)
    h.assert_counts(x.client, { accepted = 7, delivered = 3, rejected = 4 })
  end)

  it("an event that displaces the next does not keep poll for ever",
    function()
      local calls = 0
      new("on_error", function(_, event)
        calls = calls + 1
        assert(x.client.events.capture(event))
      end, { overflow = "drop_oldest", max_queue_events = 2,
        max_in_flight = 1, max_retry_delay = 40, initial_retry_delay = 40 })
      x:capture "first"
      x:serve_requests(1, function() return "hold" end)
      x:capture_many(3)
      assert.equal(2, x.client:stats().dropped_by.displaced)
      assert.equal(calls, 0)
      local made = x.client:poll()
      assert.equal(made, calls)
      assert.is_true(made >= 2)
      assert.equal(2, h.adds_up(x.client).pending)
    end)

  it("poll, flush, close and get make no further calls", function()
    local depth, deepest, nested = 0, 0, {}
    local future
    lose(2, function()
      depth = depth + 1
      deepest = math.max(depth, deepest)
      nested[#nested + 1] = h.pack(x.client:poll())
      nested[#nested + 1] = h.pack(x.client:flush(0))
      nested[#nested + 1] = h.pack(select(3, future:get(0)).name)
      nested[#nested + 1] = h.pack(x.client:close(0))
      depth = depth - 1
    end)
    future = x:ask("f")
    assert.equal(2, x.client:poll())
    assert.equal(1, deepest)
    assert.equal(8, #nested)
    assert.same({ n = 1, 0 }, nested[1])
    assert.equal("TimeoutError", nested[2][3].name)
    assert.same({ n = 1, "TimeoutError" }, nested[3])
    assert.equal("TimeoutError", nested[4][3].name)
    assert.same({ n = 1, true }, nested[8])
  end)

  it("close works, and the other losses are told", function()
    local closed, after
    local calls = 0
    lose(3, function()
      calls = calls + 1
      closed = closed or h.pack(x.client:close(5))
      after = h.pack(x.client.events.capture { name = "late" })
    end)
    assert.equal(3, x.client:poll())
    assert.equal(3, calls)
    assert.same({ n = 1, true }, closed)
    assert.equal("ClosedError", after[3].name)
  end)

  it("a call may wait for its answer", function()
    local child = x:child({ code = [[
      local client
      client = seerstack.new {
        log_level = "off", on_error = function(err, event)
          print("lost", event.name, err.status)
          local response, http = client.events.capture(
            { name = "again" }, { wait = true })
          print(response.success, http.status)
        end,
      }
      client.events.capture { name = "a" }
      client.events.capture { name = "b" }
      print(client:flush(10), client:poll())
    ]] }, function(request)
      if h.body_of(request).name == "again" then
        return h.ok()
      end
      return 400
    end)
    local again = "true\t200\n"
    local calls = { "lost\ta\t400\n" .. again, "lost\tb\t400\n" .. again }
    assert.truthy(child.stdout == calls[1] .. calls[2] .. "true\t0\n"
      or child.stdout == calls[2] .. calls[1] .. "true\t0\n", child.stdout)
  end)

  it("other clients make their own calls", function()
    local heard = 0
    local other = x:new { on_error = function()
      heard = heard + 1
    end }
    other.events.capture { name = "other" }
    local polled
    lose(1, function() polled = other:poll() end)
    x:serve(no, function() return other:stats().pending == 0 end)
    assert.equal(1, x.client:poll())
    assert.equal(1, polled)
    assert.equal(1, heard)
  end)
end)

describe("a client whose finalizer is called inside", function()
  local function run(name, code, options, rest)
    return x:child({ code = [[
      local client
      local function describe(result, message, err)
        print(tostring(result), type(err) == "table" and err.name or err)
      end
      client = seerstack.new { ]] .. name .. [[ = function(...)
        getmetatable(client).__gc(client)
        ]] .. code .. [[
      end, exit_timeout = 0, ]] .. (options or "") .. [[ }
      local events = client.events
      ]] .. rest .. [[
      describe(events.capture { name = "a.b" })
      print(tostring(client), client:poll())
    ]] }, function(request)
      if request.body:find "kept" then
        return "hold"
      end
      return no()
    end).stdout
  end

  local CLOSED = "nil\tClosedError\nseerstack.client (closed)\t0\n"

  it("before_send sends nothing more, whatever that returns", function()
    for _, code in ipairs {
      "return ...", "return nil", "return 5", "error 'x'",
    } do
      for _, options in ipairs { "", "test_mode = true", "wait = true" } do
        assert.equal("nil\tClosedError\n" .. CLOSED,
          run("before_send", code, options,
            'describe(events.capture { name = "a.b" })'), code)
      end
    end
    assert.equal(0, #x.requests)
  end)

  for _, name in ipairs { "on_error", "logger" } do
    it(name .. " makes no calls any more", function()
      for _, code in ipairs { "return", "error 'x'" } do
        assert.equal("true\tnil\ntrue\tnil\n" .. CLOSED,
          run(name, code, "", [[
            describe(events.capture { name = "a.b" })
            describe(client:flush(10))
          ]]), code)
      end
    end)

    it(name .. " lets nobody wait for it", function()
      local function wait(call)
        return run(name, "return", "", [[
          events.capture { name = "a.b" }
          while client:stats().rejected == 0 do
            require "socket".sleep(0.002)
          end
          local future = events.capture({ name = "kept" },
            { future = true })
          describe(]] .. call .. [[)
        ]])
      end
      for _, call in ipairs {
        "client:flush(0)", "client:close(0)", "future:get(0)",
      } do
        assert.matches("^nil\t%u%a+Error\n", wait(call), 1, false, call)
      end
      assert.equal("nil\tAPITimeoutError\n" .. CLOSED,
        wait [[events.capture({ name = "kept" },
          { wait = true, timeout = 0.05, max_retries = 0 })]])
    end)
  end
end)
