-- examples/relay/pure.lua, for engines that load no C module: its logic with
-- a clock and an engine of the spec's, and events through the real relay, from
-- luasocket and from LÖVE.

local cjson = require "cjson"
local h = require "spec.helper"

local RELAY = h.host.root .. "/examples/relay/"
local pure = assert(loadfile(RELAY .. "pure.lua"))()

describe("pure.lua", function()
  local now, requests, lines

  before_each(function()
    now, requests, lines = 1000, {}, {}
  end)

  local function new(options)
    return pure.new(h.merge({
      url = "http://relay", now = function() return now end,
      log = function(line) lines[#lines + 1] = line end,
      request = function(url, headers, body, done)
        requests[#requests + 1] = {
          url = url, headers = headers, body = body, done = done,
        }
      end,
    }, options))
  end

  it("sends one event at a time, in their order", function()
    local client = new { secret = "s" }
    assert.is_true(client.capture { name = "a", user_id = 2 ^ 53 })
    assert.is_true(client.identify { user_id = "u", email = "e" })
    assert.equal(2, client.update())
    assert.equal(2, client.update())
    assert.equal(1, #requests)
    requests[1].done(202)
    assert.equal(1, client.update())
    assert.equal("http://relay/capture", requests[1].url)
    assert.equal("http://relay/identify", requests[2].url)
    assert.equal("Bearer s", requests[1].headers.Authorization)
    assert.same({
      name = "a", user_id = "9007199254740992",
      timestamp = "1970-01-01T00:16:40.000Z",
    }, cjson.decode(requests[1].body))
    requests[2].done(200)
    assert.same({ waiting = 0, delivered = 2, rejected = 0, refused = 0 },
      client.stats())
  end)

  it("writes JSON that reads back the same", function()
    local client = new()
    local data = {
      text = 'quote " backslash \\ control \1\n zero \0 é', list = { 1, 2.5 },
      truth = true, deep = { a = { b = { c = {} } } }, small = 0.1,
      large = 2 ^ 53 - 1, huge = 1e300, negative = -7, ["key \""] = "x",
    }
    assert.is_true(client.capture { name = "a", data = data })
    client.update()
    assert.same(data, cjson.decode(requests[1].body).data)
    assert.matches('"large":9007199254740991', requests[1].body)
  end)

  it("refuses what cannot be sent, and says why", function()
    local client = new { max_event_bytes = 100 }
    local cycle = {}
    cycle.cycle = cycle
    for message, event in pairs {
      ["name: a non-empty string is required"] = {},
      ["user_id: a non-empty string or an integral number is required"] =
        { name = "a", user_id = 1.5 },
      ["a function cannot be sent"] = { name = "a", data = { print } },
      ["a boolean cannot be a key"] = { name = "a", data = { [true] = 1 } },
      ["more than 100 levels of tables"] = { name = "a", data = cycle },
      ["event too large"] = { name = ("a"):rep(100) },
    } do
      assert.same({ nil, message }, { client.capture(event) })
      assert.equal("analytics: capture: " .. message, lines[#lines])
    end
    assert.equal(0, client.update())
  end)

  it("waits longer after each failure, and as long as the relay asks",
    function()
      local client = new()
      client.capture { name = "a" }
      local waited = {}
      for i, answer in ipairs { { nil }, { 500 }, { 401 }, { 429, "50" } } do
        client.update()
        requests[i].done(answer[1], answer[2])
        local before = now
        while #requests == i do
          now = now + 0.125
          client.update()
        end
        waited[i] = now - before
        assert.equal(requests[1].headers["Idempotency-Key"],
          requests[i + 1].headers["Idempotency-Key"])
        assert.equal(requests[1].body, requests[i + 1].body)
      end
      for i, most in ipairs { 1, 2, 4 } do
        assert.is_true(waited[i] >= most / 2 and waited[i] <= most + 0.125)
      end
      assert.is_true(waited[4] >= 50 and waited[4] <= 50.125)
    end)

  it("takes no answer in time for none, and a late one for nothing",
    function()
      local client = new { timeout = 10 }
      client.capture { name = "a" }
      client.update()
      now = now + 11
      client.update()
      requests[1].done(200)
      assert.equal(0, client.stats().delivered)
      now = now + 2
      client.update()
      requests[2].done(200)
      requests[2].done(200)
      assert.equal(1, client.stats().delivered)
      assert.equal(0, client.stats().waiting)
    end)

  it("gives up what is rejected, and says so", function()
    local client = new()
    client.capture { name = "a" }
    client.update()
    requests[1].done(400)
    assert.matches('^analytics: rejected with 400: {.*"name":"a"', lines[1])
    assert.same({ waiting = 0, delivered = 0, rejected = 1, refused = 0 },
      client.stats())
  end)

  it("refuses events when its queue is full", function()
    local client = new { max_events = 3 }
    for _ = 1, 3 do
      assert.is_true(client.capture { name = "a" })
    end
    assert.same({ nil, "queue full" }, { client.capture { name = "a" } })
    assert.equal(1, client.stats().refused)
    client.update()
    requests[1].done(200)
    assert.is_true(client.capture { name = "a" })
  end)

  it("takes an error of the engine's function for no answer", function()
    local client = new { request = function() error "broken" end }
    client.capture { name = "a" }
    assert.equal(1, client.update())
    assert.matches("request failed: .*broken", lines[1])
  end)

  it("gives no two events the same key, in whatever run", function()
    local seen = {}
    for _ = 1, 20 do
      local key = h.run([[
        package.path = "]] .. RELAY .. [[?.lua"
        math.randomseed(1)
        local client = require "pure".new {
          url = "", now = function() return 0 end,
          request = function(_, headers, _, done)
            io.write(headers["Idempotency-Key"])
            done(200)
          end,
        }
        client.capture { name = "a" }
        client.flush()
      ]])
      assert.matches("^%x+%-1$", key)
      assert.is_nil(seen[key])
      seen[key] = true
    end
  end)
end)

describe("pure.lua, with the relay", function()
  local api = h.own_standin(nil, h.nginx.clean_up)

  local function start(options)
    return h.nginx.start {
      api = api, example = "relay", workers = 1,
      changes = h.merge({
        ["listen 8080;"] = false,
        ["listen 8443 ssl;"] = "listen 127.0.0.1:{{port}};",
        ["/etc/nginx/relay.pem"] = api.directory .. "/cert.pem",
        ["/etc/nginx/relay.key"] = api.directory .. "/key.pem",
        ["rate=10r/s"] = "rate=10000r/s",
      }, options),
      files = { ["relay.lua"] = {} },
      env = { RELAY_SECRET = "a shared secret" },
    }
  end

  -- How many events have arrived, by `data.i`; each once.
  local function distinct()
    local seen, keys, count = {}, {}, 0
    for _, event in ipairs(api:events()) do
      local i = cjson.decode(event.body).data.i
      assert.is_nil(seen[i], "twice")
      assert.is_nil(keys[event.headers["idempotency-key"]])
      keys[event.headers["idempotency-key"]] = true
      seen[i], count = true, count + 1
    end
    return count
  end

  it("loses nothing by luasocket while the relay reloads", function()
    local relay = start()
    local enough = relay.directory .. "/enough"
    local player = h.start {
      code = ([[
        package.path = %q .. "?.lua;" .. package.path
        local socket = require "socket"
        local client = require "pure".new {
          url = %q, secret = "a shared secret", now = socket.gettime,
          request = require "pure_luasocket", first_delay = 0.05,
          last_delay = 0.2,
        }
        local i = 0
        repeat
          i = i + 1
          assert(client.capture { name = "a.b", data = { i = i } })
          client.update()
          socket.sleep(0.005)
        until i >= 200 and io.open(%q)
        while client.update() > 0 do
          socket.sleep(0.003)
        end
        print(i, client.stats().delivered)
      ]]):format(RELAY, relay.url .. "/events", enough),
    }
    h.wait(function() return api:count() > 0 end, 20)
    for _ = 1, 5 do
      relay:reload()
    end
    h.shell.write(enough, "")
    local result = player:wait()
    assert.equal("", result.stderr)
    local captured, delivered = result.stdout:match "^(%d+)\t(%d+)\n$"
    assert.equal(captured, delivered)
    relay:stop()
    assert.equal(tonumber(captured), distinct())
  end)

  it("loses nothing in LÖVE, from a thread of its own", function()
    local relay = start()
    local directory = h.host.directory "engines"
    for _, file in ipairs { "pure", "pure_luasocket", "pure_love" } do
      h.host.copy("relay/" .. file .. ".lua", directory)
    end
    h.shell.write(directory .. "/conf.lua", [[
      function love.conf(t)
        for _, name in ipairs { "window", "graphics", "audio", "sound" } do
          t.modules[name] = false
        end
      end
    ]])
    h.shell.write(directory .. "/main.lua", ([[
      local engine = require "pure_love"
      local client = require "pure".new {
        url = %q, secret = "a shared secret", request = engine.request,
      }
      local frame = 0
      function love.update()
        frame = frame + 1
        if frame <= 100 then
          assert(client.capture { name = "a.b", data = { i = frame } })
        end
        engine.poll()
        if client.update() == 0 and frame > 100 then
          print("delivered " .. client.stats().delivered)
          love.event.quit()
        end
      end
    ]]):format(relay.url .. "/events"))
    local game = h.host.start {
      command = "love " .. directory, directory = directory,
      env = { HOME = directory, XDG_DATA_HOME = directory },
    }
    local result = game:wait(60)
    assert.equal("delivered 100\n", result.stdout, result.stderr)
    assert.equal(0, result.status)
    relay:stop()
    assert.equal(100, distinct())
  end)
end)
