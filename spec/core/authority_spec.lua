-- Whom a client believes that it is who it says: ca_file, ca_blob,
-- SSL_CERT_FILE, and what no option can turn off.

local h = require "spec.helper"
local seerstack = require "seerstack"

-- `api` is the server; the certificate of `stranger` does not vouch for it.
local api, stranger, directory

setup(function()
  api = h.start_standin()
  stranger = h.certificate.make {}
  directory = h.shell.temporary_directory("authority")
end)

teardown(function()
  api:stop()
  h.shell.remove(stranger)
  h.shell.remove(directory)
end)

before_each(function()
  api:reset()
end)

local function new(options, url)
  options.api_key = api.key
  options.log_level = "off"
  return (h.client(url or api.tls_url, options))
end

local function deliver(client)
  return client.events.capture({ name = "a.b" },
    { wait = true, max_retries = 0 })
end

local function assert_trusts(client, server)
  local before = (server or api):count()
  assert.is_table(deliver(client))
  assert.equal(before + 1, (server or api):count())
end

-- Neither a waited-for request nor a queued event arrives.
local function assert_distrusts(client, server)
  local before = (server or api):status().requests
  local message, err = h.assert_failure("APIConnectionError", deliver(client))
  assert.not_equal("", message)
  assert.is_nil(err.status)
  client.events.capture { name = "never" }
  h.wait(function() return client:stats().retry_at end)
  h.assert_counts(client, { delivered = 0, pending = 1 })
  assert.equal(before, (server or api):status().requests)
  client:close(0)
  return message
end

local function assert_raises(text, options)
  options.api_key = "sk_x"
  local message = h.assert_raises_with(text, seerstack.new, options)
  return message
end

describe("ca_file", function()
  it("is trusted", function()
    local client = new { ca_file = api.ca_file }
    assert_trusts(client)
    client.events.capture { name = "queued" }
    assert.is_true(client:flush(10))
    assert.equal(2, api:count())
  end)

  it("may hold several", function()
    local path = directory .. "/both.pem"
    h.shell.write(path, h.shell.read(stranger .. "/cert.pem")
      .. h.shell.read(api.ca_file))
    assert_trusts(new { ca_file = path })
  end)

  it("is trusted alone: another one vouches for nobody here", function()
    assert_distrusts(new { ca_file = stranger .. "/cert.pem" })
  end)

  it("raises when it holds none", function()
    local path = directory .. "/none.pem"
    h.shell.write(path, "no certificate\n")
    assert_raises("ca_file", { ca_file = path, base_url = api.tls_url })
  end)

  it("is read when the client is made, and may be gone then", function()
    local path = directory .. "/gone.pem"
    h.shell.write(path, h.shell.read(api.ca_file))
    local client = new { ca_file = path }
    os.remove(path)
    assert_trusts(client)
  end)

  it("raises when it cannot be read", function()
    for _, path in ipairs {
      directory .. "/missing.pem", directory, api.ca_file .. "/below", "",
    } do
      assert_raises("ca_file", { ca_file = path, base_url = api.tls_url })
      assert_raises("ca_file", { ca_file = path, base_url = api.url })
    end
    for _, value in ipairs { 5, true, {} } do
      assert_raises("ca_file", { ca_file = value })
    end
  end)

  it("raises in with_options, which leaves the client as it was", function()
    local client = new { ca_file = api.ca_file }
    assert.is_false((pcall(client.with_options, client,
      { ca_file = directory .. "/missing.pem" })))
    assert_trusts(client)
    assert_trusts(client:with_options {})
    assert_distrusts(client:with_options {
      ca_file = stranger .. "/cert.pem",
    })
    assert_trusts(client)
  end)
end)

describe("ca_blob", function()
  it("is trusted", function()
    assert_trusts(new { ca_blob = h.shell.read(api.ca_file) })
  end)

  it("may hold several, and text around them", function()
    assert_trusts(new {
      ca_blob = "# ours\n" .. h.shell.read(stranger .. "/cert.pem")
        .. "\n# theirs\n" .. h.shell.read(api.ca_file),
    })
  end)

  it("is trusted alone: another one vouches for nobody here", function()
    assert_distrusts(new { ca_blob = h.shell.read(stranger .. "/cert.pem") })
  end)

  it("that holds none lets nobody be trusted", function()
    assert_distrusts(new { ca_blob = "-----BEGIN CERTIFICATE-----\n" })
  end)

  it("raises together with ca_file, and when it is no PEM text", function()
    local text = h.shell.read(api.ca_file)
    assert_raises("ca_blob", { ca_file = api.ca_file, ca_blob = text })
    for _, value in ipairs { 5, true, {}, "", "x", api.ca_file } do
      assert_raises("ca_blob", { ca_blob = value })
    end
  end)
end)

describe("two clients of one URL and key", function()
  it("do not trust each other's authorities", function()
    local right, wrong = api.ca_file, stranger .. "/cert.pem"
    local friend = new { ca_file = right }
    assert_trusts(friend) -- and its connection stays open
    assert_distrusts(new { ca_file = wrong })
    assert_distrusts(new { ca_blob = h.shell.read(wrong) })
    assert_distrusts(new {})
    assert_trusts(friend)
    assert_trusts(new { ca_blob = h.shell.read(right) })
    assert_distrusts(new { ca_blob = h.shell.read(wrong) })
    assert_trusts(friend)
  end)

  it("trust their own, whoever was first", function()
    assert_distrusts(new { ca_blob = h.shell.read(stranger .. "/cert.pem") })
    assert_trusts(new { ca_blob = h.shell.read(api.ca_file) })
    assert_distrusts(new { ca_file = stranger .. "/cert.pem" })
    assert_trusts(new { ca_file = api.ca_file })
  end)
end)

