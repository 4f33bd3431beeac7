local h = require "spec.helper"
local socket = require "socket"

local REJECTED, PAUSING = h.retrying.REJECTED, h.retrying.PAUSING
local SLOW, assert_same_event = h.retrying.SLOW, h.retrying.assert_same_event

local x = h.retrying.each()

describe("a waited-for request", function()
  local api = h.standin()
  local client

  -- Sends one event, and returns what it was given and the number of
  -- requests that it took.
  local function send(behaviour, options)
    local key = h.key()
    api:reset()
    api:config { key = key, fail_status = false, fail_count = false,
      fail_headers = false }
    api:config(behaviour)
    options = options or {}
    options.api_key, options.log_level = key, "off"
    client = h.client(api.url, options)
    local response, message, err = client.events.capture({ name = "a.b" },
      { wait = true })
    return { response = response, message = message, err = err },
      api:status().requests
  end

  local function assert_error(status, result)
    assert.is_nil(result.response)
    assert.equal(status .. " ", result.message:match "^%d+ ")
    assert.equal(status, result.err.status)
    h.assert_counts(client, { rejected = 1, pending = 0 })
  end

  it("is answered by a 2xx", function()
    local result, requests = send {}
    assert.same({ success = true }, result.response)
    assert.equal(1, requests)
    assert.equal(1, h.adds_up(client).delivered)
  end)

  for _, statuses in ipairs { REJECTED, PAUSING } do
    for _, status in ipairs(statuses) do
      if status ~= 429 and status ~= 304 then
        it("ends at once with " .. status, function()
          local result, requests = send { fail_status = status }
          assert_error(status, result)
          assert.equal(1, requests)
          assert.is_nil(client:stats().retry_at)
        end)
      end
    end
  end

  for _, status in ipairs { 408, 409, 429, 500, 502, 503, 599 } do
    it("is retried max_retries times after " .. status, function()
      for retries = 0, 2 do
        local result, requests = send({ fail_status = status },
          { max_retries = retries })
        assert_error(status, result)
        assert.equal(retries + 1, requests)
      end
      local result, requests = send { fail_status = status, fail_count = 2 }
      assert.same({ success = true }, result.response)
      assert.equal(3, requests)
    end)
  end

  it("is retried when x-should-retry says true", function()
    for _, status in ipairs { 400, 401, 422 } do
      local result, requests = send {
        fail_status = status, fail_headers = { ["X-Should-Retry"] = "true" },
      }
      assert_error(status, result)
      assert.equal(3, requests)
    end
  end)

  it("is not retried when x-should-retry says false", function()
    for _, status in ipairs { 408, 409, 429, 500 } do
      local result, requests = send {
        fail_status = status, fail_headers = { ["X-Should-Retry"] = "false" },
      }
      assert_error(status, result)
      assert.equal(1, requests)
    end
  end)

  it("waits as the server asks before it is retried", function()
    for name, value in pairs {
      ["Retry-After-Ms"] = "200", ["Retry-After"] = "0.2",
    } do
      local before = socket.gettime()
      local result = send({
        fail_status = 503, fail_count = 1, fail_headers = { [name] = value },
      }, SLOW)
      assert.same({ success = true }, result.response)
      assert.is_true(socket.gettime() - before >= 0.2)
      assert.is_true(socket.gettime() - before < 8 * h.slow)
    end
  end)

  it("takes no long pause, and retries as computed", function()
    for _, value in ipairs { "0", "60", "3600", "junk", "-1" } do
      local result = send {
        fail_status = 429, fail_count = 1,
        fail_headers = { ["Retry-After"] = value },
      }
      assert.same({ success = true }, result.response)
    end
  end)

  it("is retried when nobody listens", function()
    local gone = h.server.refusing()
    local lost = h.client(gone.url,
      { initial_retry_delay = 0.1 })
    for retries = 0, 2 do
      local before = socket.gettime()
      local response, _, err = lost.events.capture({ name = "a.b" },
        { wait = true, max_retries = retries })
      assert.is_nil(response)
      assert.equal("APIConnectionError", err.name)
      assert.is_true(socket.gettime() - before >= 0.074 * retries)
    end
    assert.equal(3, h.adds_up(lost).rejected)
  end)

  it("is retried when there is no answer in time", function()
    local silent = h.open { timeout = 0.5, max_retries = 2 }
    local response, _, err = silent.client.events.capture({ name = "a.b" },
      { wait = true })
    assert.is_nil(response)
    assert.equal("APITimeoutError", err.name)
    silent:serve_requests(3)
    assert_same_event(silent.requests)
    assert.equal(3, #silent.requests)
    assert.equal(1, h.adds_up(silent.client).rejected)
    silent:close()
  end)

  it("has the same body and Idempotency-Key in every attempt", function()
    x:child({
      code = [[
        local client = seerstack.new {
          initial_retry_delay = 0.02, max_retries = 5,
        }
        assert(client.events.capture({ name = "a.b" }, { wait = true }))
      ]],
    }, h.sequence {
      { 500 }, { "close" }, { 429 }, { "reset" }, { 409 },
    })
    assert.equal(6, #x.requests)
    assert_same_event(x.requests)
  end)

  local REDIRECTED = [[
    local client = seerstack.new()
    local response, message, err = client.events.capture(
      { name = "a.b" }, { wait = true })
    print(response and "response" or message, err and err.name)
  ]]

  -- Redirects a program's request; returns what it had to say, and what came.
  local function redirect(status, to)
    local before = #x.requests
    local result = x:child({ code = REDIRECTED },
      h.sequence { { status, { Location = to } } })
    return result.stdout, x.requests[before + 1], x.requests[before + 2]
  end

  it("follows 307 and 308 with its body, 301 to 303 with a GET", function()
    for status, method in pairs {
      [301] = "GET", [302] = "GET", [303] = "GET", [307] = "POST",
      [308] = "POST",
    } do
      local printed, first, second = redirect(status, "/x")
      assert.equal("response\tnil\n", printed)
      assert.equal("POST", first.method)
      assert.equal("/x", second.target)
      assert.equal(method, second.method)
      assert.equal(method == "POST" and first.body or "", second.body)
      assert.equal("Bearer " .. x.key, second.headers.authorization)
    end
  end)

  it("ends with a redirect that leads nowhere", function()
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      local printed, _, second = redirect(status, nil)
      assert.equal(status .. " redirect without a location\tAPIStatusError\n",
        printed)
      assert.is_nil(second)
      printed, _, second = redirect(status, "ftp://127.0.0.1/x")
      assert.equal(status .. " redirect to what is no http or https URL\t"
        .. "APIStatusError\n", printed)
      assert.is_nil(second)
      printed, _, second = redirect(status, "/" .. ("x"):rep(5000))
      assert.equal(status .. " redirect to a URL too long\tAPIStatusError\n",
        printed)
      assert.is_nil(second)
      printed, _, second = redirect(status, "http://user@127.0.0.1/x")
      assert.equal(status .. " redirect to a URL with user information\t"
        .. "APIStatusError\n", printed)
      assert.is_nil(second)
    end
  end)
end)
