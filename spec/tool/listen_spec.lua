local cjson = require "cjson"
local h = require "spec.helper"
local socket = require "socket"

local unpack = rawget(_G, "unpack") or rawget(table, "unpack")

describe("seerstack listen", function()
  local running, port

  local function start(...)
    running = h.tool.start({ "listen", "--port", "0", ... })
    port = h.wait(function()
      return running:done() or running:stdout():match "127%.0%.0%.1:(%d+)/\n"
    end, 20)
  end

  before_each(function() running = nil end)
  after_each(function()
    if running then
      running:finish()
    end
  end)

  local function connect()
    local client = assert(socket.connect("127.0.0.1", port))
    client:settimeout(20)
    return client
  end

  -- Reads one answer; returns its status, body and head.
  local function read(client)
    local status = tonumber(assert(client:receive()):match "^HTTP/1.1 (%d+) ")
    local head = {}
    for line in function() return client:receive() end do
      if line == "" then
        break
      end
      local name, value = line:match "^(.-): (.*)$"
      head[name:lower()] = value
    end
    return status, client:receive(tonumber(head["content-length"])), head
  end

  -- Sends a text on a connection of its own; returns what read does.
  local function ask(text)
    local client = connect()
    client:send(text)
    local status, body, head = read(client)
    client:close()
    return status, body, head
  end

  local function request(line, fields, body)
    local head = line .. " HTTP/1.1\r\nHost: 127.0.0.1:" .. port .. "\r\n"
    for name, value in pairs(fields or {}) do
      head = head .. name .. ": " .. value .. "\r\n"
    end
    return head .. "Content-Length: " .. #(body or "") .. "\r\n\r\n"
      .. (body or "")
  end

  local EVENT = {
    Authorization = "Bearer sk_live_0123456789abcdef",
    ["Content-Type"] = "application/json",
  }

  local function event(body, fields)
    return request("POST /capture", h.merge(EVENT, fields),
      body or '{"name":"a.b"}')
  end

  local function events()
    local _, body = ask(request "GET /_events")
    return cjson.decode(body)
  end

  it("says where it is, and shows a line for each request", function()
    start()
    assert.equal(200, (ask(event '{"name":"a.b","user_id":"u\\u001b[2J"}')))
    assert.equal(400, (ask(event '{"name":""}')))
    h.wait(function() return running:stdout():find " 400 .*\n" end)
    assert.matches("^page  http://127.0.0.1:%d+/\nexport SEERSTACK_BASE_URL="
      .. "http://127.0.0.1:%d+ SEERSTACK_API_KEY=sk_test_listen\n"
      .. "%d%d:%d%d:%d%d 200 /capture a.b u%?%[2J\n"
      .. "%d%d:%d%d:%d%d 400 /capture name is required and must be a "
      .. "non%-empty string\n$", running:stdout())
  end)

  it("ends with 0 at Ctrl-C", function()
    start()
    assert.same({}, events()) -- it serves
    running:kill "INT"
    local result = running:wait()
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)

  it("judges like the API", function()
    start("--rate-limit", "2", "--key", "sk_one")
    local good = { Authorization = "Bearer sk_one" }
    local status, body = ask(event())
    assert.equal(401, status)
    assert.equal('{"error":"Missing or invalid API key"}', body)
    assert.equal(404, (ask(request "POST /other")))
    local _, _, head = ask(request("GET /capture", EVENT))
    assert.equal("POST", head.allow)
    assert.equal(415, (ask(event(nil, h.merge(good,
      { ["Content-Type"] = "text/plain" })))))
    assert.equal(400, (ask(event("[]", good))))
    assert.equal(200, (ask(event(nil, good))))
    status, _, head = ask(event(nil, good))
    assert.equal(429, status)
    assert.matches("^[56]%d$", head["retry-after"])
  end)

  it("keeps what arrives, with the key masked and attempts counted",
    function()
      start()
      ask(event(nil, { ["Idempotency-Key"] = "k" }))
      ask(event(nil, { ["Idempotency-Key"] = "k" }))
      local list = events()
      assert.equal(2, #list)
      assert.equal('{"name":"a.b"}', list[1].body)
      assert.equal("k", list[2].key)
      assert.equal(2, list[2].attempt)
      local text = cjson.encode(list)
      assert.matches("Bearer sk_live_…cdef", text, 1, true)
      assert.is_nil(text:find("0123456789abcdef", 1, true))
      assert.equal(200, (ask(request "DELETE /_events")))
      assert.same({}, events())
    end)

  it("keeps connections, also with pipelined and chunked requests", function()
    start()
    local client = connect()
    local chunked = event():gsub("Content%-Length.*$",
      "Transfer-Encoding: chunked\r\n\r\n")
      .. '5;x=y\r\n{"nam\r\n9\r\ne":"a.b"}\r\n0\r\nT: 1\r\n\r\n'
    client:send(event() .. chunked .. event())
    for _ = 1, 3 do
      assert.equal(200, (read(client)))
    end
    client:send(event(nil, { Connection = "close" }))
    local status, _, head = read(client)
    assert.equal(200, status)
    assert.equal("close", head.connection)
    assert.equal("closed", select(2, client:receive(1)))
    assert.equal(4, #events())
  end)

  it("serves many at a time, and one who is slow holds up nobody", function()
    start()
    local slow = connect()
    slow:send(event():sub(1, 60))
    local clients = {}
    for i = 1, 30 do
      clients[i] = connect()
      clients[i]:send(event())
    end
    for _, client in ipairs(clients) do
      assert.equal(200, (read(client)))
      client:close()
    end
    slow:send(event():sub(61))
    assert.equal(200, (read(slow)))
  end)

  it("refuses what is no request, and what is too long", function()
    start()
    local big = ("x"):rep(70000)
    for text, status in pairs {
      ["nonsense\r\n\r\n"] = 400,
      ["GET / HTTP/1.1\r\nbroken\r\n\r\n"] = 400,
      ["POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"] = 400,
      ["POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"] =
        400,
      ["POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"] = 413,
      ["POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"] = 501,
      ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        .. "Content-Length: 1\r\n\r\n"] = 400,
      ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n"] =
        413,
      ["GET / HTTP/1.1\r\nA: " .. big .. "\r\n\r\n"] = 431,
    } do
      assert.equal(status, (ask(text)), text:sub(1, 70))
    end
    assert.equal(200, (ask(event())))
  end)

  it("answers the page's requests for this machine's own pages only",
    function()
      start()
      local own = "http://127.0.0.1:" .. port
      for _, line in ipairs {
        "GET /", "GET /_events", "GET /_live", "DELETE /_events",
        "POST /_config",
      } do
        local foreign = request(line, nil, "{}"):gsub("Host: [^\r]*",
          "Host: rebound.example:" .. port)
        assert.equal(403, (ask(foreign)), line)
        assert.equal(403, (ask(request(line,
          { Origin = "http://evil.example" }, "{}"))), line)
        assert.equal(403, (ask(request(line,
          { ["Sec-Fetch-Site"] = "cross-site" }, "{}"))), line)
      end
      assert.equal(200, (ask(request("POST /_config", { Origin = own },
        "{}"))))
      local _, page, head = ask(request "GET /")
      assert.matches("^<!doctype html>", page)
      assert.matches("default-src 'none'", head["content-security-policy"], 1,
        true)
      assert.is_nil(page:find("https?://"))
    end)

  it("fails as it is asked to", function()
    start("--fail", "503:1")
    assert.equal(503, (ask(event())))
    assert.equal(200, (ask(event())))
    local function config(values)
      return ask(request("POST /_config", nil, cjson.encode(values)))
    end
    config { fail_status = 429, fail_count = 1,
      fail_headers = { ["Retry-After"] = "5" } }
    local status, _, head = ask(event())
    assert.equal(429, status)
    assert.equal("5", head["retry-after"])
    config { mute = true }
    local client = connect()
    client:send(event())
    assert.equal("closed", select(2, client:receive(1)))
    config { delay = 0.3 }
    local began = socket.gettime()
    assert.equal(200, (ask(event())))
    assert.is_true(socket.gettime() - began >= 0.3)
    for _, wrong in ipairs {
      { fail_status = 7 }, { fail_count = 0 }, { mute = "x" }, { other = 1 },
      { fail_headers = { A = "x\r\ny" } }, { delay = -1 },
    } do
      assert.equal(400, (config(wrong)))
    end
  end)

  it("tells pages what arrives, and one that comes back what it missed",
    function()
      start()
      ask(event '{"name":"one"}')
      local function live(last)
        local client = connect()
        client:send(request("GET /_live",
          last and { ["Last-Event-ID"] = last }))
        local function line(pattern)
          while true do
            local found = assert(client:receive()):match(pattern)
            if found then
              return found
            end
          end
        end
        return line, client
      end
      local line, client = live()
      assert.equal("text/event-stream", line "^Content%-Type: (.*)")
      assert.equal("sk_test_listen", cjson.decode(line "^data: (.*)").key)
      local id = line "^id: (.*)"
      assert.matches('"name\\":\\"one', line "^data: (.*)", 1, true)
      ask(event '{"name":"two"}')
      assert.matches("two", line '^data: (.*"seq".*)')
      ask(request "DELETE /_events")
      line "^event: clear"
      client:close()
      ask(event '{"name":"three"}')
      line, client = live(id)
      assert.matches("three", line '^data: (.*"seq".*)')
      client:close()
    end)

  it("runs a command with address and key, and ends with its status",
    function()
      local result = h.tool.run({ "listen", "--port", "0", "--", "sh", "-c",
        'cat; "$@"; exit 7', "sh", h.script.interpreter, "bin/seerstack",
        "send", "a.b" }, { stdin = "input\n" })
      assert.equal("", result.stderr)
      assert.matches("^page  [^\n]*\ninput\n", result.stdout)
      assert.matches("\n%d%d:%d%d:%d%d 200 /capture a.b\n", result.stdout)
      assert.matches("\n200 a.b %d+ ms\n", result.stdout)
      assert.equal(7, result.status)
    end)

  it("stays after the command where it is asked to", function()
    start("--stay", "--", "true")
    h.wait(function() return running:stdout():find "Ctrl%-C ends it" end, 20)
    assert.equal(200, (ask(event())))
    running:kill "INT"
    assert.equal(0, running:wait().status)
  end)

  it("gives a script JSON, and what is for people apart", function()
    local result = h.tool.run { "listen", "--json", "--port", "0", "--",
      h.script.interpreter, "bin/seerstack", "identify", "u", "email=e",
    }
    assert.equal(0, result.status)
    assert.matches("^page  ", result.stderr)
    local entry = cjson.decode(result.stdout:match "^[^\n]*")
    assert.equal("/identify", entry.path)
    assert.equal('{"user_id":"u","email":"e"}', entry.body)
  end)

  it("names what it cannot do", function()
    start()
    local result = h.tool.run { "listen", "--port", port }
    assert.equal(1, result.status)
    assert.equal("seerstack: port " .. port
      .. ": address already in use; --port names another\n", result.stderr)
    result = h.tool.run({ "listen" }, { env = {
      LUA_PATH = "/nowhere/?.lua", LUA_CPATH = package.cpath } })
    assert.equal(1, result.status)
    assert.matches("^seerstack: listen needs luasocket", result.stderr)
    for _, words in ipairs { { "--fail", "x" }, { "true" } } do
      assert.equal(2, h.tool.run { "listen", unpack(words) }.status)
    end
  end)
end)
