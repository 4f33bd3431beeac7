-- rediss://: Redis over TLS, where the module was built with hiredis_ssl.

local h = require "spec.helper"
local redis = require "seerstack.redis"

local OURS = "option 'url': redis:// or unix:// (this module was built "
  .. "without hiredis_ssl) expected, got string"

if not h.redises.tls then
  describe("rediss://", function()
    it("is refused where the module has no TLS", function()
      h.assert_raises_with(OURS, redis.open, { url = "rediss://:pa55@x" })
    end)

    pending("works: skipped, hiredis_ssl is not installed here")
  end)
  return
end

describe("rediss://", function()
  local api = h.standin { rate_limit = false }
  local directory, port, server

  -- A Redis with a password that has a certificate for these names.
  local function serve(names, options)
    directory = h.certificate.make(h.merge({ names = names }, options))
    port = h.ports.take()
    server = h.redises.new {
      "tls-port " .. port, "tls-auth-clients no",
      "tls-cert-file " .. directory .. "/cert.pem",
      "tls-key-file " .. directory .. "/key.pem",
      "tls-ca-cert-file " .. directory .. "/cert.pem",
      "requirepass hush-hush",
    }
  end

  after_each(function()
    server:remove()
    h.shell.remove(directory)
  end)

  local function url(host)
    return ("rediss://:hush-hush@%s:%d"):format(host, port)
  end

  -- Sends 20 events with a store that this certificate vouches for.
  local function send(host, ca_file, options)
    return server:start(api, [[
      capture(client, 1, 20)
      client:persist(10)
      tell(client:stats().store.state)
      assert(client:flush(25))
    ]], h.merge({
      url = url(host),
      open = ca_file and ("ca_file = %q"):format(ca_file),
    }, options)):wait()
  end

  local function assert_works(result)
    assert.equal(0, result.status, result.stderr)
    assert.equal("", result.stderr)
    assert.matches("open", result.stdout)
    h.assert_received(api, 20)
    api:reset()
  end

  -- The events go on in memory, and a line tells why.
  local function assert_refused(result, why)
    assert.equal(0, result.status, result.stderr)
    assert.matches("store: failing, events are kept in memory alone: "
      .. "%S+:" .. port .. ": TLS: " .. why .. "\n$", result.stderr)
    assert.is_nil(result.stderr:find("hush", 1, true))
    h.assert_received(api, 20)
    api:reset()
  end

  it("works with a certificate of who is trusted, for the name or address",
    function()
      serve "DNS:localhost,IP:127.0.0.1"
      for _, host in ipairs { "localhost", "127.0.0.1" } do
        assert_works(send(host, directory .. "/cert.pem"))
      end
      assert_works(send("localhost", nil,
        { env = { SSL_CERT_FILE = directory .. "/cert.pem" } }))
    end)

  it("stores, leaves at exit and adopts as without TLS", function()
    serve "IP:127.0.0.1"
    local options = {
      url = url "127.0.0.1",
      open = ("ca_file = %q"):format(directory .. "/cert.pem"),
      with = "exit_timeout = 0, log_level = 'off'",
    }
    api:config { fail_status = 503 }
    server:leave(api, 1, 200, options)
    local place = { url = options.url, ca_file = directory .. "/cert.pem" }
    assert.equal(200, redis.totals(place).nobodys)
    api:config { fail_status = false }
    options.with = nil
    h.ended_well(server:drain(api, options))
    h.assert_received(api, 200)
    assert.equal("events           0\n", h.ended_well(h.tool.ask(api, {
      "queue", place.url, "--ca-file", place.ca_file,
    })).stdout:match "^[^\n]*\n")
  end)

  it("works in children of a fork, beside the parent's", function()
    serve "IP:127.0.0.1"
    h.ended_well(server:start(api, [[
      capture(client, 1, 10)
      assert(client:persist(25))
      local pid = native.fork()
      if pid == 0 then
        capture(client, 11, 20)
        assert(client:persist(25))
        assert(client:flush(25))
        assert(not client:stats().store.error)
        native.exit(0)
      end
      native.wait(pid)
      capture(client, 21, 30)
      assert(client:persist(25))
      assert(client:flush(25))
      assert(not client:stats().store.error)
    ]], {
      url = url "127.0.0.1", env = h.NO_LEAKS,
      open = ("ca_file = %q"):format(directory .. "/cert.pem"),
    }))
    h.assert_received(api, 30)
  end)

  it("refuses a stranger's authority, and says why", function()
    serve "DNS:localhost"
    assert_refused(send "localhost", "self[- ]signed certificate")
    local stranger = h.certificate.make { names = "DNS:localhost" }
    assert_refused(send("localhost", stranger .. "/cert.pem"),
      "self[- ]signed certificate")
    h.shell.remove(stranger)
  end)

  it("refuses a certificate for another host", function()
    serve "DNS:elsewhere.test,IP:127.0.0.2"
    local ca_file = directory .. "/cert.pem"
    assert_refused(send("localhost", ca_file), "[hH]ostname mismatch")
    assert_refused(send("127.0.0.1", ca_file), "IP address mismatch")
  end)

  it("refuses a certificate that has expired", function()
    serve("DNS:localhost", { from = 2001, till = 2002 })
    assert_refused(send("localhost", directory .. "/cert.pem"),
      "certificate has expired")
  end)

  it("says what is wrong with the file of authorities, or with the server",
    function()
      serve "DNS:localhost"
      assert_refused(send("localhost", "/no/such/file"),
        "the file of its authorities cannot be used")
      port = api.url:match ":(%d+)"
      assert_refused(send("localhost", directory .. "/cert.pem"),
        "SSL_connect failed: .*")
    end)

  it("goes on in memory while nobody answers there", function()
    serve "DNS:localhost"
    server:kill "STOP"
    local result = send("localhost", directory .. "/cert.pem")
    server:kill "CONT"
    assert_refused(result, "it does not answer")
  end)
end)
