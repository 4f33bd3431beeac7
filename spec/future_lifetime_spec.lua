local h = require "spec.helper"

local x = h.exchange()

local function forget(...)
  x:ask(...)
  h.collect()
end

local function weakly(value)
  return setmetatable({ value }, { __mode = "v" })
end

describe("a future that is collected unasked", function()
  it("is gone, and its request is sent all the same", function()
    local weak = weakly(x:ask())
    h.collect()
    assert.is_nil(weak[1])
    assert.equal(1, x.client:stats().pending)
    local stats = x:settle()
    assert.equal(1, stats.accepted)
    assert.equal(1, stats.delivered)
    assert.equal(1, #x.requests)
  end)

  it("has its retries, and then counts as rejected", function()
    forget()
    local stats = x:settle(function() return 500 end)
    assert.equal(1, stats.rejected)
    assert.equal(3, #x.requests)
  end)

  it("does not keep others from being asked", function()
    local kept = {}
    for i = 1, 30 do
      local future = x:ask("n" .. i)
      if i % 3 == 0 then
        kept[#kept + 1] = future
      end
    end
    h.collect()
    assert.equal(30, x:settle().delivered)
    assert.equal(30, #x.requests)
    for _, future in ipairs(kept) do
      assert.is_true(future:get(0).success)
    end
  end)

  it("leaves its failure to on_error, and one that is kept does not",
    function()
      local heard = {}
      x:use {
        log_level = "off",
        on_error = function(err, event, json)
          heard[#heard + 1] = { err = err, event = event, json = json }
        end,
      }
      local kept = x:ask "kept"
      forget "forgotten"
      x:settle(function() return 422, nil, '{"error":"no"}' end)
      assert.equal(1, x.client:poll())
      h.assert_failure("UnprocessableEntityError", kept:get())
      assert.equal(0, x.client:poll())
      assert.equal(1, #heard)
      assert.equal("UnprocessableEntityError", heard[1].err.name)
      assert.equal("422 no", heard[1].err.message)
      assert.equal("forgotten", heard[1].event.name)
      assert.matches('"name":"forgotten"', heard[1].json, 1, true)
      assert.equal(2, h.adds_up(x.client).rejected)
    end)

  it("leaves it to on_error when it has failed before, too", function()
    local heard = {}
    x:use {
      on_error = function(err) heard[#heard + 1] = err.name end,
    }
    local future = x:ask()
    x:settle(function() return 422 end)
    assert.is_true(future:done())
    assert.equal(0, x.client:poll())
    future = nil
    h.collect()
    x.client:poll()
    assert.same({ "UnprocessableEntityError" }, heard)
    assert.is_nil(future)
  end)

  it("tells nobody of a failure that was asked for", function()
    local heard = {}
    x:use {
      on_error = function(err) heard[#heard + 1] = err.name end,
    }
    local future = x:ask()
    x:settle(function() return 422 end)
    h.assert_failure("UnprocessableEntityError", future:get(0))
    future = nil
    h.collect()
    assert.equal(0, x.client:poll())
    assert.same({}, heard)
    assert.is_nil(future)
  end)

  -- So that nothing of it stays on the stack of who asks.
  local function is_done(kept)
    return kept[1]:done()
  end

  -- The time of a future is up while another request has the only place:
  -- nobody has asked, but whether it is done.
  local function let_one_time_out(heard)
    x:use {
      max_in_flight = 1,
      on_error = function(err, event)
        heard[#heard + 1] = err.name .. " " .. event.name
      end,
    }
    x:capture "in the way"
    x:serve_requests(1, function() return "hold" end)
    local kept = { x:ask("late", { timeout = 0.1, max_retries = 0 }) }
    h.wait(function() return is_done(kept) end)
    assert.equal(1, h.adds_up(x.client).rejected)
    return kept
  end

  local function let_the_other_go()
    local peer = x.server.connections[1]
    peer:respond(h.ok())
    peer.busy = false
    x:settle()
    x:capture "after"
    x:settle()
    assert.same({ "in the way", "after" }, x:names())
  end

  it("leaves it to on_error that the time was up", function()
    local heard = {}
    local kept = let_one_time_out(heard)
    let_the_other_go()
    assert.is_true(is_done(kept))
    assert.equal(0, x.client:poll())
    kept[1] = nil
    h.collect()
    assert.equal(1, x.client:poll())
    assert.same({ "APITimeoutError late" }, heard)
    h.collect()
    assert.equal(0, x.client:poll())
    assert.equal(1, h.adds_up(x.client).rejected)
  end)

  it("leaves it also when it goes before its request", function()
    local heard = {}
    let_one_time_out(heard)[1] = nil
    h.collect()
    let_the_other_go()
    h.wait(function() return x.client:poll() == 1 end)
    assert.same({ "APITimeoutError late" }, heard)
    assert.equal(0, x.client:poll())
    assert.equal(1, h.adds_up(x.client).rejected)
  end)

  it("tells nobody that the time was up when that was asked for", function()
    local heard = {}
    for _, early in ipairs { false, true } do
      local kept = let_one_time_out(heard)
      h.assert_failure("APITimeoutError", kept[1]:get(0))
      if early then
        kept[1] = nil
        h.collect()
      end
      let_the_other_go()
      kept[1] = nil
      h.collect()
      assert.equal(0, x.client:poll())
      assert.same({}, heard)
      x:reopen()
    end
  end)

  it("lets get of another one run on_error", function()
    local heard = {}
    x:use {
      max_in_flight = 1,
      on_error = function(err) heard[#heard + 1] = err.name end,
    }
    forget "forgotten"
    local kept = x:ask "kept"
    x:settle(h.sequence { { 400 } })
    assert.same({}, heard)
    assert.is_true(kept:get().success)
    assert.same({ "BadRequestError" }, heard)
  end)
end)

describe("a future that is finalized while it is asked", function()
  local future, heard

  local function finalize()
    getmetatable(future).__gc(future)
  end

  before_each(function()
    heard = {}
  end)

  -- A client whose callbacks finalize the future.
  local function use(options)
    x:use(options)
    future = x:ask "kept"
  end

  it("by the logger returns its answer", function()
    use { log_level = "debug", logger = finalize }
    x:settle(function() return 200, nil, '{"success":true,"n":7}' end)
    local response, http = future:get()
    assert.same({ success = true, n = 7 }, response)
    assert.equal(200, http.status)
    h.assert_failure("ClosedError", future:get())
  end)

  it("by on_error returns its failure, which nobody else hears", function()
    x:use {
      on_error = function(_, event)
        heard[#heard + 1] = event.name
        finalize()
      end,
    }
    forget "forgotten"
    future = x:ask "kept"
    x:settle(function() return 422, nil, '{"error":"no"}' end)
    h.assert_failure("UnprocessableEntityError", future:get())
    x.client:poll()
    assert.same({ "forgotten" }, heard)
  end)

  it("before its time is up leaves its failure to on_error", function()
    use {
      log_level = "debug", logger = finalize,
      on_error = function(err, event)
        heard[#heard + 1] = err.name .. " " .. event.name
      end,
    }
    h.assert_failure("TimeoutError", future:get(0.01))
    x:settle(function() return 422 end)
    assert.is_true(x.client:poll() > 0)
    assert.same({ "UnprocessableEntityError kept" }, heard)
  end)

  it("within another asking of it returns its answer to both", function()
    local inner
    use {
      log_level = "debug",
      logger = function()
        if not inner then
          inner = { future:get() }
          finalize()
        end
      end,
    }
    x:settle()
    assert.is_true(future:get().success)
    assert.is_true(inner[1].success)
  end)
end)

describe("a client with futures", function()
  it("may be closed before they are settled", function()
    local future = x:ask()
    h.assert_failure("TimeoutError", x.client:close(0))
    assert.is_false(future:done())
    h.assert_failure("TimeoutError", future:get(0.01))
    x:serve(nil, function() return future:done() end)
    assert.is_true(future:get().success)
    assert.equal(1, h.adds_up(x.client).delivered)
  end)

  it("may be closed, and they end with their own failures", function()
    local future = x:ask("a.b", { timeout = 0.1, max_retries = 0 })
    h.assert_failure("TimeoutError", x.client:close(0))
    h.wait(function() return future:done() end, 10)
    h.assert_failure("APITimeoutError", future:get())
  end)

  it("lives as long as they do", function()
    local client = h.client(x.url)
    local weak = weakly(client)
    local future = client.events.capture({ name = "a.b" }, { future = true })
    client = nil
    h.collect()
    assert.not_nil(weak[1])
    x:serve(nil, function() return future:done() end)
    assert.is_true(future:get().success)
    future = nil
    h.collect()
    h.collect()
    assert.is_nil(weak[1])
    assert.is_nil(client or future)
  end)

  it("may be finalized before them: they end, and are sent", function()
    local client = h.client(x.url)
    local future = client.events.capture({ name = "a.b" }, { future = true })
    getmetatable(client).__gc(client)
    h.assert_failure("ClosedError", future:get())
    h.assert_failure("ClosedError", future:get(1))
    x:serve(nil, function() return future:done() end)
    assert.is_true(future:get().success)
    assert.equal(1, #x.requests)
  end)
end)
