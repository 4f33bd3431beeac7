local cjson = require "cjson"
local h = require "spec.helper"
local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"

describe("the stand-in", function()
  local server = h.standin()

  local function send(path, body, change)
    local chunks = {}
    local request = {
      method = "POST",
      url = server.url .. path,
      headers = {
        ["Authorization"] = "Bearer " .. server.key,
        ["Content-Type"] = "application/json",
        ["Content-Length"] = #body,
      },
      source = ltn12.source.string(body),
      sink = ltn12.sink.table(chunks),
    }
    if change then
      change(request)
    end
    local _, status, headers = http.request(request)
    local text = table.concat(chunks)
    return status, text ~= "" and cjson.decode(text) or nil, headers
  end

  -- Keep-alive, and one process for many requests.
  local function curl(arguments)
    return h.shell.output("curl -s --cacert " .. h.shell.quote(server.ca_file)
      .. " -H 'Authorization: Bearer " .. server.key
      .. "' -H 'Content-Type: application/json' " .. arguments)
  end

  describe("judges", function()
    local function header(name, value)
      return function(request)
        request.headers[name] = value
      end
    end

    it("accepts an event with 200 and JSON", function()
      local status, answer, headers = send("/capture", '{"name":"a.b"}')
      assert.equal(200, status)
      assert.same({ success = true }, answer)
      assert.equal("application/json", headers["content-type"])
    end)

    it("refuses a missing or wrong key with 401", function()
      for _, value in ipairs { "Bearer other", "", server.key } do
        local status, answer = send("/capture", '{"name":"a"}',
          header("Authorization", value))
        assert.equal(401, status)
        assert.equal("Missing or invalid API key", answer.error)
      end
      assert.equal(401, (send("/capture", '{"name":"a"}',
        header("Authorization", nil))))
    end)

    it("refuses other paths, methods and media types", function()
      assert.equal(404, (send("/other", "{}")))
      assert.equal(405, (send("/capture", "", function(request)
        request.method = "GET"
      end)))
      assert.equal(415, (send("/capture", '{"name":"a"}',
        header("Content-Type", "text/plain"))))
      assert.equal(200, (send("/capture", '{"name":"a"}',
        header("Content-Type", "application/json; charset=utf-8"))))
    end)

    local refused = {
      ["/capture"] = {
        "", "[]", "null", '"text"', "{", '{"name":"a"} x', "{}",
        '{"name":""}', '{"name":1}', '{"name":null}',
        '{"name":"a","user_id":1}', '{"name":"a","user_id":null}',
        '{"name":"a","data":[]}', '{"name":"a","data":[1]}',
        '{"x":{"data":{}},"name":"a","data" : [ ] }',
        '{"name":"a","data":"x"}', '{"name":"a","timestamp":1}',
        '{"name":"a","timestamp":"yesterday"}',
        '{"name":"a","timestamp":"2025-13-04T12:00:00Z"}',
        '{"name":"a","timestamp":"2025-01-04T12:00:00"}',
        '{"name":"a","timestamp":"2025-01-04T12:00:00.Z"}',
        '{"name":"\255"}', '{"name":"\237\160\128"}',
      },
      ["/identify"] = {
        "{}", '{"user_id":""}', '{"user_id":7}', '{"email":"a@b.c"}',
        '{"user_id":"u","email":1}', '{"user_id":"u","name":{}}',
        '{"user_id":"u","attributes":[]}',
        '{"user_id":"u","attributes":null}',
      },
    }
    local accepted = {
      ["/capture"] = {
        '{"name":"$pageview"}', '{"name":"a","user_id":"u","data":{}}',
        '{"name":"a","data":{"data":[],"b":{}}}',
        '{"name":"\\"data\\":[","data":{}}', ' {"name":"a"}\n',
        '{"name":"a","x":{"data":[]},"data":{}}',
        '{"name":"a","timestamp":"2025-01-04T12:00:00Z"}',
        '{"name":"a","timestamp":"2025-01-04T12:00:00.123+02:00"}',
        '{"name":"a","unknown":[1,2]}', '{"name":"\240\159\152\128"}',
      },
      ["/identify"] = {
        '{"user_id":"u"}',
        '{"user_id":"u","email":"e","name":"n","attributes":{"a":1}}',
      },
    }

    it("refuses ill-formed bodies with 400 and says why", function()
      for path, bodies in pairs(refused) do
        for _, body in ipairs(bodies) do
          local status, answer = send(path, body)
          assert.equal(400, status, path .. " " .. body)
          assert.is_string(answer.error)
        end
      end
      assert.equal(0, server:count())
    end)

    it("accepts well-formed bodies", function()
      for path, bodies in pairs(accepted) do
        for _, body in ipairs(bodies) do
          assert.equal(200, (send(path, body)), path .. " " .. body)
        end
      end
    end)
  end)

  describe("keeps", function()
    it("bodies and headers exactly as sent, in order", function()
      local bodies = {
        '{"name":"caf\195\169", "data":{"a\\/b":"\\u0000"}}',
        '{"name":"' .. ("x"):rep(1500000) .. '"}',
        '{"name":"\127\226\128\168"}',
      }
      for i, body in ipairs(bodies) do
        assert.equal(200, (send("/capture", body, function(request)
          request.headers["Idempotency-Key"] = "id-" .. i
        end)))
      end
      local events = server:events()
      assert.equal(3, #events)
      for i, event in ipairs(events) do
        assert.equal(i, event.seq)
        assert.equal("/capture", event.path)
        assert.equal("POST", event.method)
        assert.equal("HTTP/1.1", event.protocol)
        assert.is_true(event.body == bodies[i])
        assert.equal("id-" .. i, event.headers["idempotency-key"])
        assert.is_number(event.time)
      end
    end)

    it("only what got a 2xx", function()
      send("/capture", '{"name":"a"}')
      send("/capture", "{}")
      assert.equal(1, server:count())
      assert.equal(1, #server:events())
    end)

    it("a count alone with keep = false", function()
      server:config { keep = false }
      send("/capture", '{"name":"a"}')
      assert.equal(1, server:count())
      assert.same({}, server:events())
    end)

    it("10,000 events over few connections", function()
      curl("-o /dev/null -d '{\"name\":\"a\",\"data\":{\"n\":1}}' '"
        .. server.url .. "/capture?[1-10000]'")
      assert.equal(10000, server:count())
      local events = server:events()
      assert.equal(10000, #events)
      assert.equal("10000", events[10000].query)
      assert.is_true(server:status().connections <= 11)
    end)

    it("statuses and connections, until the reset", function()
      send("/capture", '{"name":"a"}')
      send("/capture", "{}")
      send("/capture", "{}")
      assert.same({
        requests = 3,
        connections = 3,
        by_status = { ["200"] = 1, ["400"] = 2 },
      }, server:status())
      server:reset()
      assert.same({ requests = 0, connections = 0, by_status = {} },
        server:status())
      assert.equal("[]", server:raw())
    end)
  end)

  describe("misbehaves on demand", function()
    it("limits the rate in a sliding window", function()
      server:config { rate_limit = 3, rate_window = 5 }
      for _ = 1, 3 do
        assert.equal(200, (send("/capture", '{"name":"a"}')))
      end
      local status, answer, headers = send("/capture", '{"name":"a"}')
      assert.equal(429, status)
      assert.equal("Rate limit exceeded", answer.error)
      assert.matches("^[1-5]$", headers["retry-after"])
      assert.equal(3, server:count())
      h.wait(function()
        return send("/capture", '{"name":"a"}') == 200
      end, 20)
    end)

    it("tells how long the limit lasts", function()
      server:config { rate_limit = 1 }
      send("/capture", '{"name":"a"}')
      local _, _, headers = send("/capture", '{"name":"a"}')
      assert.is_true(tonumber(headers["retry-after"]) > 50)
    end)

    it("answers late", function()
      server:config { delay = 0.2 }
      local seconds = curl("-o /dev/null -w '%{time_total}' -d "
        .. "'{\"name\":\"a\"}' " .. server.url .. "/capture")
      assert.is_true(tonumber((seconds:gsub(",", "."))) >= 0.19)
    end)

    it("fails a number of times, with headers", function()
      server:config {
        fail_status = 503, fail_count = 2,
        fail_headers = { ["Retry-After"] = "7" },
      }
      for _ = 1, 2 do
        local status, _, headers = send("/capture", '{"name":"a"}')
        assert.equal(503, status)
        assert.equal("7", headers["retry-after"])
      end
      assert.equal(200, (send("/capture", '{"name":"a"}')))
      assert.equal(1, server:count())
    end)

    it("knows no other settings", function()
      assert.has_error(function() server:config { tempo = 1 } end,
        "'tempo' cannot be changed")
      assert.has_error(function() h.start_standin { tempo = 1 } end,
        "unknown option 'tempo'")
    end)
  end)

  it("speaks HTTP/1.1 and HTTP/2 over TLS", function()
    for version, protocol in pairs {
      ["--http1.1"] = "HTTP/1.1", ["--http2"] = "HTTP/2.0",
    } do
      server:reset()
      assert.equal('{"success":true}', curl(version
        .. " -d '{\"name\":\"a\"}' " .. server.tls_url .. "/capture"))
      assert.equal(protocol, server:events()[1].protocol)
    end
  end)

  describe("with the page of seerstack listen", function()
    local live = h.own_standin { page = true }

    -- What a reader of /_live has got, when that has the text.
    local function read_until(text)
      local port = live.url:match "%d+$"
      local connection = assert(socket.connect("127.0.0.1", port))
      connection:settimeout(0.1)
      connection:send "GET /_live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
      local got = ""
      h.wait(function()
        local data, _, partial = connection:receive(4096)
        got = got .. (data or partial)
        return got:find(text, 1, true)
      end)
      connection:close()
      return got
    end

    it("serves it, and shows each arrival with its status", function()
      local page, status = http.request(live.url .. "/")
      assert.equal(200, status)
      assert.matches("new EventSource", page, 1, true)
      for url, path in pairs {
        [live.url] = "/capture", [live.tls_url] = "/none",
      } do
        h.shell.output("curl -sk -H 'Authorization: Bearer " .. live.key
          .. "' -H 'Content-Type: application/json' -d '{\"name\":\"a.b\"}' "
          .. url .. path)
      end
      local list = cjson.decode((http.request(live.url .. "/_events")))
      table.sort(list, function(a, b) return a.status < b.status end)
      assert.same({ 200, 404 }, { list[1].status, list[2].status })
      assert.matches("sk_test_…", cjson.encode(list[1].headers), 1, true)
      read_until '"path":"\\/none"'
    end)

    it("fails as the page's buttons ask", function()
      h.shell.output("curl -s -d '{\"mute\":true}' " .. live.url
        .. "/_config")
      assert.equal(52, h.shell.run("curl -s " .. live.url .. "/capture"))
    end)
  end)

  it("tells nginx's log when it cannot start", function()
    local ok, problem = pcall(h.start_standin, { memory = "nonsense" })
    assert.is_false(ok)
    assert.matches("nonsense", problem)
  end)

  it("is gone after stop, which may be repeated", function()
    local other = h.start_standin { key = "sk_other", worker_processes = 2 }
    assert.not_equal(server.port, other.port)
    assert.equal("sk_other", other.key)
    local pid = other.pid
    other:stop()
    other:stop()
    assert.is_false(h.shell.alive(pid))
    assert.is_nil(h.shell.read(other.ca_file))
  end)

  it("ends when the process that started it is killed", function()
    local program = h.start {
      code = [[
        local server = require("dev.standin").start()
        print(server.pid, server.directory)
        io.stdout:flush()
        require("socket").sleep(30)
      ]],
      env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
    }
    h.wait(function() return program:stdout():find("\n") end, 20)
    local pid, directory = program:stdout():match("(%d+)\t(%S+)")
    program:kill("KILL")
    h.wait(function() return not h.shell.alive(pid) end, 20)
    h.wait(function()
      return not h.shell.read(directory .. "/nginx.conf")
    end, 20)
    assert.equal(9, program:wait(5).signal)
  end)
end)