describe("SSL_CERT_FILE", function()
  local CODE = [[
    local options = { log_level = "off", exit_timeout = 0 }
    options[arg[1] or "ca_file"] = arg[2]
    local client = seerstack.new(options)
    local _, http, err = client.events.capture({ name = "a" },
      { wait = true, max_retries = 0 })
    print(err and err.name or http.status)
  ]]

  local function run(file, option, value)
    local result = h.script.run {
      code = CODE, args = { option, value },
      env = h.environment(api.tls_url, api.key, {
        SSL_CERT_FILE = file,
      }),
    }
    assert.equal("", result.stderr)
    return result.stdout
  end

  it("is trusted when there is no option", function()
    assert.equal("200\n", run(api.ca_file))
    assert.equal("APIConnectionError\n", run(stranger .. "/cert.pem"))
    assert.equal("APIConnectionError\n", run(false))
  end)

  it("names a file that is opened when a connection is made", function()
    local path = directory .. "/late.pem"
    h.shell.write(path .. ".new", h.shell.read(api.ca_file))
    local result = h.script.run {
      code = [[
        local client = require "seerstack".new {
          log_level = "off", exit_timeout = 0,
        }
        local function try()
          local _, http, err = client.events.capture({ name = "a" },
            { wait = true, max_retries = 0 })
          return err and err.name or http.status
        end
        local before = try()
        assert(os.rename(arg[1], os.getenv "SSL_CERT_FILE"))
        print(before, try())
      ]],
      args = { path .. ".new" },
      env = h.environment(api.tls_url, api.key, {
        SSL_CERT_FILE = path,
      }),
    }
    assert.equal("", result.stderr)
    assert.equal("APIConnectionError\t200\n", result.stdout)
  end)

  it("is not looked at when there is one", function()
    local wrong = stranger .. "/cert.pem"
    assert.equal("200\n", run(wrong, "ca_file", api.ca_file))
    assert.equal("200\n", run(wrong, "ca_blob", h.shell.read(api.ca_file)))
    assert.equal("APIConnectionError\n", run(api.ca_file, "ca_file", wrong))
    assert.equal("APIConnectionError\n",
      run(api.ca_file, "ca_blob", h.shell.read(wrong)))
  end)
end)

describe("verification", function()
  -- Certificates of a server and the URL's host; each vouches for itself and
  -- is trusted as an authority.
  local CASES = {
    { "that is in order", { names = "DNS:localhost" }, "localhost", true },
    { "of an address", { names = "IP:127.0.0.1" }, "127.0.0.1", true },
    { "that has expired", { from = 2020, till = 2021 }, "localhost" },
    { "that is not valid yet", { from = 2110, till = 2111 }, "localhost" },
    { "of another host", { names = "DNS:api.example" }, "localhost" },
    { "of another address", { names = "IP:127.0.0.2" }, "127.0.0.1" },
    { "of a host, for its address", { names = "DNS:localhost" },
      "127.0.0.1" },
  }

  for _, case in ipairs(CASES) do
    local what, made, host, trusted = case[1], case[2], case[3], case[4]
    it("lets a certificate " .. what .. (trusted and " pass" or " not pass"),
      function()
        local own = h.certificate.make(made)
        local server = h.start_standin { certificate = own, key = api.key }
        local client = new({ ca_file = server.ca_file },
          "https://" .. host .. ":" .. server.tls_port)
        local ok, problem = pcall(
          trusted and assert_trusts or assert_distrusts, client, server)
        server:stop()
        h.shell.remove(own)
        assert.is_true(ok, problem)
      end)
  end

  it("lets a certificate that vouches for itself not pass", function()
    assert_distrusts(new {})
  end)

  it("lets who speaks no TLS not pass", function()
    assert_distrusts(new({ ca_file = api.ca_file },
      "https://localhost:" .. api.port))
  end)

  it("cannot be turned off by an option", function()
    for _, name in ipairs {
      "verify", "verify_ssl", "ssl_verify", "insecure", "tls_verify",
      "reject_unauthorized", "verify_mode", "ssl_verifypeer",
    } do
      assert_raises("unknown option '" .. name .. "'", { [name] = false })
    end
    assert_raises("ca_file", { ca_file = false })
    assert_raises("ca_blob", { ca_blob = false })
  end)

  it("cannot be turned off from outside", function()
    h.shell.write(directory .. "/.curlrc", "insecure\n")
    local result = h.script.run {
      code = [[
        local client = seerstack.new { log_level = "off" }
        local _, _, err = client.events.capture({ name = "a" },
          { wait = true, max_retries = 0 })
        print(err.name)
      ]],
      env = h.environment(api.tls_url, api.key, {
        HOME = directory, CURL_HOME = directory, SSL_CERT_FILE = false,
      }),
    }
    assert.equal("APIConnectionError\n", result.stdout, result.stderr)
    assert.equal(0, api:status().requests)
  end)
end)
