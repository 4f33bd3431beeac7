local h = require "spec.helper"
local seerstack = require "seerstack"
local socket = require "socket"

-- Nothing in this file may start a thread: one would send for all clients.
local function assert_no_thread()
  assert.same({}, h.process.threads(h.shell.own_pid()))
end

describe("without a thread", function()
  local api = h.standin()

  after_each(assert_no_thread)

  local function new(options)
    return seerstack.new(h.merge({
      api_key = api.key, base_url = api.url, rate_limit = false,
      initial_retry_delay = 0.02, max_retry_delay = 0.05, thread = false,
      exit_timeout = 0, log_level = "off",
    }, options))
  end

  local function capture_many(client, count)
    for i = 1, count do
      assert(client.events.capture { name = "n" .. i })
    end
  end

  it("one pump of enough seconds delivers everything, and returns", function()
    local client = new()
    capture_many(client, 500)
    local begun = socket.gettime()
    assert.equal(0, client:pump(60))
    assert.is_true(socket.gettime() - begun < 30 * h.slow)
    assert.equal(500, api:count())
  end)

  it("a pump waits for what is to be tried again in time", function()
    api:config { fail_status = 503, fail_count = 3 }
    local client = new()
    capture_many(client, 3)
    assert.equal(0, client:pump(20))
    assert.equal(3, api:count())
    assert.equal(6, api:status().requests)
  end)

  it("flush sends, and so does close", function()
    local client = new()
    capture_many(client, 100)
    assert.is_true(client:flush(20))
    assert.equal(100, api:count())
    capture_many(client, 100)
    assert.is_true(client:close(20))
    assert.equal(200, api:count())
  end)

  it("flush gives up in time, and a later one delivers", function()
    api:config { delay = 1 }
    local client = new()
    capture_many(client, 1)
    local ok, _, err = client:flush(0.1)
    assert.is_nil(ok)
    assert.equal("TimeoutError", err.name)
    assert.is_true(client:flush(20))
    assert.equal(1, api:count())
  end)

  it("a waited-for request is sent, before what is queued", function()
    local client = new { max_in_flight = 1 }
    capture_many(client, 50)
    local response, http = client.events.capture({ name = "w" },
      { wait = true })
    assert.is_true(response.success)
    assert.equal(200, http.status)
    assert.matches('"w"', api:events()[1].body, 1, true)
    assert.is_true(client:stats().pending > 0)
    client:close(20)
    assert.equal(51, api:count())
  end)

  it("a waited-for request is retried, and fails in its time", function()
    api:config { fail_status = 503, fail_count = 2 }
    local client = new()
    assert.is_true(client.events.capture({ name = "w" },
      { wait = true, max_retries = 2 }).success)
    api:config { delay = 2 }
    local response, _, err = client.events.capture({ name = "w" },
      { wait = true, timeout = 0.2, max_retries = 0 })
    assert.is_nil(response)
    assert.equal("APITimeoutError", err.name)
  end)

  it("a waited-for request tells that nobody is there", function()
    local bound = assert(socket.tcp())
    assert(bound:bind("127.0.0.1", 0))
    local _, port = bound:getsockname()
    local client = new { base_url = "http://127.0.0.1:" .. port }
    local response, _, err = client.events.capture({ name = "w" },
      { wait = true, max_retries = 1 })
    bound:close()
    assert.is_nil(response)
    assert.equal("APIConnectionError", err.name)
  end)

  it("future:done sends, and never waits", function()
    api:config { delay = 0.2 }
    local client = new()
    local future = client.events.capture({ name = "f" }, { future = true })
    local polls = 0
    h.wait(function()
      polls = polls + 1
      return future:done()
    end, 10)
    assert.is_true(polls > 1)
    assert.is_true(future:get().success)
    assert.equal(1, api:count())
  end)

  it("future:get sends, and waits as long as it may", function()
    api:config { delay = 0.5 }
    local client = new()
    local future = client.events.capture({ name = "f" }, { future = true })
    local response, _, err = future:get(0.05)
    assert.is_nil(response)
    assert.equal("TimeoutError", err.name)
    assert.is_true(future:get(20).success)
    assert.is_true(future:get().success)
    assert.equal(1, api:count())
  end)

  it("a future that is forgotten is sent by others", function()
    local client = new()
    assert(client.events.capture({ name = "f" }, { future = true }))
    collectgarbage()
    collectgarbage()
    assert.equal(0, client:pump(20))
    assert.equal(1, api:count())
  end)

  it("connections over TLS are kept from one pump to the next", function()
    local client = new { base_url = api.tls_url, ca_file = api.ca_file }
    for _ = 1, 5 do
      capture_many(client, 1)
      assert.equal(0, client:pump(20))
    end
    assert.equal(5, api:count())
    assert.equal(1, api:events()[5].connection - api:events()[1].connection
      + 1)
  end)
end)
