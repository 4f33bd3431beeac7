-- Clients, states, threads and coroutines that end at a bad time.

local h = require "spec.helper"

local FEWER = os.getenv "SANITIZER" and 5 or 1

describe("when", function()
  local api = h.standin()

  local function run(code)
    return h.ended_well(h.script.run {
      code = code, env = h.environment(api.url, api.key), timeout = 240,
    }).stdout
  end

  -- Each event once, by its key.
  local function assert_each_once(count)
    local keys = {}
    for _, event in ipairs(api:events()) do
      local key = event.headers["idempotency-key"]
      assert.is_nil(keys[key])
      keys[key] = true
    end
    assert.equal(count, api:count())
  end

  it("a client is collected while it sends, all is delivered", function()
    local x = h.open { max_in_flight = 4 }
    x:capture_many(20)
    local held = {}
    -- What is in flight is answered after the client has gone.
    x:serve(function(_, peer)
      held[#held + 1] = peer
    end, function() return #held == 4 end)
    local weak = setmetatable({ x.client }, { __mode = "v" })
    x.client = nil
    x:serve(function(_, peer)
      held[#held + 1] = peer
    end, function()
      collectgarbage()
      return weak[1] == nil
    end)
    assert.equal(4, #x.requests)
    for _, peer in ipairs(held) do
      peer:queue("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      peer.busy = false
    end
    x:serve_requests(20)
    local names, seen = x:names(), {}
    for _, name in ipairs(names) do
      assert.is_nil(seen[name])
      seen[name] = true
    end
    x.server:close()
  end)

  it("a state is closed with 10,000 queued, they are all delivered at exit",
    function()
      run(([==[
        require "seer_spec_native".states(1, [[
          local client = require "seerstack".new {
            rate_limit = false, exit_timeout = 120,
          }
          for i = 1, %d do
            assert(client.events.capture { name = "a.b", data = { i = i } })
          end
        ]])
      ]==]):format(10000 / FEWER))
      assert_each_once(10000 / FEWER)
    end)

  it("a state is closed with 10,000 queued, the others need not end",
    function()
      local stdout = run(([==[
        local client = require "seerstack".new { rate_limit = false }
        require "seer_spec_native".states(1, [[
          local client = require "seerstack".new { rate_limit = false }
          for i = 1, %d do
            assert(client.events.capture { name = "a.b", data = { i = i } })
          end
        ]])
        assert(client.events.capture({ name = "own" }, { wait = true }))
        -- The other's events are sent while this one waits.
        local ltn12, http = require "ltn12", require "socket.http"
        local deadline = os.time() + 120
        repeat
          local chunks = {}
          http.request { url = os.getenv "SEERSTACK_BASE_URL" .. "/_count",
            sink = ltn12.sink.table(chunks) }
          local count = tonumber(table.concat(chunks):match "%%d+")
          require "socket".sleep(0.05)
        until count == %d or os.time() > deadline
        print(client:stats().accepted)
      ]==]):format(10000 / FEWER, 10000 / FEWER + 1))
      assert.equal("1", (stdout:gsub("%s", "")))
      assert_each_once(10000 / FEWER + 1)
    end)

  it("50 states do so in 50 threads, the counts of each are exact", function()
    -- Each says at its end what it has counted, in one write.
    local stdout = run([==[
      local native = require "seer_spec_native"
      for i = 1, 50 do
        native.thread(([[
          local client = require "seerstack".new {
            rate_limit = false, exit_timeout = 100,
          }
          for i = 1, 20 do
            assert(client.events.capture {
              name = "a.b", user_id = %d, data = { i = i },
            })
          end
          assert(client:flush(100))
          local s = client:stats()
          assert(client:close(100))
          io.stdout:write(("%%d %%d %%d\n"):format(s.accepted, s.delivered,
            s.pending))
          io.stdout:flush()
        ]]):format(i))
      end
      local function lines()
        local file, count = io.open "/proc/self/fdinfo/1", nil
        count = tonumber(file:read "*a":match "pos:%s*(%d+)")
        file:close()
        return count / #"20 20 0\n"
      end
      local deadline = os.time() + 200
      while lines() < 50 and os.time() < deadline do
        require "socket".sleep(0.01)
      end
    ]==])
    assert.equal(("20 20 0\n"):rep(50), stdout)
    assert_each_once(1000)
    local by_user = {}
    for _, event in ipairs(api:events()) do
      local user = event.body:match '"user_id":"(%d+)"'
      by_user[user] = (by_user[user] or 0) + 1
    end
    for i = 1, 50 do
      assert.equal(20, by_user[tostring(i)])
    end
  end)

  describe("coroutines", function()
    local x = h.exchange()

    it("capture and are abandoned, their events arrive", function()
      for i = 1, 100 do
        local run_it = coroutine.wrap(function(name)
          local future = x.client.events.capture({ name = name },
            { future = true })
          coroutine.yield(future)
          error "not reached"
        end)
        run_it("n" .. i)
        if i % 10 == 0 then
          collectgarbage()
        end
      end
      local stats = x:settle()
      assert.equal(100, stats.delivered)
    end)

    it("capture within each other, all is accepted", function()
      local function nest(depth)
        assert(x.client.events.capture { name = "n" .. depth })
        if depth > 0 then
          coroutine.wrap(nest)(depth - 1)
        end
        assert(x.client.events.capture { name = "m" .. depth })
      end
      coroutine.wrap(nest)(50)
      assert.equal(102, x:settle().delivered)
    end)

    it("yield in before_send, the event is dropped and the client is well",
      function()
        local yielding = true
        local client = x:new {
          before_send = function(event)
            if yielding then
              coroutine.yield(event)
            end
            return event
          end,
        }
        local run_it = coroutine.wrap(function()
          local ok, message, err = client.events.capture { name = "a" }
          return ok, message, err and err.name
        end)
        local ok, message, name = run_it()
        assert.is_nil(ok)
        assert.matches("^before_send failed: ", message)
        assert.equal("DroppedError", name)
        yielding = false
        assert.is_true(client.events.capture { name = "b" })
        x:serve(nil, function() return client:stats().pending == 0 end)
        h.assert_counts(client, {
          accepted = 2, delivered = 1, before_send = 1,
        })
      end)

    it("yield in logger and on_error, nothing is resumed in the wrong place",
      function()
        local client = x:new {
          log_level = "debug", logger = coroutine.yield,
          on_error = coroutine.yield,
        }
        client.events.capture { name = "a" }
        x:serve(function() return 400, nil, "{}" end,
          function() return client:stats().pending == 0 end)
        local run_it = coroutine.wrap(function()
          return client:poll() > 0, "polled"
        end)
        assert.same({ true, "polled" }, { run_it() })
        assert.equal(1, h.adds_up(client).rejected)
      end)

    it("are the only ones that have the client, it lives", function()
      local thread = coroutine.create(function()
        local own = x:new()
        own.events.capture { name = "a" }
        coroutine.yield()
        own.events.capture { name = "b" }
        return own:stats().accepted
      end)
      assert(coroutine.resume(thread))
      collectgarbage()
      collectgarbage()
      assert.same({ true, 2 }, { coroutine.resume(thread) })
      x:serve_requests(2)
    end)
  end)

  describe("errors are odd objects,", function()
    local ODD = {
      ["a table"] = {}, ["nil"] = false, ["a number"] = 7,
      ["a function"] = print,
      ["a coroutine"] = coroutine.create(function() end),
      ["a table that cannot be shown"] = setmetatable({}, {
        __tostring = function() error "no" end, __name = {},
      }),
      ["a very long string"] = ("x"):rep(2 ^ 20),
      ["bytes"] = "\0\255\r\n",
    }

    for what, value in pairs(ODD) do
      it("callbacks may raise " .. what, function()
        local x = h.open()
        local function raise()
          error(value or nil, 0)
        end
        local client = x:new {
          before_send = function(event)
            return event.name == "good" and event or raise()
          end,
          logger = raise, on_error = raise, log_level = "off",
        }
        local message = h.assert_failure("DroppedError",
          client.events.capture { name = "bad" })
        assert.is_true(message:find("before_send failed", 1, true) == 1)
        assert.is_true(#message <= 400)
        assert.is_true(client.events.capture { name = "good" })
        x:serve(function() return 400, nil, "{}" end,
          function() return client:stats().pending == 0 end)
        client:poll()
        assert.equal(1, h.adds_up(client).rejected)
        x:close()
      end)
    end
  end)
end)
