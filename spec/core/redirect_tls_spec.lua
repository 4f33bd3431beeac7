-- Redirects of waited-for requests between http and https.

local h = require "spec.helper"

local location = h.location

local EVENT = { name = "a.b" }
-- What a TLS library says of a certificate that nobody vouches for.
local UNTRUSTED = h.musl and "Cert verify failed" or "certificate"

local api, impostor = h.standin(), h.standin()
local x, other = h.exchange(), h.each_server()

before_each(function()
  api:config { key = x.key }
  impostor:config { key = x.key }
end)

-- A client that trusts the stand-in, which accepts its key.
local function waiting(url)
  return x:new {
    base_url = url, api_key = x.key, ca_file = api.ca_file, wait = true,
    max_retries = 0, log_level = "off", headers = { ["X-Mine"] = "mine" },
  }
end

-- Makes the stand-in answer one request so.
local function redirect(status, to)
  api:config {
    fail_status = status, fail_count = 1, fail_headers = location(to),
  }
end

-- What becomes of an event that the first origin, with http, redirects; it
-- may be reached through a tunnel.
local function start_at_http(status, to, lead)
  x.client = waiting(lead and "http://localhost:" .. lead.port or x.url)
  local future = x.client.events.capture(EVENT, { future = true })
  return x:get(future, h.sequence { { status, location(to) } },
    lead and function() lead:step() end)
end

describe("a redirect from http to https", function()
  it("goes without the key", function()
    -- With the key it would be a 200; 405 is for the GET.
    for status, expected in pairs { [307] = 401, [302] = 405 } do
      api:reset()
      local _, _, err = start_at_http(status, api.tls_url .. "/capture")
      assert.equal(expected, err.status)
      assert.equal(1, api:status().requests)
    end
  end)

  it("goes without the key though host and port are the same", function()
    local both = h.tunnel.new { plain = x.server.port, tls = api.tls_port }
    local _, _, err = start_at_http(307,
      "https://localhost:" .. both.port .. "/capture", both)
    both:close()
    assert.equal("Bearer " .. x.key, x.requests[1].headers.authorization)
    assert.equal(401, err.status)
    assert.equal(1, api:status().requests)
  end)

  it("and back to http is refused at the way back", function()
    redirect(307, x.url .. "/back")
    local _, message, err = start_at_http(307, api.tls_url .. "/capture")
    assert.equal("307 redirect from https to http refused", message)
    assert.equal("APIStatusError", err.name)
    assert.equal(1, #x.requests)
    assert.equal(1, api:status().requests)
  end)

  it("is not followed to whom nobody vouches for", function()
    local _, message, err = start_at_http(307, impostor.tls_url .. "/capture")
    assert.equal("APIConnectionError", err.name)
    assert.matches(UNTRUSTED, message)
    assert.is_nil(err.status)
    assert.equal(0, impostor:status().requests)
  end)
end)

describe("a redirect from https to https", function()
  it("keeps the key within the origin", function()
    redirect(308, "/capture")
    assert.is_table((waiting(api.tls_url).events.capture(EVENT)))
    local events = api:events()
    assert.equal(1, #events)
    assert.equal(2, api:status().requests)
    assert.equal("POST", events[1].method)
    assert.equal("Bearer " .. x.key, events[1].headers.authorization)
    assert.equal("mine", events[1].headers["x-mine"])
  end)

  h.it_unless_musl("mbedTLS 2 takes no certificate of an address",
    "goes without the key to another host", function()
      redirect(307, "https://127.0.0.1:" .. api.tls_port .. "/capture")
      local _, _, err = waiting(api.tls_url).events.capture(EVENT)
      assert.equal("AuthenticationError", err.name)
      assert.equal(2, api:status().requests)
    end)

  it("is not followed to whom nobody vouches for", function()
    redirect(307, impostor.tls_url .. "/capture")
    local _, message, err = waiting(api.tls_url).events.capture(EVENT)
    assert.equal("APIConnectionError", err.name)
    assert.matches(UNTRUSTED, message)
    assert.equal(0, impostor:status().requests)
  end)
end)

describe("a redirect from https to http", function()
  for _, status in ipairs { 301, 302, 303, 307, 308 } do
    it("is refused: " .. status, function()
      for _, to in ipairs {
        other.url .. "/to", "http://localhost:" .. api.port .. "/capture",
        "HTTP://localhost:" .. api.tls_port .. "/capture",
      } do
        api:reset()
        redirect(status, to)
        local err = h.assert_error("APIStatusError",
          status .. " redirect from https to http refused",
          waiting(api.tls_url).events.capture(EVENT))
        assert.equal(status, err.status)
        assert.equal(to, err.headers.location)
        assert.same({ error = "Failure asked for" }, err.body)
        assert.equal("/capture", err.path)
        assert.equal(1, api:status().requests)
      end
      assert.is_nil((other:accept(0)))
    end)
  end

  it("is not followed by a queued event, which is delivered later",
    function()
      api:config { fail_status = 307, fail_headers = location(other.url) }
      local client = waiting(api.tls_url)
      client.events.capture(EVENT, { wait = false })
      x:serve(nil, function() return client:stats().last_error end)
      assert.matches("^307 ", client:stats().last_error)
      assert.equal(1, client:stats().pending)
      assert.is_nil((other:accept(0)))
      api:config { fail_status = false }
      assert.is_true(client:flush(10))
      assert.equal(1, h.adds_up(client).delivered)
      assert.equal(1, api:count())
    end)
end)
