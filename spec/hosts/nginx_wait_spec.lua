-- examples/nginx: a visitor waits for an answer of the API, and others do not
-- notice. And the SDK's TLS beside nginx's own.

local h = require "spec.helper"

local count = h.nginx_count

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

  -- An API that answers when it is told to, and an nginx with one worker.
  local function start_held()
    local x = h.open { enabled = false }
    return x, h.nginx.start {
      api = { key = x.key, url = x.url }, workers = 1, server = ELSEWHERE,
      files = { ["analytics.lua"] = {
        ["timeout = 5,"] = "timeout = 60,",
      } },
    }
  end

  -- Visits a path, as so many at once.
  local function visit(server, path, visitors)
    return h.start {
      commands = h.shell.join { "curl", "-svfZ", "--parallel-max",
        tostring(visitors), "--parallel-immediate", "-o", "/dev/null",
        ("%s%s?user=[1-%d]"):format(server.url, path, visitors) },
    }
  end

  -- Answers what the API holds, and all that comes until `visits` have ended,
  -- which must be well.
  local function answer(x, visits)
    for _, peer in ipairs(x.server.connections) do
      if peer.busy then
        peer.busy = false
        peer:respond(h.ok())
      end
    end
    for _, visit_ in ipairs(visits) do
      x:serve(nil, function() return visit_:done() end)
      assert.equal(0, visit_:wait().status)
    end
  end

  it("serves others while requests wait for an answer", function()
    local x, server = start_held()
    local waiting = visit(server, "/signup", 16)
    x:serve_requests(16, h.hold)
    for _ = 1, 20 do
      assert.equal("elsewhere", server:fetch "/elsewhere")
    end
    assert.is_false(waiting:done())
    answer(x, { waiting })
    server:stop()
    assert.equal(16, #x.requests)
    assert.equal("", server:problems())
    x:close()
  end)

  -- So the spec before would see a worker that is held up.
  it("serves nobody while the worker itself waits for an answer", function()
    local x, server = start_held()
    local waiting = visit(server, "/blocking", 1)
    x:serve_requests(1, h.hold)
    local elsewhere = visit(server, "/elsewhere", 1)
    h.wait(function() return elsewhere:stderr():find "> GET" end, 10)
    x:serve_while(function() return not elsewhere:done() end, h.hold, 0.3)
    answer(x, { waiting, elsewhere })
    server:stop()
    x:close()
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
