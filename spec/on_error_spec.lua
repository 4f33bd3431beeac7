local cjson = require "cjson"
local h = require "spec.helper"

local x = h.exchange()
local calls

-- Gives the exchange a client whose on_error keeps what it is told in
-- `calls`.
local function listen(options)
  local all = h.merge({
    log_level = "off", max_in_flight = 1, on_error = function(...)
      calls[#calls + 1] = { n = select("#", ...), ... }
    end,
  }, options)
  calls = {}
  x:use(all)
  return x.client
end

local function no()
  return 400, { ["X-Why"] = "because" }, '{"error":"no"}'
end

-- Has so many events rejected, which nobody hears of yet.
local function lose(count, handler)
  x:capture_many(count)
  x:settle(handler or no)
end

-- That on_error is called for one event, once, and no more.
local function hear_one()
  assert.equal(1, x.client:poll())
  assert.equal(1, #calls)
  assert.equal(0, x.client:poll())
  assert.equal(3, calls[1].n)
  return calls[1][1], calls[1][2], calls[1][3]
end

-- That a kind of event is given up after an answer, sent so many times.
local function assert_rejected(case)
  listen(case.options)
  local before = #x.requests
  case.send()
  x:settle(function()
    return case.status, case.headers or {}, case.body
  end)
  assert.equal(before + (case.requests or 1), #x.requests)
  assert.equal(1, h.adds_up(x.client).rejected)
  local err, event, json = hear_one()
  assert.equal(case.name, err.name)
  assert.equal(case.message, err.message)
  assert.equal(case.message, tostring(err))
  assert.equal(case.status, err.status)
  assert.equal(case.path or "/capture", err.path)
  assert.equal(json, x.requests[#x.requests].body)
  return err, event, json
end

local function capture_one()
  x:capture("a.b", { x = 1 })
end

describe("on_error", function()
  it("gets the error, the event and its text", function()
    local err, event, json = assert_rejected {
      send = function()
        assert(x.client.events.capture {
          name = "a.b", timestamp = "t", user_id = "u", data = { x = { 1 } },
        })
      end,
      status = 400, name = "BadRequestError", message = "400 not so",
      headers = { ["X-Why"] = "because" },
      body = '{"error":"not so","more":[1,2]}',
    }
    assert.same({ error = "not so", more = { 1, 2 } }, err.body)
    assert.equal("because", err.headers["x-why"])
    assert.same({
      name = "a.b", timestamp = "t", user_id = "u", data = { x = { 1 } },
    }, event)
    assert.same(event, cjson.decode(json))
  end)

  it("gets an error without a body, or with one that is no JSON", function()
    local err = assert_rejected { send = capture_one, status = 400,
      name = "BadRequestError", message = "400 status code (no body)" }
    assert.is_nil(err.body)
    err = assert_rejected { send = capture_one, status = 400, body = "<p>no",
      name = "BadRequestError", message = "400 <p>no" }
    assert.equal("<p>no", err.body)
  end)

  it("is told of each answer that rejects an event", function()
    for status, name in pairs {
      [400] = "BadRequestError", [422] = "UnprocessableEntityError",
      [406] = "APIStatusError", [410] = "APIStatusError",
      [413] = "APIStatusError", [415] = "APIStatusError",
    } do
      assert_rejected { send = capture_one, status = status, name = name,
        body = '{"error":"no"}', message = status .. " no" }
    end
  end)

  it("is told of an identify, too", function()
    local _, event = assert_rejected {
      send = function() x:identify("u", "U") end, path = "/identify",
      status = 422, name = "UnprocessableEntityError", message = "422 x",
      body = "x",
    }
    assert.same({ user_id = "u", name = "U" }, event)
  end)

  it("is told of a conflict when it is not tried again any more", function()
    local case = { send = capture_one, status = 409, name = "ConflictError",
      body = "again", message = "409 again", requests = 3 }
    assert_rejected(case)
    case.options, case.requests = { max_retries = 0 }, 1
    assert_rejected(case)
  end)

  it("is told of an answer that says not to try again", function()
    for status, name in pairs {
      [500] = "InternalServerError", [401] = "AuthenticationError",
      [429] = "RateLimitError", [409] = "ConflictError",
      [408] = "APIStatusError",
    } do
      local err = assert_rejected { send = capture_one, status = status,
        headers = { ["x-should-retry"] = "false" }, name = name,
        body = "no", message = status .. " no" }
      assert.equal("false", err.headers["x-should-retry"])
    end
  end)

  it("is told of a post whose path is wrong", function()
    for status, name in pairs {
      [403] = "PermissionDeniedError", [404] = "NotFoundError",
      [405] = "APIStatusError",
    } do
      local _, event = assert_rejected {
        send = function() assert(x.client:post("/p?a=1", { 1, "two" })) end,
        path = "/p?a=1", status = status, name = name,
        body = '{"error":"none"}', message = status .. " none",
      }
      assert.same({ 1, "two" }, event)
    end
  end)

  it("gets nil and an empty text for a post without a body", function()
    local _, event, json = assert_rejected {
      send = function() assert(x.client:post "/p") end, path = "/p",
      status = 404, name = "NotFoundError", body = "x", message = "404 x",
    }
    assert.is_nil(event)
    assert.equal("", json)
  end)

  it("gets a text that has all that was sent", function()
    local _, event, json = assert_rejected {
      send = function()
        assert(x.client.events.capture {
          name = "a.b", timestamp = "t", user_id = "76561197960287930",
          data = { z = "\195\169\0\"", n = 0.1 },
        })
      end,
      status = 400, body = "x", name = "BadRequestError", message = "400 x",
    }
    assert.equal("\195\169\0\"", event.data.z)
    assert.truthy(json:find('"user_id":"76561197960287930"', 1, true))
  end)

  it("is told of what is too old", function()
    listen { max_age = 0.05 }
    -- Nothing else is sent while this one has no answer.
    local future = x:ask("flying")
    x:serve_requests(1, function() return "hold" end)
    x:capture "old"
    x:serve(nil, function()
      return x.client:stats().dropped_by.expired == 1
    end)
    local err, event, json = hear_one()
    assert.equal("DroppedError", err.name)
    assert.equal("dropped: older than max_age", err.message)
    assert.equal(err.message, tostring(err))
    assert.equal("/capture", err.path)
    assert.is_nil(err.status)
    assert.is_nil(err.body)
    assert.equal("old", event.name)
    assert.same(event, cjson.decode(json))
    assert.equal(1, #x.requests)
    assert.equal(1, h.adds_up(x.client).pending)
    assert.is_false(future:done())
  end)

  it("is told of what newer events have displaced", function()
    listen { overflow = "drop_oldest", max_queue_events = 2 }
    x:capture "flying"
    x:serve_requests(1, function() return "hold" end)
    x:capture_many(3)
    assert.equal(2, h.adds_up(x.client).dropped_by.displaced)
    assert.equal(2, x.client:poll())
    for i, call in ipairs(calls) do
      assert.equal("DroppedError", call[1].name)
      assert.equal("dropped: displaced by newer events", call[1].message)
      assert.equal("n" .. i, call[2].name)
      assert.equal("n" .. i, cjson.decode(call[3]).name)
    end
    assert.equal(0, x.client:poll())
  end)

  it("is told, and what waited for that user's event is sent at once",
    function()
      -- In a program of its own, where nothing else wakes the sender.
      local result = x:child({ code = [[
        local client = seerstack.new {
          overflow = "drop_oldest", max_queue_events = 2, exit_timeout = 0,
          initial_retry_delay = 40, max_retry_delay = 40, log_level = "off",
          on_error = function(_, event) print(event.name) end,
        }
        local function wait_for(condition)
          local deadline = socket.gettime() + 10
          while not condition() and socket.gettime() < deadline do
            socket.sleep(0.01)
          end
        end
        client.users.identify { user_id = "u", name = "displaced" }
        wait_for(function() return client:stats().last_error end)
        socket.sleep(0.1) -- the sender is done with it
        client.users.identify { user_id = "u", name = "behind" }
        socket.sleep(0.1)
        client.events.capture { name = "c" }
        wait_for(function() return client:stats().pending == 0 end)
        client:poll()
        print(client:stats().delivered == 2)
      ]] }, h.sequence { { 500 } })
      assert.equal("displaced\ntrue\n", result.stdout)
      local names = x:names()
      table.sort(names)
      assert.same({ "behind", "c", "displaced" }, names)
    end)

  it("is not told of what is kept", function()
    for _, answer in ipairs {
      { 401 }, { 402 }, { 403 }, { 404 }, { 405 }, { 407 }, { 421 }, { 425 },
      { 408 }, { 429 }, { 500 }, { 503 }, { 302, { Location = "/x" } },
      { 307, { Location = "http://localhost:1/x" } }, { 308 }, { "reset" },
      { "close" }, { 400, { ["x-should-retry"] = "true" } },
    } do
      listen { initial_retry_delay = 40, max_retry_delay = 40 }
      x:capture "kept"
      x:serve(function() return h.answer(answer) end, function()
        return x.client:stats().last_error
      end)
      assert.equal(0, x.client:poll())
      assert.equal(1, h.adds_up(x.client).pending)
      x.client:close(0)
    end
    assert.same({}, calls)
  end)

  it("is not told of what is delivered, however odd the answer", function()
    listen()
    x:capture_many(4)
    x:settle(h.sequence { { 200, {}, "[" }, { 204 },
      { 200, {}, '{"success":false}' }, { 299 } })
    assert.equal(4, h.adds_up(x.client).delivered)
    assert.equal(0, x.client:poll())
    assert.same({}, calls)
  end)

  it("is not told of what was not accepted", function()
    listen { max_queue_events = 1, before_send = function(event)
      return event.name ~= "drop" and event or nil
    end }
    assert.is_true((x.client.events.capture { name = "drop" }))
    x:capture "a"
    assert.is_nil((x.client.events.capture { name = "b" }))
    x:settle()
    assert.equal(0, x.client:poll())
    assert.same({}, calls)
  end)

  it("is told of what cannot be sent, unless the call waits", function()
    local client, event = listen(), { name = "a.b", data = { f = print } }
    assert.is_nil((client.events.capture(event, { wait = true })))
    assert.is_nil((client.events.capture(event, { future = true })))
    assert.equal(0, client:poll())
    local _, message, err = client.events.capture(event)
    assert.is_nil((client:post("/\195\164", { 1 })))
    assert.same({}, calls)
    assert.equal(2, client:poll())
    assert.same({ n = 2, err, event }, calls[1])
    assert.equal(event, calls[1][2])
    assert.equal("data.f: a function cannot be sent", message)
    assert.same({ name = "ValidationError", message = message,
      path = "/capture" }, { name = err.name, message = err.message,
      path = err.path })
    assert.same({ 1 }, calls[2][2])
    assert.equal("/\195\164", calls[2][1].path)
    assert.equal(0, client:poll())
    assert.equal(0, h.adds_up(client).accepted)
  end)

  it("is told of the newest 64 of these, and the others are counted",
    function()
      local client = listen()
      for i = 1, 70 do
        assert.is_nil((client.events.capture { name = "", n = i }))
      end
      assert.same({ 70, 6 },
        { client:stats().invalid, client:stats().missed })
      assert.equal(64, client:poll())
      assert.same({ 7, 70 }, { calls[1][2].n, calls[64][2].n })
      assert.is_nil((client.events.capture { name = "", n = 71 }))
      assert.equal(1, client:poll())
      assert.equal(71, calls[65][2].n)
    end)

  it("may fail about what cannot be sent", function()
    local child = x:child({ code = [[
      local client = seerstack.new { log_level = "warn", on_error = function()
        error("oops", 0)
      end }
      client.events.capture { name = "", data = 1 }
      client.events.capture { name = "" }
      print(client:poll(), client:poll())
    ]] })
    assert.equal("2\t0\n", child.stdout)
    assert.matches("on_error failed: oops", child.stderr)
  end)

  it("may be inherited, replaced and taken away by with_options", function()
    local first, heard = listen(), 0
    local clients = {
      inherits = first:with_options {},
      replaces = first:with_options { on_error = function()
        heard = heard + 1
      end },
      without = first:with_options { on_error = false },
    }
    for _, client in pairs(clients) do
      x.client = client
      lose(1)
    end
    assert.equal(0, first:poll())
    assert.equal(1, clients.inherits:poll())
    assert.equal(1, #calls)
    assert.equal(1, clients.replaces:poll())
    assert.equal(1, heard)
    assert.equal(0, clients.without:poll())
    assert.equal(0, clients.without:stats().missed)
  end)
end)

describe("who waits for an answer", function()
  it("hears of the failure alone", function()
    listen()
    local child = x:child({ code = [[
      local heard = 0
      local client = seerstack.new {
        log_level = "off", on_error = function() heard = heard + 1 end,
      }
      for _, status in ipairs { 400, 401, 404 } do
        local _, _, err = client.events.capture({ name = "s" .. status },
          { wait = true })
        print(err.status, client:poll(), heard)
        local future = client.events.capture({ name = "s" .. status },
          { future = true })
        _, _, err = future:get()
        print(err.status, client:poll(), heard)
        future = nil
        collectgarbage()
        collectgarbage()
        print(client:poll(), heard)
      end
    ]] }, function(request)
      return tonumber(h.body_of(request).name:match "%d+")
    end)
    local expected = {}
    for _, status in ipairs { 400, 401, 404 } do
      expected[#expected + 1] = (status .. "\t0\t0\n"):rep(2) .. "0\t0\n"
    end
    assert.equal(table.concat(expected), child.stdout)
  end)

  it("hears of it from a future that is settled, too", function()
    listen()
    local future = x:ask("a")
    x:settle(no)
    assert.is_true(future:done())
    assert.equal(0, x.client:poll())
    assert.equal("BadRequestError", (select(3, future:get())).name)
    future = nil -- luacheck: ignore
    h.collect()
    assert.equal(0, x.client:poll())
    assert.same({}, calls)
  end)

  it("hears that the time is up, and on_error does not", function()
    listen { timeout = 0.05, max_retries = 0 }
    local _, _, err = x.client.events.capture({ name = "a" },
      { wait = true })
    assert.equal("APITimeoutError", err.name)
    assert.equal(1, x:settle().rejected)
    assert.equal(0, x.client:poll())
  end)
end)

describe("a future that is collected unasked", function()
  -- Captures, and forgets the future when `forget` says so.
  local function forgotten(handler)
    local future = x:ask("a", { max_retries = 1 })
    assert.is_false(future:done())
    future = nil -- luacheck: ignore
    h.collect()
    x:settle(handler)
  end

  it("leaves its failure to on_error", function()
    listen()
    forgotten(no)
    local err, event, json = hear_one()
    assert.equal("400 no", err.message)
    assert.equal("BadRequestError", err.name)
    assert.equal("because", err.headers["x-why"])
    assert.same({ error = "no" }, err.body)
    assert.equal("/capture", err.path)
    assert.equal("a", event.name)
    assert.equal(json, x.requests[1].body)
    assert.equal(1, h.adds_up(x.client).rejected)
  end)

  it("is tried as often as it would have been", function()
    listen()
    forgotten(function() return 500, nil, "ill" end)
    assert.equal(2, #x.requests)
    local err = hear_one()
    assert.equal("InternalServerError", err.name)
    assert.equal("500 ill", err.message)
  end)

  it("leaves it even when there was no answer", function()
    listen()
    forgotten(function() return "reset" end)
    local err, event = hear_one()
    assert.equal("APIConnectionError", err.name)
    assert.is_nil(err.status)
    assert.equal("a", event.name)
  end)

  it("leaves nothing when all went well", function()
    listen()
    forgotten()
    assert.equal(1, x.client:stats().delivered)
    assert.equal(0, x.client:poll())
    assert.same({}, calls)
  end)

  it("leaves it even when it had failed before it was collected", function()
    listen()
    local future = x:ask("a")
    x:settle(no)
    assert.is_true(future:done())
    assert.equal(0, x.client:poll())
    future = nil -- luacheck: ignore
    h.collect()
    local err, event = hear_one()
    assert.equal("BadRequestError", err.name)
    assert.equal("a", event.name)
  end)
end)
