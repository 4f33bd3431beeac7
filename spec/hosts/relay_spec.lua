-- examples/relay: what games send without the key arrives with it.

local cjson = require "cjson"
local h = require "spec.helper"

local EXAMPLE_CLIENT = "seerstack.new {}"
local SECRET = "a shared secret"

describe("the relay", function()
  local api = h.own_standin(nil, h.nginx.clean_up)

  -- Options: secret, client (text), changes, workers.
  local function start(options)
    options = options or {}
    return h.nginx.start {
      api = api,
      example = "relay",
      workers = options.workers,
      changes = h.merge({
        ["listen 8080;"] = false,
        ["listen 8443 ssl;"] = "listen 127.0.0.1:{{tls_port}} ssl;",
        ["/etc/nginx/relay.pem"] = api.directory .. "/cert.pem",
        ["/etc/nginx/relay.key"] = api.directory .. "/key.pem",
      }, options.changes),
      files = { ["relay.lua"] = {
        [EXAMPLE_CLIENT] = ("seerstack.new { rate_limit = false, %s }"):format(
      options.client or ""),
      } },
      env = { RELAY_SECRET = options.secret or false },
    }
  end

  -- A request as any program could make it; the status, headers and body.
  -- Options: method, headers, body, address (of the caller).
  local function request(relay, path, options)
    local words = {
      "curl", "-s", "-i", "--cacert", api.ca_file,
      "-X", options.method or "POST", relay.tls_url .. path,
      "--interface", options.address or "127.0.0.1", "-H", "Expect:",
    }
    for _, line in ipairs(options.headers or {}) do
      words[#words + 1] = "-H"
      words[#words + 1] = line
    end
    local file
    if options.body then
      file = os.tmpname()
      h.shell.write(file, options.body)
      words[#words + 1] = "--data-binary"
      words[#words + 1] = "@" .. file
    end
    local answer = h.shell.output(h.shell.join(words))
    if file then
      os.remove(file)
    end
    local head, body = answer:match "^(.-)\r\n\r\n(.*)$"
    return tonumber((head or ""):match "^%S+ (%d+)"), head, body
  end

  local EVENT = '{"name":"level.finished","data":{"level":1}}'

  -- Runs the game of the example with other options, and more at its end.
  local function game(relay, options)
    local directory = h.host.directory "game"
    local path = h.host.copy("relay/game.lua", directory, {
      ["https://relay.example.com:8443/events"] = relay.tls_url .. "/events",
      ["the relay's secret"] = options.secret or "any text",
      ["exit_timeout = 0.9,"] = "exit_timeout = 30, ca_file = "
        .. ("%q,"):format(api.ca_file) .. (options.client or ""),
    })
    return h.start {
      code = h.shell.read(path) .. (options.code or ""),
      env = {
        SEERSTACK_API_KEY = false, SEERSTACK_BASE_URL = false,
        LUA_CPATH = package.cpath,
      },
    }
  end

  it("sends on what the example's game sends", function()
    local relay = start { secret = SECRET }
    local result = game(relay, { secret = SECRET, code = [[
      client.events.capture({
        name = "more", user_id = 76561197960287930,
        timestamp = "2024-05-06T07:08:09.123Z",
        data = { list = { 1, 2.5, "ä" }, yes = true, no = seerstack.null },
      }, { idempotency_key = "the-key-of-this" })
      print(client.users.identify({ user_id = "u" }, { wait = true }))
    ]] }):wait()
    assert.equal("", result.stderr)
    assert.matches("^table: ", result.stdout)
    relay:stop()
    local events = {}
    for _, event in ipairs(api:events()) do
      assert.equal("Bearer " .. api.key, event.headers.authorization)
      events[#events + 1] = cjson.decode(event.body)
      events[#events].path = event.path
      if events[#events].name == "more" then
        assert.equal("the-key-of-this", event.headers["idempotency-key"])
      end
    end
    table.sort(events, function(one, other)
      return one.path .. (one.name or "") < other.path .. (other.name or "")
    end)
    assert.matches("^%d+%-", events[1].timestamp)
    events[1].timestamp = nil
    assert.same({
      {
        path = "/capture", name = "level.finished", user_id = "player-1",
        data = { level = 1, seconds = 42.5 },
      },
      {
        path = "/capture", name = "more", user_id = "76561197960287930",
        timestamp = "2024-05-06T07:08:09.123Z",
        data = { list = { 1, 2.5, "ä" }, yes = true, no = cjson.null },
      },
      { path = "/identify", user_id = "u" },
      { path = "/identify", user_id = "player-1", name = "Ada" },
    }, events)
    assert.equal("", relay:problems())
  end)

  it("answers 202, and delivers before it stops", function()
    local relay = start()
    local status, head, body = request(relay, "/events/capture",
      { body = EVENT })
    assert.equal(202, status)
    assert.matches("Content%-Type: application/json", head)
    assert.same({ success = true }, cjson.decode(body))
    relay:stop()
    assert.equal(1, api:count())
  end)

  it("passes values on as the game wrote them", function()
    local relay = start()
    local data = '{"big":76561197960287931,"list":[],"price":1.50,"o":{}}'
    assert.equal(202, (request(relay, "/events/capture", { body =
      '{"user_id":76561197960287930,"data":' .. data .. ',"name":"a.b"}' })))
    assert.equal(202, (request(relay, "/events/identify", { body =
      '{"user_id":76561197960287930,"attributes":' .. data .. "}" })))
    relay:stop()
    assert.equal(2, api:count())
    for _, event in ipairs(api:events()) do
      assert.is_truthy(event.body:find(data, 1, true), event.body)
      assert.matches('"user_id":"76561197960287930"', event.body)
    end
  end)

  it("asks for its secret, if it has one", function()
    local relay = start { secret = SECRET }
    local function status(header)
      return (request(relay, "/events/capture",
        { body = EVENT, headers = { header } }))
    end
    assert.equal(202, status("Authorization: Bearer " .. SECRET))
    assert.equal(401, status("Authorization: Bearer another"))
    assert.equal(401, status(nil))
    assert.equal(401, status("Authorization: Bearer " .. api.key))
    relay:stop()
    assert.equal(1, api:count())
  end)

  it("refuses what is no event", function()
    local relay = start()
    local function status(body, options)
      options = options or {}
      options.body = body
      return (request(relay, options.path or "/events/capture", options))
    end
    for _, body in ipairs {
      "", "no JSON", "null", "1", '"name"', "[]", "{}", '{"name":""}',
      '{"name":1}', '{"name":"a","data":[1]}', '{"name":"a"}}',
      ("["):rep(2000), '{"name":"a","data":' .. ('{"a":'):rep(150) .. "1"
        .. ("}"):rep(151),
    } do
      assert.equal(400, status(body), body)
    end
    assert.equal(405, status(nil, { method = "GET" }))
    assert.equal(405, status(EVENT, { method = "PUT" }))
    assert.equal(404, status(EVENT, { path = "/events/other" }))
    assert.equal(404, status(EVENT, { path = "/capture" }))
    local long = '{"name":"a","data":{"text":"' .. ("x"):rep(17000) .. '"}}'
    assert.equal(413, status(long))
    assert.equal(413,
      status(long, { headers = { "Transfer-Encoding: chunked" } }))
    for _, key in ipairs { ("k"):rep(65), ("k"):rep(4000), "a b", "ä;" } do
      assert.equal(202,
        status(EVENT, { headers = { "Idempotency-Key: " .. key } }), key)
    end
    relay:stop()
    assert.equal(4, api:count())
  end)

  -- The statuses of so many requests, over a few connections.
  local function burst(relay, count, address)
    local file = os.tmpname()
    h.shell.write(file, EVENT)
    local answers = h.shell.output(h.shell.join {
      "curl", "-s", "-Z", "--no-progress-meter", "--cacert", api.ca_file,
      "--interface", address, "--data-binary", "@" .. file,
      "-w", "%{http_code}\n", "-o", "/dev/null",
      ("%s/events/capture?[1-%d]"):format(relay.tls_url, count),
    })
    os.remove(file)
    local statuses = {}
    for status in answers:gmatch "%d%d%d" do
      statuses[status] = (statuses[status] or 0) + 1
    end
    return statuses
  end

  it("takes so much of an address, and of another one besides", function()
    local relay = start()
    local first = burst(relay, 600, "127.0.0.1")
    assert.equal(600, first["202"] + first["429"])
    assert.is_true(first["202"] >= 301)
    assert.same({ ["202"] = 100 }, burst(relay, 100, "127.0.0.2"))
    relay:stop()
    assert.equal(first["202"] + 100, api:count())
  end)

  it("answers 503 when its queue is full, and the game tries again",
    function()
      api:config { fail_status = 503 }
      local relay = start {
        workers = 1,
        client = "max_queue_events = 5, max_retry_delay = 0.1,",
      }
      for _ = 1, 5 do
        assert.equal(202,
          (request(relay, "/events/capture", { body = EVENT })))
      end
      local status, head = request(relay, "/events/capture",
        { body = EVENT })
      assert.equal(503, status)
      assert.matches("Retry%-After: 5", head)
      local player = game(relay, {
        client = "max_retry_delay = 0.1, initial_retry_delay = 0.1,",
        code = [[
          while not client:stats().last_error do end
          io.stdout:setvbuf "no"
          print(client:stats().last_error)
        ]],
      })
      h.wait(function() return player:stdout():find "\n" end, 20)
      assert.matches("^503 .*queue full", player:stdout())
      api:config { fail_status = false }
      assert.equal(0, player:wait().status)
      relay:stop()
      assert.equal(5 + 2, api:count())
    end)

  it("loses nothing of a game's while it reloads", function()
    local relay = start {
      changes = { ["rate=10r/s"] = "rate=10000r/s" },
    }
    local enough = relay.directory .. "/enough"
    local player = game(relay, {
      client = "max_retry_delay = 0.1, initial_retry_delay = 0.02,",
      code = ([[
        client = client:with_options { rate_limit = false }
        local socket = require "socket"
        local number = 0
        repeat
          number = number + 1
          assert(client.events.capture { name = "many",
            data = { number = number } })
          socket.sleep(0.005)
        until number >= 300 and io.open(%q)
        client:flush()
        print(number, client:stats().delivered)
      ]]):format(enough),
    })
    h.wait(function() return api:count() > 0 end, 20)
    for _ = 1, 5 do
      relay:reload()
    end
    h.shell.write(enough, "")
    local captured, delivered =
      player:wait().stdout:match "^(%d+)\t(%d+)\n$"
    assert.equal(captured, delivered)
    relay:stop()
    local numbers, distinct = {}, 0
    for _, event in ipairs(api:events()) do
      local number = event.body:match '"number":(%d+)'
      if number and not numbers[number] then
        numbers[number] = true
        distinct = distinct + 1
      end
    end
    assert.equal(tonumber(captured), distinct)
  end)
end)
