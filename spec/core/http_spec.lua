local cjson = require "cjson"
local exchange = require "spec.support.exchange"
local server = require "spec.support.server"
local shell = require "dev.shell"
local slow = require "spec.support.slow"
local standin = require "dev.standin"

local x

before_each(function()
  x = exchange.open()
end)

after_each(function()
  x:close()
end)

-- The lines of a request's head in alphabetical order, the request line
-- apart.
local function head_of(request)
  local first, rest = request.head:match("^(.-)\r\n(.*)\r\n\r\n$")
  local lines = {}
  for line in (rest .. "\r\n"):gmatch("(.-)\r\n") do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  return first, lines
end

local UUID = "^Idempotency%-Key: " .. ("%x"):rep(8) .. "%-" .. ("%x"):rep(4)
  .. "%-4" .. ("%x"):rep(3) .. "%-[89ab]" .. ("%x"):rep(3) .. "%-"
  .. ("%x"):rep(12) .. "$"

local function assert_head(request, path)
  local first, lines = head_of(request)
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
      x.client = x:new { api_key = x.key, max_event_bytes = 4000000 }
      x:capture("a.b", { text = text })
      x:settle()
      assert_head(x.requests[i], "/capture")
      assert.is_true(text == exchange.body_of(x.requests[i]).data.text)
    end
  end)

  it("has the same head when a waiter sends it", function()
    x:child({ code = [[
      local client = require "seerstack".new()
      assert(client.events.capture({ name = "a.b" }, { wait = true }))
    ]] }, exchange.ok)
    assert_head(x.requests[1], "/capture")
  end)

  it("goes below the base URL's path", function()
    for base, path in pairs {
      ["/p"] = "/p/capture", ["/p/"] = "/p/capture", ["/"] = "/capture",
      ["/a/b%20c/"] = "/a/b%20c/capture",
    } do
      local before = #x.requests
      x.client = x:new { api_key = x.key, base_url = x.url .. base }
      x:capture("a.b")
      x:settle()
      assert_head(x.requests[before + 1], path)
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
    local home = shell.temporary_directory("home")
    shell.write(home .. "/.netrc",
      "machine 127.0.0.1 login someone password netrc-secret\n"
      .. "default login someone password netrc-secret\n")
    local result = x:child({ env = { HOME = home }, code = [[
      local client = require "seerstack".new()
      assert(client.events.capture({ name = "a.b" }, { wait = true }))
    ]] }, exchange.ok)
    shell.remove(home)
    assert.equal("", result.stderr)
    assert_head(x.requests[1], "/capture")
  end)
end)

describe("an answer", function()
  local function last_error(bytes)
    x.client = x:new { initial_retry_delay = 40, max_retry_delay = 40 }
    x:capture("a.b")
    x:serve(function(_, peer)
      peer:send(bytes)
      return "close"
    end, function()
      local stats = x.client:stats()
      return stats.last_error or stats.pending == 0
    end)
    return exchange.adds_up(x.client).last_error
  end

  it("may have a sloppy status line", function()
    for _, line in ipairs {
      "HTTP/1.1 200", "HTTP/1.1  200 OK", "HTTP/1.0 200 OK", "HTTP/2 200 OK",
    } do
      assert.is_nil(last_error(line .. "\r\nContent-Length: 0\r\n\r\n"))
      assert.equal(1, x.client:stats().delivered, line)
    end
  end)

  it("has one status, whatever its headers look like", function()
    for _, line in ipairs { "HTTP/1.1 200 OK", "HTTP/x: 200" } do
      assert.matches("^500 ", last_error("HTTP/1.1 500 No\r\n" .. line
        .. "\r\nContent-Length: 0\r\n\r\n"))
    end
  end)

  it("without a status is no answer", function()
    for _, bytes in ipairs {
      "HTTP/1.1 101 Switching Protocols\r\n\r\nx", "HTTP/1.1 99 X\r\n\r\n",
      "HTTP/1.1 1000 X\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/3 200\r\n\r\n",
      "HTTP/1.1 103 Early Hints\r\n\r\n", "200 OK\r\n\r\n", "\r\n",
    } do
      assert.is_nil(last_error(bytes):match "^%d%d%d ", bytes)
      assert.is_nil(last_error(bytes):match "No error", bytes)
      assert.equal(1, x.client:stats().pending, bytes)
    end
  end)
end)

