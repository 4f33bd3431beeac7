-- examples/nginx: a visitor waits for an answer of the API, and others do not
-- notice. And the SDK's TLS beside nginx's own.

local h = require "spec.helper"

local count = h.nginx_count
local socket = require "socket"

describe("nginx", function()
  -- Connections end often, so that there are always handshakes.
  local api = h.own_standin({ keepalive_requests = 20 },
    count.clean_up)

  local ELSEWHERE = [[
location = /elsewhere { content_by_lua_block { ngx.print "elsewhere" } }
location = /blocking {
  content_by_lua_block {
    assert(require("analytics").client.events.capture(
      { name = "blocking" }, { wait = true }))
  }
}
]]

  -- Sends `visitors` requests for a path at once. Until they are answered,
  -- somebody visits another location, a hundred times a second at most. The
  -- slowest answer to that, in seconds, and how many there were.
  local function slowest_elsewhere(server, path, visitors)
    local waiting = h.start {
      commands = h.shell.join { "curl", "-sfZ", "--parallel-max",
        tostring(visitors), "--parallel-immediate", "-o", "/dev/null",
        ("%s%s?user=[1-%d]"):format(server.url, path, visitors) },
    }
    local slowest, answers, ended = 0, 0, false
    while not ended do
      ended = waiting:done()
      local begun = socket.gettime()
      assert.equal("elsewhere", server:fetch "/elsewhere")
      slowest = math.max(slowest, socket.gettime() - begun)
      answers = answers + 1
      socket.sleep(0.01)
    end
    assert.equal(0, waiting:wait().status)
    return slowest, answers
  end

  it("serves others while requests wait a second", function()
    api:config { delay = 1 }
    local server = h.nginx.start {
      api = api, workers = 1, server = ELSEWHERE,
      files = { ["analytics.lua"] = {} },
    }
    -- A machine that is busy with something else may need several attempts;
    -- a worker that is held up would fail in each.
    local slowest, attempts = math.huge, 0
    while slowest >= 0.2 and attempts < 10 do
      slowest = math.min(slowest, slowest_elsewhere(server, "/signup", 16))
      attempts = attempts + 1
    end
    assert.is_true(slowest < 0.2, slowest .. " s")
    assert.is_true(slowest_elsewhere(server, "/blocking", 1) >= 0.9)
    server:stop()
    assert.equal(16 * attempts + 1, api:count())
    assert.equal("", server:problems())
  end)

  -- nginx serves TLS, speaks it through a cosocket, and so does the client.
  local TLS_HTTP = "lua_ssl_trusted_certificate {{directory}}/cert.pem;\n"

  local TLS_SERVER = [[
listen 127.0.0.1:{{tls_port}} ssl;
ssl_certificate %s/cert.pem;
ssl_certificate_key %s/key.pem;
location = /tls {
  rewrite_by_lua_block {
    local peer = ngx.socket.tcp()
    assert(peer:connect("127.0.0.1", %d))
    assert(peer:sslhandshake(nil, "localhost", true))
    assert(peer:send("GET /_count HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    assert(assert(peer:receive("*a")):find '"count":')
    assert(peer:close())
    ngx.exec "/count"
  }
}
]]

  it("loses nothing when three speak TLS at once", function()
    api:config { keep = false }
    -- Root's directory is closed to workers.
    local certificate = h.shell.read(api.ca_file)
    local server = count.start {
      api = api,
      client = "exit_timeout = 30, ca_blob = [[\n" .. certificate .. "]],",
      env = { SEERSTACK_BASE_URL = api.tls_url },
      texts = { ["cert.pem"] = certificate },
      http = TLS_HTTP,
      server = TLS_SERVER:format(api.directory, api.directory, api.tls_port),
    }
    -- wrk asks the resolver even for localhost, and checks no certificate.
    local url = server.tls_url:gsub("localhost", "127.0.0.1") .. "/tls"
    local load = count.load(server, url, "-H 'Connection: close'")
    count.wait_for(server, load, 1000)
    server:stop()
    assert.equal(count.sum(count.final(server), "true"), api:count())
    assert.equal("", server:problems())
    assert.equal("", h.shell.read(api.directory .. "/error.log"))
  end)
end)
