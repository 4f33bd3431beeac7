-- What a client shows of itself where a server wants its certificate:
-- client_cert, client_key and client_key_password.

local h = require "spec.helper"
local seerstack = require "seerstack"

local PASSWORD = "hush-hush"

-- The server wants a certificate of `ours` or of `theirs`.
local api, ours, theirs, directory, cert, key, encrypted

-- A certificate that nobody but our server knows.
local function openssl(command)
  assert.equal(0, h.shell.run("openssl " .. command .. " 2>/dev/null"))
end

local function make(name)
  openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    .. " -days 2 -subj /CN=" .. name .. " -keyout "
    .. h.shell.quote(directory .. "/" .. name .. ".key") .. " -out "
    .. h.shell.quote(directory .. "/" .. name .. ".pem"))
  return {
    cert = h.shell.read(directory .. "/" .. name .. ".pem"),
    key = h.shell.read(directory .. "/" .. name .. ".key"),
  }
end

setup(function()
  directory = h.shell.temporary_directory("identity")
  ours, theirs = make "ours", make "theirs"
  cert, key = directory .. "/ours.pem", directory .. "/ours.key"
  encrypted = directory .. "/encrypted.key"
  openssl("pkcs8 -topk8 -in " .. h.shell.quote(key) .. " -out "
    .. h.shell.quote(encrypted) .. " -passout pass:" .. PASSWORD)
  api = h.start_standin { client_ca = ours.cert .. theirs.cert }
end)

teardown(function()
  api:stop()
  h.shell.remove(directory)
end)

before_each(function()
  api:reset()
end)

local function new(options)
  return (h.client(api.tls_url, h.merge({
    api_key = api.key, ca_file = api.ca_file, log_level = "off",
    max_retries = 0,
  }, options)))
end

local function deliver(client)
  return client.events.capture({ name = "a.b" }, { wait = true })
end