describe("a hostile server", function()
  local MUCH = 2000000
  -- memcheck, too, sees what four transfers at a time can do.
  local EVENTS = os.getenv "SANITIZER" == "valgrind" and 4 or 12
  -- KiB. The ceilings are for each of four transfers; a sanitizer keeps what
  -- was freed for a while.
  local GROWTH = os.getenv "SANITIZER" and 20000 or 4000

  -- What the server answers to the first attempt of each event, and whether
  -- that is a success.
  local CASES = {
    { "garbage", false, "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
    { "zeros without end", false, ("\0"):rep(MUCH) },
    { "a status line without end", false,
      "HTTP/1.1 200 " .. ("x"):rep(MUCH) },
    { "a flood of 100 Continue", false,
      ("HTTP/1.1 100 Continue\r\n\r\n"):rep(MUCH / 25) },
    { "a flood of 103 Early Hints", false,
      ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):rep(MUCH / 40) },
    { "an upgrade that nobody asked for", false,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
      .. "Connection: Upgrade\r\n\r\n" .. ("x"):rep(MUCH) },
    { "megabytes of headers", true,
      "HTTP/1.1 200 OK\r\n" .. ("X-Pad: " .. ("x"):rep(991) .. "\r\n")
      :rep(MUCH / 1000) },
    { "a header without end", true,
      "HTTP/1.1 200 OK\r\nX-Pad: " .. ("x"):rep(MUCH) },
    { "a body without end", true,
      "HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(MUCH) },
    { "chunks without end", true,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. ("3e8\r\n" .. ("x"):rep(1000) .. "\r\n"):rep(MUCH / 1000) },
    { "trailers without end", true,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
      .. ("X-Pad: " .. ("x"):rep(991) .. "\r\n"):rep(MUCH / 1000) },
    { "a chunk size without end", true,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. ("1"):rep(MUCH) },
    { "an error's body without end", false,
      "HTTP/1.1 500 No\r\n\r\n" .. ("x"):rep(MUCH) },
    { "an error's headers without end", false,
      "HTTP/1.1 500 No\r\n" .. ("X-Pad: " .. ("x"):rep(991) .. "\r\n")
      :rep(MUCH / 1000) },
  }

  local CODE = "local slow = " .. slow .. [[

    local function resident()
      for line in io.lines "/proc/self/status" do
        local kilobytes = line:match "^VmHWM:%s*(%d+)"
        if kilobytes then
          return tonumber(kilobytes)
        end
      end
    end
    local client = require "seerstack".new {
      timeout = 5 * slow, initial_retry_delay = 0.005, max_retry_delay = 0.01,
      rate_limit = false, max_in_flight = 4,
    }
    client.events.capture { name = "good" }
    assert(client:flush(10 * slow))
    local before = resident()
    for i = 1, EVENTS do
      client.events.capture { name = "n" .. i }
    end
    assert(client:flush(20 * slow))
    local stats = client:stats()
    print(stats.delivered, stats.rejected, stats.dropped, stats.pending)
    print(resident() - before)
  ]]

  for _, case in ipairs(CASES) do
    local what, success, bytes = case[1], case[2], case[3]
    it("that sends " .. what .. " costs neither memory nor time", function()
      local seen = { good = true }
      local code = CODE:gsub("EVENTS", EVENTS)
      local result = x:child({ code = code },
        function(request)
          local name = exchange.body_of(request).name
          if seen[name] then
            return exchange.ok()
          end
          seen[name] = true
          return "raw", bytes
        end)
      local counts, growth = result.stdout:match "^(.-)\n(%d+)\n$"
      assert.equal((EVENTS + 1) .. "\t0\t0\t0", counts)
      assert.equal(1 + EVENTS * (success and 1 or 2), #x.requests)
      assert.is_true(tonumber(growth) < GROWTH, growth .. " KiB more")
      assert.is_true(result.seconds < 8 * slow, result.seconds .. " s")
    end)
  end

  it("that says nothing is left after the timeout", function()
    x.client = x:new { timeout = 0.2 }
    x:capture("a.b")
    x:serve(function() return "hold" end, function()
      return x.client:stats().last_error
    end)
    assert.matches("timed out", x.client:stats().last_error)
    assert.equal(1, x:settle().delivered)
    assert.is_true(x.requests[2].time - x.requests[1].time >= 0.2)
  end)

  it("that says a byte now and then is left after the timeout", function()
    x.client = x:new {
      timeout = 0.4, initial_retry_delay = 40, max_retry_delay = 40,
    }
    x:capture("a.b")
    local held, sent, answer = nil, 0, "HTTP/1.1 200" .. (" "):rep(4000)
    x:serve(function(_, peer)
      held = peer
      return "hold"
    end, function()
      if held and held.open then
        sent = sent + 1
        held:send(answer:sub(sent, sent))
      end
      return x.client:stats().last_error
    end)
    assert.matches("timed out", x.client:stats().last_error)
    assert.is_true(sent > 5)
    assert.equal(1, exchange.adds_up(x.client).pending)
  end)

  it("that never ends an answer does not keep a waiter", function()
    local child = x:child({ code = [[
      local client = require "seerstack".new { exit_timeout = 0 }
      local socket = require "socket"
      local before = socket.gettime()
      local _, message, err = client.events.capture({ name = "a.b" },
        { wait = true, max_retries = 0,
          timeout = 0.3 * require "spec.support.slow" })
      print(err.name, err.status, socket.gettime() - before
        < 5 * require "spec.support.slow")
    ]] }, function()
      return "raw", "HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\n{"
    end)
    assert.equal("BadRequestError\t400\ttrue\n", child.stdout)
  end)

  it("that resets in the midst of anything loses no event", function()
    x.client = x:new { max_in_flight = 4, initial_retry_delay = 0.001,
      max_retry_delay = 0.005 }
    x:capture_many(100)
    local number = 0
    x:settle(function(_, peer)
      number = number + 1
      if number % 3 == 0 then
        return exchange.ok()
      elseif number % 3 == 1 then
        peer:send("HTTP/1.1 5")
      end
      return "reset"
    end)
    assert.equal(100, exchange.adds_up(x.client).delivered)
  end)
end)

describe("TLS", function()
  local api

  setup(function()
    api = standin.start()
  end)

  teardown(function()
    api:stop()
  end)

  local CODE = [[
    local client = require "seerstack".new {
      initial_retry_delay = 0.01, exit_timeout = 0,
    }
    client.events.capture { name = "a.b" }
    local ok = client:flush(%s)
    local stats = client:stats()
    print(ok, stats.delivered, stats.rejected, stats.pending)
    print(stats.last_error)
  ]]

  local function run(seconds, url, file)
    return x:child({ code = CODE:format(seconds * slow), env = {
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

describe("a proxy", function()
  local PROXIES = {
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
  }
  local CODE = [[
    local client = require "seerstack".new {
      initial_retry_delay = 0.05, exit_timeout = 0,
    }
    local response, message = client.events.capture({ name = "a.b" },
      { wait = true, timeout = ]] .. 5 * slow .. [[, max_retries = 0 })
    print(response and "response" or message)
  ]]
  local ABROAD = "http://api.example.invalid/p"

  -- Runs a program that knows of no proxy but these.
  local function run(url, variables, handler)
    local env = { SEERSTACK_BASE_URL = url }
    for _, name in ipairs(PROXIES) do
      env[name] = variables[name] or false
    end
    local result = x:child({ code = CODE, env = env }, handler)
    return result.stdout, result.stderr
  end

  it("from the environment gets the requests", function()
    for _, name in ipairs { "http_proxy", "all_proxy", "ALL_PROXY" } do
      assert.equal("response\n", (run(ABROAD, { [name] = x.url })))
      local request = x.requests[#x.requests]
      assert.equal(ABROAD .. "/capture", request.target)
      assert.equal("POST", request.method)
      assert.equal("api.example.invalid", request.headers.host)
      assert.equal("Bearer " .. x.key, request.headers.authorization)
      assert.equal("a.b", exchange.body_of(request).name)
    end
    assert.equal(3, #x.requests)
  end)

  it("in HTTP_PROXY is not used: a CGI script's client can set it",
    function()
      local gone = server.refusing()
      assert.equal("response\n", (run(x.url, { HTTP_PROXY = gone.url })))
      assert.equal("/capture", x.requests[1].target)
    end)

  it("is not used for a host in no_proxy", function()
    local gone = server.refusing()
    for _, name in ipairs { "no_proxy", "NO_PROXY" } do
      for _, hosts in ipairs { "127.0.0.1", "a.example,127.0.0.1", "*" } do
        assert.equal("response\n", (run(x.url, {
          http_proxy = gone.url, [name] = hosts,
        })))
        assert.equal("/capture", x.requests[#x.requests].target)
      end
    end
    assert.matches("connect", (run(x.url, {
      http_proxy = gone.url, no_proxy = "other.example",
    })))
  end)

  it("of the other scheme is not used", function()
    local gone = server.refusing()
    assert.equal("response\n", (run(x.url, {
      https_proxy = gone.url, HTTPS_PROXY = gone.url,
    })))
  end)

  it("is asked to connect to an https server, and does not get the key",
    function()
      for _, name in ipairs {
        "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
      } do
        local before = #x.requests
        local out = run("https://api.example.invalid", { [name] = x.url },
          function() return 502, nil, "no" end)
        assert.matches("502", out)
        assert.equal(before + 1, #x.requests)
        local request = x.requests[before + 1]
        assert.equal("CONNECT api.example.invalid:443 HTTP/1.1",
          (head_of(request)))
        assert.is_nil(request.head:find(x.key, 1, true))
        assert.is_nil(request.headers["idempotency-key"])
      end
    end)

  it("gets the credentials in its URL, and nobody else hears of them",
    function()
      local proxy = x.url:gsub("//", "//someone:proxy%%2Dsecret@")
      local out, errors = run(ABROAD, { http_proxy = proxy },
        function(request)
          assert.matches("^Basic ", request.headers["proxy-authorization"])
          return 407, nil, "no"
        end)
      assert.equal("407 no\n", out)
      assert.is_nil((out .. errors):find("secret", 1, true))
      x.server:close_listener()
      out, errors = run(ABROAD, { http_proxy = proxy })
      assert.not_equal("response\n", out)
      assert.is_nil((out .. errors):find("secret", 1, true))
    end)
end)

describe("a key that the server sends back", function()
  -- With characters that JSON may or must escape.
  local KEY = 'sk_test/"echo\\key'
  local CODE = [[
    local cjson = require "cjson"
    local client = require "seerstack".new { max_retries = 0 }
    for i = 1, %d do
      local response, message, err = client.events.capture({ name = "a.b" },
        { wait = true })
      if response then
        print(cjson.encode(response), cjson.encode(message.headers))
      else
        print(message, err.message, tostring(err), cjson.encode(err.body),
          cjson.encode(err.headers))
      end
      client.events.capture { name = "queued" }
      client:flush(10)
      print(client:stats().last_error)
    end
  ]]

  local function everything(answers)
    x.key = KEY
    local before, number = #x.requests, 0
    local result = x:child({ code = CODE:format(#answers) }, function()
      number = number + 1
      return exchange.answer(answers[math.ceil(number / 2)])
    end)
    assert.equal(before + 2 * #answers, #x.requests)
    assert.equal("Bearer " .. KEY, x.requests[1].headers.authorization)
    return result.stdout .. result.stderr
  end

  local function assert_masked(text)
    assert.is_nil(text:find(KEY, 1, true), text)
    assert.is_nil(text:find("echo", 1, true), text)
    assert.is_nil(text:find("sk", 1, true), text)
    assert.matches("%*", text)
  end

  it("is masked in the body, in the message and on stderr", function()
    assert_masked(everything {
      { 400, nil, "your key is " .. KEY .. ", and " .. KEY .. " is bad" },
      { 422, nil, KEY },
      { 400, nil, KEY .. KEY .. "k" .. KEY },
    })
  end)

  it("is masked when it is escaped as in JSON", function()
    assert_masked(everything {
      { 400, nil, cjson.encode { error = "bad key " .. KEY } },
      { 400, nil, '{"error":"sk_test/\\"echo\\\\key"}' },
      { 400, nil, '{"error":"\\u0073k_test\\u002F\\u0022\\u0065cho'
        .. '\\u005ckey"}' },
      { 200, nil, cjson.encode { success = true, key = KEY } },
    })
  end)

  it("is masked in the headers", function()
    assert_masked(everything {
      { 400, { ["X-Sent"] = "Bearer " .. KEY }, "{}" },
      { 200, { ["X-Sent"] = KEY }, "{}" },
    })
  end)

  it("is masked when only its beginning was read", function()
    for _, limit in ipairs { 65536, 512, 200 } do
      for inside = 1, #KEY, 4 do
        assert_masked(everything {
          { 400, nil, ("x"):rep(limit - inside) .. KEY .. ("x"):rep(9999) },
        })
      end
    end
  end)

  it("is not on stderr when the endpoint backs off, or at exit", function()
    x.key = KEY
    local result = x:child({ code = [[
      local client = require "seerstack".new {
        exit_timeout = 0.3, initial_retry_delay = 0.05,
      }
      client.events.capture { name = "a.b" }
    ]] }, function()
      return 401, { ["X-Sent"] = KEY }, '{"error":"bad key ' .. KEY .. '"}'
    end)
    assert_masked(result.stderr)
    assert.matches("not delivered before exit", result.stderr)
  end)
end)
