local h = require "spec.helper"
local seerstack = require "seerstack"

local new, assert_adds_up = h.clients.new, h.clients.assert_adds_up

local api = h.clients.standin()

describe("wait", function()
  it("gives the response instead of true", function()
    local client = new()
    local response, http = client.events.capture({ name = "a.b" },
      { wait = true })
    assert.same({ success = true }, response)
    assert.equal(200, http.status)
    assert.equal("application/json", http.headers["content-type"])
    response = client.users:identify({ user_id = "u", name = "U" },
      { wait = true })
    assert.same({ success = true }, response)
    assert.equal(2, api:count())
    assert.equal(2, client:stats().delivered)
    client:close()
  end)

  it("may be an option of the client, and the request decides", function()
    local client = new { wait = true }
    assert.same({ success = true }, (client.events.capture { name = "a" }))
    assert.is_true(client.events.capture({ name = "b" }, { wait = false }))
    assert.same({ success = true }, (client.users.identify {
      user_id = "u", name = "U",
    }))
    client:close()
  end)

  it("ends with an error that says what happened", function()
    local client = new { api_key = "sk_test_wrong" }
    local err = h.assert_error("AuthenticationError",
      "401 Missing or invalid API key",
      client.events.capture({ name = "a.b" }, { wait = true }))
    assert.equal(401, err.status)
    assert.equal("/capture", err.path)
    assert.same({ error = "Missing or invalid API key" }, err.body)
    assert.equal("application/json", err.headers["content-type"])
    assert.equal(1, client:stats().rejected)
    client:close()
  end)

  it("takes the timeout and the retries of the request", function()
    local silent = h.server.new()
    local client = seerstack.new {
      api_key = "sk_test_silent", base_url = silent.url, exit_timeout = 0,
    }
    local message, err = h.assert_failure("APITimeoutError",
      client.events.capture({ name = "a.b" },
        { wait = true, timeout = 0.1, max_retries = 0 }))
    assert.not_equal("", message)
    assert.is_nil(err.status)
    assert.is_nil(err.headers)
    assert.is_nil(err.body)
    assert.equal("/capture", err.path)
    assert.equal(1, client:stats().rejected)
    silent:close()
  end)

  it("takes the timeout and the retries of the client otherwise", function()
    api:config { fail_status = 500, fail_count = 2 }
    local client = new { max_retries = 1, initial_retry_delay = 0.001 }
    local _, _, err = client.events.capture({ name = "a.b" }, { wait = true })
    assert.equal("InternalServerError", err.name)
    assert.equal(2, api:status().requests)
    api:reset()
    api:config { fail_status = 500, fail_count = 2 }
    assert.is_table((client.events.capture({ name = "a.b" },
      { wait = true, max_retries = 2 })))
    assert.equal(3, api:status().requests)
    client:close()
  end)

  it("ends with APIConnectionError when nobody listens", function()
    local gone = h.server.refusing()
    local client = seerstack.new {
      api_key = "sk_test_gone", base_url = gone.url, exit_timeout = 0,
    }
    local message, err = h.assert_failure("APIConnectionError",
      client.events.capture({ name = "a.b" },
        { wait = true, max_retries = 0 }))
    assert.not_equal("", message)
    assert.is_nil(err.status)
  end)

  it("ends with RateLimitError at once when it would be held too long",
    function()
      local client = new { rate_limit = 2, api_key = "sk_test_paced" }
      api:config { key = "sk_test_paced" }
      assert.is_table((client.events.capture({ name = "a" },
        { wait = true })))
      local result, message, err = client.events.capture({ name = "b" },
        { wait = true, timeout = 5 })
      api:config { key = "sk_test_standin" }
      assert.is_nil(result)
      assert.equal("RateLimitError", err.name)
      assert.equal("rate limit: the request would have to wait beyond its "
        .. "timeout", message)
      assert.is_nil(err.status)
      client:close()
    end)
end)

describe("wait", function()
  local x = h.exchange { max_in_flight = 1 }

  it("ends with APITimeoutError when there is no place for it in time",
    function()
      x:capture "a"
      x:serve_requests(1, h.hold)
      local message, err = h.assert_failure("APITimeoutError",
        x.client.events.capture({ name = "b" },
          { wait = true, timeout = 0.1, max_retries = 0 }))
      assert.equal("timed out", message)
      assert.is_nil(err.status)
      assert_adds_up(h.assert_counts(x.client, { pending = 1, rejected = 1 }))
    end)
end)
