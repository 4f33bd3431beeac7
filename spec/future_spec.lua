local h = require "spec.helper"
local socket = require "socket"

local PENDING = "seerstack.future (pending)"
local DONE = "seerstack.future (done)"

local assert_error = h.assert_error_like
local x = h.exchange()

local function serve_until_done(future, handler)
  x:serve(handler, function() return future:done() end)
  return future
end

local function echo(request)
  return 200, nil, ('{"success":true,"name":"%s"}')
    :format(h.body_of(request).name)
end

local function assert_answer(body, ...)
  local response, http = ...
  assert.equal(2, select("#", ...))
  assert.same(body, response)
  assert.equal(200, http.status)
  return http
end

describe("a future", function()
  it("is returned at once, and is done when there is an answer", function()
    local future = x:ask()
    assert.equal("userdata", type(future))
    assert.is_false(future:done())
    assert.equal(PENDING, tostring(future))
    assert.equal(1, x.client:stats().pending)
    serve_until_done(future)
    assert.is_true(future:done())
    assert.equal(DONE, tostring(future))
    assert.equal(1, #x.requests)
    assert.equal(1, h.adds_up(x.client).delivered)
  end)

  it("gives what the waited-for call would give", function()
    local future = serve_until_done(x:ask(), function()
      return 200, { ["X-Some"] = "thing" }, '{"success":true,"id":7}'
    end)
    local http = assert_answer({ success = true, id = 7 }, future:get())
    assert.equal("thing", http.headers["x-some"])
  end)

  it("gives the same any number of times, whatever becomes of it", function()
    local future = serve_until_done(x:ask(), echo)
    for _ = 1, 3 do
      local response, http = future:get()
      assert.same({ success = true, name = "a.b" }, response)
      assert.equal(200, http.status)
      response.success, http.status = false, 0
      assert_answer({ success = true, name = "a.b" }, future:get(0))
    end
    future = serve_until_done(x:ask(), function() return 400 end)
    for _ = 1, 3 do
      local err = assert_error("BadRequestError", "^400 ", future:get())
      err.name = "changed"
      assert_error("BadRequestError", "^400 ", future:get(5))
    end
    assert.equal(2, h.adds_up(x.client).accepted)
  end)

  it("never waits in done", function()
    local future = x:ask()
    local deadline = socket.gettime() + 10
    for _ = 1, 1000 do
      assert.is_false(future:done())
    end
    assert.is_true(socket.gettime() < deadline)
    serve_until_done(future)
  end)

  it("gives up get when its time is over, and can be asked again", function()
    local future = x:ask()
    assert_error("TimeoutError",
      "^timed out after 0.05 s: there is no answer yet$", future:get(0.05))
    assert_error("TimeoutError", "^timed out after 0 s: ", future:get(0))
    assert.is_false(future:done())
    assert.equal(1, x.client:stats().pending)
    serve_until_done(future, echo)
    assert_answer({ success = true, name = "a.b" }, future:get(0))
    assert.equal(1, #x.requests)
    assert.equal(0, h.adds_up(x.client).rejected)
  end)

  it("is of identify and post as well", function()
    local identify = assert(x.client.users.identify(
      { user_id = "u" }, { future = true }))
    local post = assert(x.client:post("/x?y=1", nil, { future = true }))
    x:serve(function() return 422 end, function()
      return identify:done() and post:done()
    end)
    assert.equal("/identify", assert_error("UnprocessableEntityError", "^422",
      identify:get()).path)
    assert.equal("/x?y=1", assert_error("UnprocessableEntityError", "^422",
      post:get()).path)
  end)

  it("overrules the client's wait, and cannot be given with wait", function()
    x:use { wait = true }
    serve_until_done(x:ask())
    local ok, message = pcall(x.client.events.capture, { name = "a.b" },
      { wait = true, future = true })
    assert.is_false(ok)
    assert.equal("bad argument #2 to 'capture' (option 'future': cannot be "
      .. "given together with 'wait')", message)
    assert.equal(1, x.client:stats().accepted)
    x:use {}
    assert.is_true(x.client.events.capture({ name = "a.b" },
      { future = false, wait = false }))
    x:settle()
  end)

  it("raises on misuse", function()
    local future = x:ask()
    for value, got in pairs { [-1] = "-1", ["1"] = "string",
      [future] = "userdata", [true] = "boolean" } do
      h.assert_raises("bad argument #1 to 'get' (a number of seconds >= 0 "
        .. "expected, got " .. got .. ")",
        future.get, future, value)
    end
    assert.is_false((pcall(future.get, future, 0 / 0)))
    for _, method in ipairs { "get", "done" } do
      for _, self in ipairs { false, 5, {}, io.stdout, x.client } do
        h.assert_raises_with("a future expected", future[method], self)
      end
      h.assert_raises_with("a future expected, got nothing",
        future[method])
    end
    assert.is_nil(future.unknown)
    assert_answer({ success = true }, serve_until_done(future):get())
  end)
end)

describe("instead of a future, nil, message, err are returned at once",
  function()
    local function assert_refused(name, message, ...)
      local stats = x.client:stats()
      assert_error(name, message, x.client.events.capture(...))
      local count = name == "ValidationError" and "invalid" or "refused"
      stats[count] = stats[count] + 1
      assert.same(stats, x.client:stats())
    end

    it("for an event that cannot be sent", function()
      assert_refused("ValidationError", "^name", {}, { future = true })
      assert_refused("ValidationError", "^data.f: ",
        { name = "a.b", data = { f = print } }, { future = true })
      assert_error("ValidationError", "^path: ",
        x.client:post("//evil", {}, { future = true }))
      assert.is_nil((x.server:accept(0)))
    end)

    it("when the queue is full", function()
      x:use { max_queue_events = 1 }
      local future = x:ask()
      assert_refused("QueueFullError", "^queue full: ", { name = "b" },
        { future = true })
      serve_until_done(future)
    end)

    it("when the client is closed", function()
      assert.is_true(x.client:close())
      assert_refused("ClosedError", "^client is closed$", { name = "a.b" },
        { future = true })
    end)
  end)

describe("a future that fails", function()
  local function assert_failed(future, name, message, requests)
    local before = #x.requests
    h.wait(function() return future:done() end, 10)
    local err = assert_error(name, message, future:get())
    assert.equal("/capture", err.path)
    h.assert_counts(x.client, { rejected = 1, pending = 0 })
    assert.equal(requests or before, #x.requests)
    return err
  end

  it("gives the error of the answer", function()
    local future = serve_until_done(x:ask(), function()
      return 401, { ["X-Some"] = "thing" }, '{"error":"no such key"}'
    end)
    local err = assert_failed(future, "AuthenticationError",
      "^401 no such key$", 1)
    assert.equal(401, err.status)
    assert.same({ error = "no such key" }, err.body)
    assert.equal("thing", err.headers["x-some"])
  end)

  it("gives the last error after max_retries", function()
    local future = serve_until_done(x:ask(), h.sequence {
      { "close" }, { 503 }, { 500, nil, "last" },
    })
    local err = assert_failed(future, "InternalServerError", "^500 last$", 3)
    assert.equal(500, err.status)
    x:use { max_retries = 0 }
    assert_failed(serve_until_done(x:ask(), function() return 500 end),
      "InternalServerError", "^500", 4)
  end)

  it("gives APITimeoutError, so that a loop on done ends", function()
    local future = x:ask("a.b", { timeout = 0.3, max_retries = 1 })
    local err = assert_failed(future, "APITimeoutError", ".")
    assert.is_nil(err.status)
    x:serve_requests(2)
    assert.equal(x.requests[1].headers["idempotency-key"],
      x.requests[2].headers["idempotency-key"])
  end)

  it("gives APITimeoutError when it could not begin, and is not sent",
    function()
      x:use { max_in_flight = 1 }
      local first, held = x:ask "first", nil
      x:serve_requests(1, function(_, peer) held = peer end)
      local second = x:ask("second", { timeout = 0.1 })
      h.wait(function() return second:done() end, 10)
      assert_error("APITimeoutError", "timed out", second:get())
      assert.is_false(first:done())
      held:respond(h.ok())
      serve_until_done(first)
      serve_until_done(x:ask "third")
      assert.same({ "first", "third" }, x:names())
      h.assert_counts(x.client, { delivered = 2, rejected = 1 })
    end)

  it("gives APIConnectionError when nobody listens", function()
    local gone = h.server.refusing()
    x.client = h.client(gone.url)
    assert_failed(x:ask(), "APIConnectionError", ".", 0)
  end)

  it("gives RateLimitError at once when it would be held too long", function()
    x:use { rate_limit = 1 }
    serve_until_done(x:ask())
    local future = x:ask("b", { timeout = 30 })
    h.wait(function() return future:done() end, 10)
    local err = assert_error("RateLimitError", "^rate limit: ", future:get())
    assert.is_nil(err.status)
    assert.equal(1, #x.requests)
    assert.equal(1, h.adds_up(x.client).rejected)
  end)
end)

describe("get", function()
  local api = h.standin()
  local client

  before_each(function()
    api:reset()
    api:config { delay = 0.3, fail_status = false }
    client = h.client(api.url, {
      api_key = api.key, max_retries = 0,
    })
  end)

  it("waits for the answer", function()
    local future = h.ask(client)
    assert_error("TimeoutError", "^timed out after 0 s: ", future:get(0))
    local http = assert_answer({ success = true }, future:get())
    assert.equal("application/json", http.headers["content-type"])
    assert.is_true(future:done())
    assert.equal(1, api:count())
  end)

  it("waits no longer than for the answer, with a long timeout, too",
    function()
      local deadline = socket.gettime() + 60
      api:config { fail_status = 404 }
      local future = h.ask(client)
      assert_error("NotFoundError", "^404 Failure asked for$",
        future:get(100000))
      assert.is_true(socket.gettime() < deadline)
    end)

  it("is not needed for flush and close, which wait for futures", function()
    local future = h.ask(client)
    assert_error("TimeoutError",
      "^timed out after 0.001 s: 1 event is not delivered yet$",
      client:flush(0.001))
    assert.is_true(client:flush(10))
    assert.is_true(future:done())
    local other = h.ask(client, "c.d")
    assert.is_true(client:close(10))
    assert.is_true(other:done())
    assert_answer({ success = true }, other:get(0))
    assert_answer({ success = true }, future:get(0))
    assert.equal(2, api:count())
  end)
end)

describe("many futures", function()
  it("each get their own answer, max_in_flight at a time", function()
    x:use { max_in_flight = 4 }
    local futures, most = {}, 0
    for i = 1, 200 do
      futures[i] = x:ask("n" .. i)
    end
    x:settle(function(request)
      local busy = 0
      for _, peer in ipairs(x.server.connections) do
        busy = busy + (peer.busy and 1 or 0)
      end
      most = math.max(most, busy)
      return "delay", 0.005, echo(request)
    end, 30)
    assert.is_true(most > 1 and most <= 4, most .. " at a time")
    assert.equal(200, #x.requests)
    for i = 200, 1, -1 do
      assert.is_true(futures[i]:done())
      assert_answer({ success = true, name = "n" .. i }, futures[i]:get())
    end
    assert.equal(200, h.adds_up(x.client).delivered)
  end)
end)

describe("an identify with a future", function()
  -- A handler that answers all but the requests about some names, which it
  -- keeps for answer_held to answer.
  local function hold(held, names)
    return function(request, peer)
      local name = h.body_of(request).name
      if names[name] then
        held[name] = peer
        return
      end
      return h.ok()
    end
  end

  it("waits for an earlier one of the user, and is waited for", function()
    local held = {}
    local handler = hold(held, { first = true, second = true })
    local function sent(...)
      assert.same({ ... }, x:names())
    end
    x:identify("u", "first")
    x:serve_requests(1, handler)
    local second = x:identify("u", "second", { future = true })
    x:identify("u", "third")
    local other = x:identify("v", "other", { future = true })
    serve_until_done(other, handler)
    assert.is_false(second:done())
    sent("first", "other")
    held.first:respond(h.ok())
    x:serve_requests(3, handler)
    serve_until_done(x:ask "between", handler)
    sent("first", "other", "second", "between")
    held.second:respond(h.ok())
    x:settle(handler)
    sent("first", "other", "second", "between", "third")
    assert_answer({ success = true }, second:get(0))
  end)

  it("lets the next one go when it fails", function()
    local first = x:identify("u", "first",
      { future = true, timeout = 0.3, max_retries = 0 })
    local second = x:identify("u", "second", { future = true })
    local early = false
    serve_until_done(second, function(request)
      if h.body_of(request).name == "first" then
        return "hold"
      end
      early = not first:done()
      return h.ok()
    end)
    assert.is_false(early)
    assert_error("APITimeoutError", ".", first:get())
    assert_answer({ success = true }, second:get())
  end)
end)