-- Whose certificate the server saw with the last event.
local function last_seen()
  local events = api:events()
  return events[#events].client
end

local function assert_shows(name, client)
  assert(deliver(client))
  assert.equal("CN=" .. name, last_seen())
end

local function assert_refused(client)
  local message = h.assert_failure("BadRequestError", deliver(client))
  assert.matches("No required SSL certificate was sent", message)
end

describe("client_cert and client_key", function()
  it("are shown, as files or as text, of queued events too", function()
    assert_refused(new {})
    assert_shows("ours", new { client_cert = cert, client_key = key })
    assert_shows("ours", new { client_cert = cert, client_key = ours.key })
    assert_shows("ours", new { client_cert = ours.cert, client_key = key })
    local client = new { client_cert = theirs.cert, client_key = theirs.key }
    client.events.capture { name = "queued" }
    assert.is_true(client:flush(10))
    assert.equal("CN=theirs", last_seen())
  end)

  it("may be one file, or one text", function()
    local both = directory .. "/both.pem"
    h.shell.write(both, ours.key .. ours.cert)
    assert_shows("ours", new { client_cert = both })
    assert_shows("ours", new { client_cert = ours.cert .. ours.key })
  end)

  it("are read when the client is made, and may be gone then", function()
    local copies = { client_cert = directory .. "/copy.pem",
      client_key = directory .. "/copy.key" }
    h.shell.write(copies.client_cert, ours.cert)
    h.shell.write(copies.client_key, ours.key)
    local client = new(copies)
    os.remove(copies.client_cert)
    os.remove(copies.client_key)
    assert_shows("ours", client)
    assert_shows("ours", client:with_options {})
  end)

  it("are read by configure, and may be gone at the first use", function()
    h.shell.write(directory .. "/once.pem", ours.cert)
    h.shell.write(directory .. "/once.key", ours.key)
    local result = h.script.run {
      code = [[
        local cert, key = arg[1] .. ".pem", arg[1] .. ".key"
        seerstack.configure { client_cert = cert, client_key = key }
        os.remove(cert)
        os.remove(key)
        local _, http = seerstack.capture({ name = "a" }, { wait = true })
        print(http.status)
      ]],
      args = { directory .. "/once" },
      env = h.environment(api.tls_url, api.key,
        { SSL_CERT_FILE = api.ca_file }),
    }
    assert.equal("200\n", result.stdout, result.stderr)
  end)

  it("are each client's own: none goes over another's connection", function()
    local mine = new { client_cert = cert, client_key = key }
    local others = mine:with_options {
      client_cert = theirs.cert, client_key = theirs.key,
    }
    local nobodys = new {}
    for _ = 1, 3 do
      assert_shows("ours", mine)
      assert_shows("theirs", others)
      assert_refused(nobodys)
      assert_shows("ours", mine:with_options { headers = { ["X-A"] = 1 } })
    end
  end)

  it("that do not belong together fail where they are used", function()
    local client = new { client_cert = cert, client_key = theirs.key }
    h.assert_failure("APIConnectionError", deliver(client))
    client.events.capture { name = "kept" }
    h.wait(function() return client:stats().retry_at end)
    h.assert_counts(client, { delivered = 0, pending = 1 })
    client:close(0)
  end)

  it("are shown to no other origin", function()
    local gone = h.start_standin { client_ca = ours.cert }
    api:config { fail_status = 307, fail_count = 1, fail_headers = {
      Location = gone.tls_url .. "/capture" } }
    local authorities = directory .. "/authorities.pem"
    h.shell.write(authorities,
      h.shell.read(api.ca_file) .. h.shell.read(gone.ca_file))
    local client = new { client_cert = cert, client_key = key,
      ca_file = authorities }
    local ok, problem = pcall(assert_refused, client)
    local reached = gone:status().requests
    gone:stop()
    api:config { fail_status = false, fail_count = false,
      fail_headers = false }
    assert.is_true(ok, problem)
    assert.equal(0, reached)
    assert_shows("ours", client)
  end)
end)

describe("client_key_password", function()
  it("that is wrong, or empty, fails and asks nobody", function()
    assert_shows("ours", new { client_cert = cert, client_key = key })
    for _, wrong in ipairs { "wrong", "" } do
      h.assert_failure("APIConnectionError", deliver(new {
        client_cert = cert, client_key = encrypted,
        client_key_password = wrong,
      }))
    end
  end)

  it("opens the key", function()
    assert_shows("ours", new { client_cert = cert, client_key = encrypted,
      client_key_password = PASSWORD })
    assert_shows("ours", new { client_key_password = PASSWORD,
      client_cert = ours.cert .. h.shell.read(encrypted) })
  end)

  it("is masked in what is told", function()
    local told = {}
    local client = new { client_cert = cert, client_key = encrypted,
      client_key_password = PASSWORD, log_level = "debug",
      before_send = function() error("it is " .. PASSWORD) end,
      logger = function(_, text) told[#told + 1] = text end }
    local _, message = deliver(client)
    client:poll()
    told[#told + 1] = message
    local text = table.concat(told, "\n")
    assert.matches("it is ***", text, 1, true)
    assert.is_nil(text:find(PASSWORD, 1, true))
  end)
end)

describe("a certificate, its key and the password", function()
  local function assert_raises(option, said, options)
    local place = "option '" .. option .. "': " .. said
    for _, f in ipairs {
      seerstack.configure, seerstack.new,
      function(o) return new({}):with_options(o) end,
    } do
      h.assert_raises_with(place, f, options)
    end
  end

  it("are given together", function()
    assert_raises("client_key", "cannot be given without 'client_cert'",
      { client_key = key })
    assert_raises("client_key_password",
      "cannot be given without 'client_cert'",
      { client_key_password = PASSWORD })
    assert_raises("client_key", "missing, and there is none in 'client_cert'",
      { client_cert = cert })
    assert_raises("client_key_password", "missing, and the key is encrypted",
      { client_cert = cert, client_key = encrypted })
  end)
end)
