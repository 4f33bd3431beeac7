local h = require "spec.helper"
local socket = require "socket"

local function client_of(server)
  local client = assert(socket.connect("127.0.0.1", server.port))
  client:settimeout(5)
  return client
end

local function post(body)
  return "POST /capture?q=1 HTTP/1.1\r\nHost: x\r\nX-Two: a\r\nx-two: b\r\n"
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

-- A response with a body of known length, as { status line, headers, body }.
local function read_response(client)
  local status, headers = assert(client:receive("*l")), {}
  for line in function() return client:receive("*l") end do
    if line == "" then
      break
    end
    local name, value = line:match("^([^:]+): (.*)$")
    headers[name:lower()] = value
  end
  local length = tonumber(headers["content-length"] or 0)
  return { status, headers, length > 0 and client:receive(length) or "" }
end

describe("the scripted server", function()
  local server

  before_each(function()
    server = h.server.new()
  end)

  after_each(function()
    server:close()
  end)

  describe("step by step", function()
    local client, peer

    before_each(function()
      client = client_of(server)
      peer = assert(server:accept(5))
    end)

    after_each(function()
      client:close()
    end)

    it("reads a request", function()
      client:send(post("12345"))
      local request = assert(peer:request(5))
      assert.equal("POST", request.method)
      assert.equal("/capture?q=1", request.target)
      assert.equal("/capture", request.path)
      assert.equal("HTTP/1.1", request.version)
      assert.equal("a, b", request.headers["x-two"])
      assert.same({ name = "X-Two", value = "a" }, request.order[2])
      assert.equal("12345", request.body)
      assert.equal(1, request.connection)
    end)

    it("reads a request in pieces, and two in one", function()
      local text = post("12345")
      client:send(text:sub(1, 20))
      assert.same({ nil, "timeout" }, { peer:request(0.01) })
      client:send(text:sub(21) .. post("6"))
      assert.equal("12345", peer:request(5).body)
      assert.equal("6", peer:request(5).body)
    end)

    it("answers and keeps the connection", function()
      for i = 1, 2 do
        client:send(post("x"))
        peer:request(5)
        peer:respond(200 + i, { ["X-A"] = "b" }, "body" .. i)
        local response = read_response(client)
        assert.matches("^HTTP/1.1 " .. 200 + i, response[1])
        assert.same({ ["x-a"] = "b", ["content-length"] = "5" },
          response[2])
        assert.equal("body" .. i, response[3])
      end
    end)

    it("leaves a given Content-Length alone", function()
      peer:respond(200, { ["content-length"] = 9 }, "short")
      peer:close()
      assert.equal("9", (client:receive("*a")):match("length: (%d+)"))
    end)

    it("sends anything", function()
      assert.is_true(peer:send("nonsense"))
      peer:close()
      assert.equal("nonsense", (client:receive("*a")))
    end)

    it("tells that the peer has closed", function()
      client:close()
      assert.same({ nil, "closed" }, { peer:request(5) })
    end)

    it("resets", function()
      peer:reset()
      local _, problem = client:receive("*l")
      assert.is_truthy(problem)
      assert.is_nil(client:send("x"))
    end)
  end)

  it("tells that nobody came", function()
    assert.same({ nil, "timeout" }, { server:accept(0.01) })
  end)

  it("refuses connections once closed, also while a child runs", function()
    local child = h.start { code = "require('socket').sleep(20)",
      env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } }
    child:pid()
    server:close()
    assert.same({ nil, "connection refused" },
      { socket.connect("127.0.0.1", server.port) })
    child:kill("KILL")
    child:wait(5)
  end)

  describe("serve", function()
    -- One exchange with a handler's results, then what the client reads.
    local function exchange(...)
      local results = { n = select("#", ...), ... }
      local client = client_of(server)
      client:send(post("x"))
      local served = 0
      assert(server:serve {
        handler = function()
          served = served + 1
          return results[1], results[2], results[3], results[4], results[5]
        end,
        until_ = function() return served > 0 and #server.delayed == 0 end,
      })
      return client
    end

    it("answers", function()
      local response = read_response(exchange(429, { ["X-A"] = "b" }, "no"))
      assert.equal("HTTP/1.1 429 Too Many Requests", response[1])
      assert.equal("no", response[3])
      assert.equal("x", server.requests[1].body)
    end)

    it("answers late", function()
      local begun = socket.gettime()
      local client = exchange("delay", 0.1, 200, nil, "late")
      assert.equal("late", read_response(client)[3])
      assert.is_true(socket.gettime() - begun >= 0.1)
    end)

    it("writes raw bytes", function()
      local client = exchange("raw", "HTTP/1.1 200")
      server:close()
      assert.equal("HTTP/1.1 200", (client:receive("*a")))
    end)

    it("closes, resets and holds", function()
      local _, problem = exchange("close"):receive("*l")
      assert.equal("closed", problem)
      assert.is_nil((exchange("reset"):receive("*l")))
      local client = exchange("hold")
      client:settimeout(0.02)
      _, problem = client:receive("*l")
      assert.equal("timeout", problem)
    end)

    it("lets the handler answer itself", function()
      local client = client_of(server)
      client:send(post("x"))
      assert(server:serve {
        handler = function(_, peer) peer:respond(200, nil, "own") end,
        until_ = function() return #server.requests == 1 end,
      })
      assert.equal("own", read_response(client)[3])
    end)

    it("gives up at the deadline", function()
      assert.same({ nil, "timeout" }, { server:serve {
        handler = function() end,
        until_ = function() return false end,
        deadline = 0.02,
      } })
    end)

    it("writes bodies larger than the socket's buffer", function()
      local body = ("x"):rep(20000000)
      local client = client_of(server)
      client:settimeout(0)
      client:send(post("x"))
      local received = 0
      assert(server:serve {
        handler = function() return 200, nil, body end,
        until_ = function()
          local data, _, partial = client:receive(1048576)
          received = received + #(data or partial)
          return received >= #body
        end,
      })
    end)

    it("serves 5,000 requests on 16 connections", function()
      local program = h.start {
        code = [[
          local port, text = tonumber(arg[1]), arg[2]
          local clients = {}
          for i = 1, 16 do
            clients[i] = assert(socket.connect("127.0.0.1", port))
          end
          for n = 1, 5008, 16 do
            for _, client in ipairs(clients) do client:send(text) end
            for _, client in ipairs(clients) do
              assert(client:receive("*l") == "HTTP/1.1 200 OK")
              client:receive("*l")
              client:receive("*l")
              assert(client:receive(2) == "ok")
            end
          end
        ]],
        args = { server.port, post('{"name":"a"}') },
        env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
      }
      assert(server:serve {
        handler = function() return 200, nil, "ok" end,
        until_ = function() return program:done() end,
        deadline = 20,
      })
      assert.equal("", program:wait().stderr)
      assert.equal(5008, #server.requests)
      assert.equal(16, #server.connections)
    end)
  end)
end)

describe("script.run", function()
  it("returns status, output and errors", function()
    local result = h.script.run {
      code = [[
        io.write(arg[1], os.getenv "A_B", tostring(os.getenv "HOME"))
        io.write(io.read "*a")
        io.stderr:write "err"
        os.exit(7)
      ]],
      args = { "it's $1 " },
      env = { A_B = "x 'y' ", HOME = false },
      stdin = " input",
    }
    assert.equal("it's $1 x 'y' nil input", result.stdout)
    assert.equal("err", result.stderr)
    assert.equal(7, result.status)
    assert.is_nil(result.signal)
    assert.is_false(result.timed_out)
    assert.is_true(result.seconds >= 0 and result.seconds < 10)
  end)

  it("runs the interpreter that runs the specs", function()
    local code = "io.write(_VERSION, ' ', tostring(rawget(_G, 'jit')))"
    local jit = rawget(_G, "jit")
    local result = h.script.run { code = code }
    assert.matches("^" .. _VERSION .. " " .. (jit and "table" or "nil"),
      result.stdout)
  end)

  it("ends a program at its timeout", function()
    local result = h.script.run { code = "while true do end", timeout = 0.1 }
    assert.is_true(result.timed_out)
    assert.is_true(result.seconds >= 0.1)
  end)
end)

describe("wait.until_", function()
  it("returns the value", function()
    assert.equal(3, h.wait(function() return 3 end, 1))
  end)

  it("says what it waited for in vain", function()
    assert.has_error(function()
      h.wait(function() return 1 == 2 end, 0.01)
    end)
    local _, problem = pcall(h.wait, function() return 1 == 2 end, 0.01)
    assert.matches("waited %S+ s in vain for .*server_spec.*1 == 2", problem)
    _, problem = pcall(h.wait, function() end, 0.01, 0.001, "godot")
    assert.matches("for godot", problem)
  end)
end)
