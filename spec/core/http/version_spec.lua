local h = require "spec.helper"
local seerstack = require "seerstack"

local api = h.own_standin()

-- One for each spec: there are no connections to it yet.
local function new(version, options)
  local all = h.merge({
    api_key = api.key, http_version = version, ca_file = api.ca_file,
    log_level = "off",
  }, options)
  return (h.client(all.base_url or api.tls_url, all))
end

local function protocols()
  local seen = {}
  for _, event in ipairs(api:events()) do
    seen[#seen + 1] = event.protocol
  end
  return seen
end

describe("http_version", function()
  for version, protocol in pairs { ["1.1"] = "HTTP/1.1", ["2"] = "HTTP/2.0" }
  do
    it(version .. " is spoken over TLS", function()
      local client = new(version)
      local response, http = client.events.capture({ name = "a.b" },
        { wait = true })
      assert.same({ success = true }, response)
      assert.equal(200, http.status)
      assert.equal("application/json", http.headers["content-type"])
      client.users.identify { user_id = "u" }
      assert.is_true(client:flush(10))
      assert.same({ protocol, protocol }, protocols())
      assert.equal(1, api:status().connections)
    end)

    it(version .. " brings the same headers and body", function()
      local client = new(version, { headers = { ["X-Mine"] = "mine" } })
      assert.is_table((client.events.capture(
        { name = "a.b", timestamp = "2025-01-04T12:00:00Z" },
        { wait = true, idempotency_key = "idem-1" })))
      local event = api:events()[1]
      assert.equal('{"name":"a.b","timestamp":"2025-01-04T12:00:00Z"}',
        event.body)
      assert.same({
        accept = "application/json",
        authorization = "Bearer " .. api.key,
        ["content-length"] = tostring(#event.body),
        ["content-type"] = "application/json",
        host = "localhost:" .. api.tls_port,
        ["idempotency-key"] = "idem-1",
        ["user-agent"] = "Seerstack/Lua " .. seerstack._VERSION,
        ["x-mine"] = "mine",
      }, event.headers)
    end)

    it(version .. " gives errors, retries and redirects alike", function()
      local client = new(version)
      api:config {
        fail_status = 422, fail_count = 1, fail_headers = { ["X-A"] = "b" },
      }
      local _, message, err = client.events.capture({ name = "a.b" },
        { wait = true })
      assert.equal("422 Failure asked for", message)
      assert.equal("b", err.headers["x-a"])
      api:config { fail_status = 503, fail_count = 2 }
      assert.is_table((client.events.capture({ name = "a.b" },
        { wait = true })))
      api:config {
        fail_status = 307, fail_count = 1,
        fail_headers = { Location = "/capture" },
      }
      assert.is_table((client.events.capture({ name = "a.b" },
        { wait = true })))
      assert.same({ protocol, protocol }, protocols())
      assert.same({ ["200"] = 2, ["307"] = 1, ["422"] = 1, ["503"] = 2 },
        api:status().by_status)
    end)

    it(version .. " delivers fifty at once, each of them once", function()
      local client = new(version, { max_in_flight = 50 })
      for i = 1, 50 do
        assert(client.events.capture { name = "n" .. i })
      end
      assert.is_true(client:flush(20))
      assert.equal(50, h.adds_up(client).delivered)
      assert.equal(50, api:status().requests)
      local names, count = {}, 0
      for _, event in ipairs(api:events()) do
        assert.equal(protocol, event.protocol)
        local name = h.body_of(event).name
        assert.is_nil(names[name])
        names[name], count = true, count + 1
      end
      assert.equal(50, count)
    end)
  end

  it("2 is not spoken without TLS, nor asked for", function()
    local x = h.open {
      http_version = "2", headers = { ["X-Mine"] = "mine" },
    }
    x:capture("a.b")
    assert.equal(1, x:settle().delivered)
    local request = x.requests[1]
    x:close()
    assert.equal("HTTP/1.1", request.version)
    for _, name in ipairs { "upgrade", "http2-settings", "connection" } do
      assert.is_nil(request.headers[name])
    end
  end)

  it("is 1.1 by default, and from libcurl 8 on 2 over TLS", function()
    assert.is_table((new().events.capture({ name = "a" }, { wait = true })))
    assert.same({ h.libcurl() < 8 and "HTTP/1.1" or "HTTP/2.0" }, protocols())
  end)

  it("is each client's own, though URL and key are the same", function()
    local one, two = new("1.1"), new("2")
    for _, client in ipairs {
      one, two, one, two, two:with_options { http_version = "1.1" },
      one:with_options { http_version = "2" }, two:with_options {},
    } do
      assert.is_table((client.events.capture({ name = "a" },
        { wait = true })))
    end
    assert.same({
      "HTTP/1.1", "HTTP/2.0", "HTTP/1.1", "HTTP/2.0", "HTTP/1.1", "HTTP/2.0",
      "HTTP/2.0",
    }, protocols())
  end)

  it("raises when it is another one", function()
    for _, value in ipairs { "1.0", "3", "2.0", "", 2, 1.1, true, false } do
      local ok, message = pcall(new, value, { http_version = value })
      assert.is_false(ok, tostring(value))
      assert.matches("option 'http_version'", message, 1, true)
    end
  end)
end)
