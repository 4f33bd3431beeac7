local h = require "spec.helper"

local new, with_silent_server = h.clients.new, h.clients.with_silent_server
local assert_adds_up = h.clients.assert_adds_up

local api = h.clients.standin()

describe("client:flush", function()
  it("returns true when all is settled", function()
    local client = new()
    assert.is_true(client:flush())
    for _ = 1, 20 do
      client.events.capture { name = "a.b" }
    end
    assert.is_true(client:flush(10))
    assert.equal(0, client:stats().pending)
    assert.equal(20, api:count())
    assert.is_true(client:flush(0))
    client:close()
  end)

  it("returns nil, message, err when the time is up", function()
    with_silent_server({}, function(client)
      client.events.capture { name = "a.b" }
      h.assert_error("TimeoutError",
        "timed out after 0.02 s: 1 event is not delivered yet",
        client:flush(0.02))
      client.events.capture { name = "a.b" }
      h.assert_error("TimeoutError",
        "timed out after 0 s: 2 events are not delivered yet",
        client:flush(0))
    end)
  end)

  it("waits exit_timeout when no time is given", function()
    with_silent_server({ exit_timeout = 0.03 }, function(client)
      client.events.capture { name = "a.b" }
      h.assert_error("TimeoutError",
        "timed out after 0.03 s: 1 event is not delivered yet",
        client:flush())
      h.assert_error("TimeoutError",
        "timed out after 0.03 s: 1 event is not delivered yet",
        client:flush(nil))
    end)
  end)

  it("raises when its argument is no time", function()
    local client = new()
    for value, got in pairs {
      [-1] = "-1", [{}] = "table", [false] = "boolean", ["5"] = "string",
    } do
      h.assert_raises("bad argument #1 to 'flush' (a number of seconds >= 0 "
        .. "expected, got " .. got .. ")", client.flush, client, value)
    end
    assert.is_false((pcall(client.flush, client, 0 / 0)))
    assert.is_false((pcall(client.flush, client, math.huge)))
    assert.is_false((pcall(client.flush, {})))
    assert.is_false((pcall(client.flush)))
    client:close()
  end)
end)

