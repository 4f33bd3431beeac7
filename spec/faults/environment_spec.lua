-- What the environment does to requests: proxies that fail, and .netrc.

local h = require "spec.helper"
local ssl = require "ssl"

local answer = h.faults.answer
local BRIEF = { timeout = 0.8 }
local ABROAD = "http://api.example.invalid/p"
local BAD = "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"
local LOGIN = "HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic realm=x\r\n"
  .. "Content-Length: 0\r\n\r\n"

local lines = {}

-- A proxy for a plain URL, by each of its variables in turn.
local NAMES = { "http_proxy", "all_proxy", "ALL_PROXY" }

local function plain(what, fault, queued, waited, options, state)
  lines[#lines + 1] = {
    what, fault, queued, waited, options, state = state, base_url = ABROAD,
    environment = { [NAMES[#lines % #NAMES + 1]] = "URL" },
  }
end

plain("refuses", nil, "again", "APIConnectionError", nil, "refuse")
plain("accepts nobody", nil, "again", "APITimeoutError", BRIEF, "deafen")
plain("resets", function(peer)
  peer:read(10)
  peer:close "reset"
end, "again", "APIConnectionError")
plain("closes", function(peer) peer:request() end, "again",
  "APIConnectionError")
plain("hangs", answer("", "hold"), "again", "APITimeoutError", BRIEF)
plain("wants a login", answer(LOGIN, "keep"), "again", "APIStatusError")
plain("is a bad gateway", answer(BAD, "keep"), "again",
  "InternalServerError")
plain("says that there is no such host",
  answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "keep"), "again",
  "NotFoundError")
plain("shows a page of its own",
  answer "HTTP/1.1 302 Go\r\nLocation: http://login.example.invalid/\r\n\r\n",
  "again", "APIConnectionError", BRIEF)
plain("answers garbage", answer(("\255"):rep(500)), "again",
  "APIConnectionError")
lines[9][4] = nil -- who waits is sent on to another proxied host

-- A tunnel to a server with TLS.
local directory = h.certificate.make {}
local CONTEXT = assert(ssl.newcontext {
  mode = "server", protocol = "any", options = "all",
  certificate = directory .. "/cert.pem", key = directory .. "/key.pem",
})

local function lead(peer)
  if peer:head() then
    peer.slow = true
    peer:send "HTTP/1.1 200 Connection established\r\n\r\n"
    if peer:secure(CONTEXT) then
      h.faults.serve_once(peer)
    end
  end
end

local SECURE = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" }

local function tunnel(what, fault, queued, waited, timeout, state)
  lines[#lines + 1] = {
    "for a tunnel " .. what, fault, queued, waited,
    { ca_file = directory .. "/cert.pem", timeout = timeout or 20 },
    state = state, base_url = "https://localhost", serve = lead,
    environment = { [SECURE[#lines % #SECURE + 1]] = "URL" },
  }
end

-- What is said to a CONNECT, and then one of "close", "reset", "hold".
local function to_connect(bytes, after)
  return function(peer)
    peer:head()
    peer:send(bytes)
    if after == "hold" then
      peer:hold()
    else
      peer:close(after)
    end
  end
end

local NONE = "APIConnectionError"
tunnel("refuses", nil, "again", NONE, nil, "refuse")
tunnel("closes", to_connect "", "again", NONE)
tunnel("resets", to_connect("", "reset"), "again", NONE)
tunnel("hangs", to_connect("", "hold"), "again", "APITimeoutError", 0.8)
tunnel("wants a login", to_connect(LOGIN), "again", NONE)
tunnel("forbids it", to_connect "HTTP/1.1 403 No\r\n\r\n", "again", NONE)
tunnel("is a bad gateway", to_connect(BAD), "again", NONE)
tunnel("says 200 and closes", to_connect "HTTP/1.1 200 OK\r\n\r\n", "again",
  NONE)
tunnel("says 200 and resets", to_connect("HTTP/1.1 200 OK\r\n\r\n", "reset"),
  "again", NONE)
tunnel("says 200 and hangs", to_connect("HTTP/1.1 200 OK\r\n\r\n", "hold"),
  "again", "APITimeoutError", 0.8)
tunnel("says 200 and speaks HTTP", to_connect("HTTP/1.1 200 OK\r\n\r\n"
  .. h.faults.OK), "again", NONE)
tunnel("says 200 with a body", to_connect("HTTP/1.1 200 OK\r\n"
  .. "Content-Length: 5\r\n\r\nhello"), "again", NONE)
tunnel("begins with a folded header", to_connect(
  "HTTP/1.1 200 OK\r\n x: y\r\n\r\n"), "again", NONE)
tunnel("answers 1 MB of headers", to_connect("HTTP/1.1 200 OK\r\n"
  .. ("X-Pad: " .. ("x"):rep(990) .. "\r\n"):rep(1000)), "again", NONE)
tunnel("answers garbage", to_connect(("\255"):rep(500)), "again", NONE)

h.faults.describe("a proxy", lines)

describe("a .netrc", function()
  local NETRC = "machine localhost login bob password netrc-secret\n"
    .. "machine 127.0.0.1 login bob password netrc-secret\n"
    .. "default login bob password netrc-secret\n"

  -- A redirect to another origin goes without the key: there is the place
  -- for what a .netrc says.
  it("is not read, wherever it lies, for any request", function()
    local home = h.shell.temporary_directory "home"
    h.shell.write(home .. "/.netrc", NETRC)
    h.shell.run("chmod 600 " .. h.shell.quote(home .. "/.netrc"))
    for _, place in ipairs {
      { HOME = home }, { HOME = "/nonexistent", NETRC = home .. "/.netrc" },
      { HOME = "." },
    } do
      local x, other = h.open(), h.server.new()
      place.http_proxy = x.url
      local elsewhere = "http://localhost:" .. other.port .. "/there"
      local child = require "spec.support.script".start {
        directory = home, code = [[
          for _, proxy in ipairs { false, os.getenv "http_proxy" } do
            local client = seerstack.new {
              proxy = proxy, log_level = "off", max_retries = 0,
            }
            assert(client.events.capture({ name = "a" }, { wait = true }))
            assert(client.events.capture { name = "b" })
            assert(client:flush(20))
          end
        ]], env = {
          SEERSTACK_BASE_URL = x.url, SEERSTACK_API_KEY = x.key,
          LUA_PATH = package.path:gsub("%./", h.shell.output "pwd" .. "/"),
          LUA_CPATH = package.cpath:gsub("build/", h.shell.output "pwd"
            .. "/build/"),
          HOME = place.HOME, NETRC = place.NETRC,
          http_proxy = place.http_proxy,
        },
      }
      x:serve(function(request)
        if h.body_of(request).name == "a"
          and not request.target:find("there", 1, true) then
          return 307, { Location = elsewhere }
        end
        return h.ok()
      end, function()
        other:serve { handler = h.ok, until_ = function()
          return true
        end }
        return child:done()
      end, 30)
      h.ended_well(child)
      assert.equal(1, #other.requests)
      assert.equal(5, #x.requests)
      for _, requests in ipairs { x.requests, other.requests } do
        for _, request in ipairs(requests) do
          assert.is_nil(request.head:find("Basic", 1, true), request.head)
        end
      end
      x:close()
      other:close()
    end
    h.shell.remove(home)
  end)
end)

teardown(function()
  h.shell.remove(directory)
end)
