local cjson = require "cjson"
local h = require "spec.helper"

local x = h.exchange()

local UUID = "^Idempotency%-Key: " .. ("%x"):rep(8) .. "%-" .. ("%x"):rep(4)
  .. "%-4" .. ("%x"):rep(3) .. "%-[89ab]" .. ("%x"):rep(3) .. "%-"
  .. ("%x"):rep(12) .. "$"

local function assert_head(request, path)
  local first, lines = h.head_of(request)
  assert.equal("POST " .. path .. " HTTP/1.1", first)
  assert.matches(UUID, lines[6])
  lines[6] = "Idempotency-Key"
  assert.same({
    "Accept: application/json",
    "Authorization: Bearer " .. x.key,
    "Content-Length: " .. #request.body,
    "Content-Type: application/json",
    "Host: 127.0.0.1:" .. x.server.port,
    "Idempotency-Key",
    "User-Agent: Seerstack/Lua 0.1.0",
  }, lines)
end

describe("a request", function()
  it("has the headers that it needs, and no others", function()
    x:capture("a.b")
    x:settle()
    x:identify("u", "U")
    x:settle()
    assert_head(x.requests[1], "/capture")
    assert_head(x.requests[2], "/identify")
  end)

  it("has the same head when its body is large", function()
    -- From a megabyte on libcurl would ask for leave.
    for i, size in ipairs { 900000, 3000000 } do
      local text = ("x"):rep(size)
      x:use { api_key = x.key, max_event_bytes = 4000000 }
      x:capture("a.b", { text = text })
      x:settle()
      assert_head(x.requests[i], "/capture")
      assert.is_true(text == h.body_of(x.requests[i]).data.text)
    end
  end)

  it("has the same head when a waiter sends it", function()
    x:child({ code = [[
      local client = seerstack.new()
      assert(client.events.capture({ name = "a.b" }, { wait = true }))
    ]] }, h.ok)
    assert_head(x.requests[1], "/capture")
  end)

  it("goes below the base URL's path", function()
    for base, path in pairs {
      ["/p"] = "/p/capture", ["/p/"] = "/p/capture", ["/"] = "/capture",
      ["/a/b%20c/"] = "/a/b%20c/capture",
    } do
      local before = #x.requests
      x:use { api_key = x.key, base_url = x.url .. base }
      x:capture("a.b")
      x:settle()
      assert_head(x.requests[before + 1], path)
    end
  end)

  it("has nothing of the one that went before", function()
    local function send_plain(path)
      if path == "/capture" then
        x:capture("a.b")
      else
        x:identify("u", "U")
      end
      x:settle()
      assert_head(x.requests[#x.requests], path)
    end
    send_plain "/capture"
    x.client.events.capture({ name = "a.b" },
      { headers = { ["X-Of-One"] = "1" }, query = { of = "one" } })
    x:settle()
    assert.equal("1", x.requests[2].headers["x-of-one"])
    send_plain "/identify"
    x.client:post("/of/one", { a = 1 })
    x:settle()
    send_plain "/capture"
    for i = 1, 3 do -- at times another client's is where the last one was
      x:use { api_key = x.key, headers = { ["X-Of-Client"] = i } }
      x:capture("a.b")
      x:settle()
      local request = x.requests[#x.requests]
      assert.equal(("%d"):format(i), request.headers["x-of-client"])
      assert.equal("POST /capture HTTP/1.1", (h.head_of(request)))
    end
  end)

  it("has an Idempotency-Key that no other has", function()
    x:capture_many(300)
    x:settle()
    local seen = {}
    for _, request in ipairs(x.requests) do
      local id = request.headers["idempotency-key"]
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)

  it("takes no credentials from a .netrc", function()
    local home = h.shell.temporary_directory("home")
    h.shell.write(home .. "/.netrc",
      "machine 127.0.0.1 login someone password netrc-secret\n"
      .. "default login someone password netrc-secret\n")
    local result = x:child({ env = { HOME = home }, code = [[
      local client = seerstack.new()
      assert(client.events.capture({ name = "a.b" }, { wait = true }))
    ]] }, h.ok)
    h.shell.remove(home)
    assert.equal("", result.stderr)
    assert_head(x.requests[1], "/capture")
  end)
end)

describe("TLS", function()
  local api = h.standin()

  local CODE = [[
    local client = seerstack.new {
      initial_retry_delay = 0.01, exit_timeout = 0,
    }
    client.events.capture { name = "a.b" }
    local ok = client:flush(%s)
    local stats = client:stats()
    print(ok, stats.delivered, stats.rejected, stats.pending)
    print(stats.last_error)
  ]]

  local function run(seconds, url, file)
    return x:child({ code = CODE:format(seconds * h.slow), env = {
      SEERSTACK_BASE_URL = url, SEERSTACK_API_KEY = api.key,
      SSL_CERT_FILE = file,
    } })
  end

  it("is spoken with a server whose certificate SSL_CERT_FILE vouches for",
    function()
      api:reset()
      local result = run(10, api.tls_url, api.ca_file)
      assert.equal("true\t1\t0\t0\nnil\n", result.stdout)
      assert.equal(1, api:count())
      assert.equal("a.b", cjson.decode(api:events()[1].body).name)
    end)

  it("is not spoken with a server that nobody vouches for", function()
    api:reset()
    for _, file in ipairs { false, "/nonexistent/ca.pem", "/dev/null" } do
      local result = run(0.5, api.tls_url, file)
      assert.matches("^nil\t0\t0\t1\n%S", result.stdout)
    end
    assert.equal(0, api:status().requests)
  end)

  it("is not spoken with a server of another name", function()
    local other = api.tls_url:gsub("localhost", "localhost.")
    local result = run(0.5, (api.tls_url:gsub("localhost", "127.0.0.2")),
      api.ca_file)
    assert.matches("^nil\t0\t0\t1\n%S", result.stdout, 1, false, other)
    assert.equal(0, api:status().requests)
  end)
end)