describe("client:close", function()
  it("delivers what is queued and returns true", function()
    local client = new()
    for _ = 1, 20 do
      client.events.capture { name = "a.b" }
    end
    assert.is_true(client:close(10))
    assert.equal(20, api:count())
  end)

  it("makes the client refuse events", function()
    local client = new()
    client:close()
    for _, options in ipairs { {}, { wait = true } } do
      h.assert_error("ClosedError", "client is closed",
        client.events.capture({ name = "a.b" }, options))
      h.assert_error("ClosedError", "client is closed",
        client.users:identify({ user_id = "u" }, options))
    end
    h.assert_counts(client, { accepted = 0, refused = 4 })
    assert.equal(4, client:stats().refused)
    assert.equal(0, api:count())
  end)

  it("lets no event after it vanish: each is counted, and told once a kind",
    function()
      local told = {}
      local client = new { logger = function(level, text)
        told[#told + 1] = level .. " " .. text
      end }
      client:close()
      for _ = 1, 3 do
        client.events.capture { name = "a.b" }
        client.users.identify { user_id = "u" }
        client:post("/x", {})
      end
      client:poll()
      table.sort(told)
      assert.same({
        "warn capture: client is closed; the event 'a.b' to /capture is not "
          .. "sent",
        "warn identify: client is closed; the event to /identify is not sent",
        "warn post: client is closed; the event to /x is not sent",
      }, told)
      assert.equal(9, client:stats().refused)
    end)

  it("leaves flush, stats and itself usable", function()
    local client = new()
    client.events.capture { name = "a.b" }
    assert.is_true(client:close(10))
    assert.is_true(client:close())
    assert.is_true(client:close(0))
    assert.is_true(client:flush())
    assert.equal(1, client:stats().delivered)
    assert.equal("seerstack.client (" .. api.url .. ")", tostring(client))
  end)

  it("returns nil, message, err when the time is up, and is closed",
    function()
      local client = with_silent_server({}, function(client)
        client.events.capture { name = "a.b" }
        h.assert_error("TimeoutError",
          "timed out after 0.02 s: 1 event is not delivered yet",
          client:close(0.02))
        h.assert_error("ClosedError", "client is closed",
          client.events.capture { name = "a.b" })
        assert.is_true(client:close())
      end)
      assert.equal(1, client:stats().delivered)
    end)

  it("raises when its argument is no time, and is not closed", function()
    local client = new()
    h.assert_raises("bad argument #1 to 'close' (a number of seconds >= 0 "
      .. "expected, got -1)", client.close, client, -1)
    assert.is_true(client.events.capture { name = "a.b" })
    assert.is_true(client:close(10))
  end)
end)

describe("client:stats", function()
  it("begins with zeros", function()
    local client = new()
    local stats = client:stats()
    assert.is_string(stats.sender)
    stats.sender = nil
    assert.same({
      accepted = 0, delivered = 0, rejected = 0, dropped = 0, pending = 0,
      dropped_by = {
        expired = 0, displaced = 0, exit = 0, disabled = 0, before_send = 0,
        sampled = 0,
      },
      missed = 0, refused = 0, invalid = 0, doubtful = 0, stored = 0,
    }, stats)
    client:close()
  end)

  it("counts, in integers where there are any", function()
    local client = new()
    client.events.capture { name = "a.b" }
    assert.is_true(client:flush(10))
    local stats = h.assert_counts(client, { accepted = 1, delivered = 1 })
    assert.equal("running", stats.sender)
    assert.equal("1", tostring(stats.delivered))
    assert.equal("0", tostring(stats.dropped_by.exit))
    client:close()
  end)

  it("tells the last error, and when the next try is", function()
    local client = new {
      api_key = "sk_test_late", initial_retry_delay = 1, log_level = "off",
    }
    local before, stats = os.time()
    client.events.capture { name = "a.b" }
    h.wait(function()
      stats = client:stats()
      return stats.retry_at
    end)
    assert.matches("401", stats.last_error, 1, true)
    assert.is_nil(stats.last_error:find("sk_test_late", 1, true))
    assert.is_true(stats.retry_at > before)
    assert.is_true(stats.retry_at < os.time() + 3)
    assert.equal(1, stats.pending)
    assert_adds_up(stats)
    api:config { key = "sk_test_late" }
    assert.is_true(client:flush(10))
    api:config { key = "sk_test_standin" }
    assert.is_nil(client:stats().retry_at)
    client:close()
  end)

  it("raises for what is no client", function()
    local client = new()
    assert.is_false((pcall(client.stats)))
    assert.is_false((pcall(client.stats, {})))
    assert.is_false((pcall(client.stats, io.stdout)))
    client:close()
  end)
end)

describe("a client's method", function()
  local METHODS = { "flush", "close", "poll", "pump", "stats", "post",
    "captured", "with_options" }
  local EXPECTED = "a client expected, got %s: methods are called with a "
    .. "colon, as in client:flush()"

  it("called with a dot says that a colon is missing", function()
    local client = new()
    for _, method in ipairs(METHODS) do
      h.assert_raises(EXPECTED:format "nothing", client[method])
      h.assert_raises(EXPECTED:format "number", client[method], 5)
      h.assert_raises(EXPECTED:format "table", client[method], {})
    end
    client:close()
  end)

  it("of a future does, too", function()
    local client = h.client("http://127.0.0.1:1", { test_mode = true })
    local future = h.ask(client)
    for _, method in ipairs { "get", "done" } do
      h.assert_raises("a future expected, got nothing: methods are called "
        .. "with a colon, as in future:get()", future[method])
    end
  end)
end)
