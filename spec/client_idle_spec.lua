-- Clients that have captured nothing, of which a program may have thousands.

local exchange = require "spec.support.exchange"
local h = require "spec.helper"
local seerstack = require "seerstack"

local x = h.exchange()

local key

-- A client of the server; those of one spec have their key in common.
local function new(options)
  return seerstack.new(h.merge({ base_url = x.url, api_key = key }, options))
end

local function assert_counts(expected, client)
  local stats = h.adds_up(client)
  for _, name in ipairs { "accepted", "delivered", "rejected", "dropped",
    "pending", "missed", "refused", "invalid", "doubtful", "stored" } do
    assert.equal(expected[name] or 0, stats[name], name)
  end
end

describe("a client that has captured nothing", function()
  before_each(function()
    key = exchange.key()
  end)

  -- Where the system's own malloc is used, and addresses have 64 bits.
  local in_bytes = os.getenv "SANITIZER" and pending or it
  in_bytes("takes less than a KiB, with a key of its own", function()
    local result = x:child [[
      local heap = native.heap
      if not pcall(heap) then heap = function() return 0 end end
      local clients = {}
      local function make(first, last)
        for i = first, last do
          clients[i] = seerstack.new { api_key = "sk_" .. i, proxy = false }
        end
        for _ = 1, 3 do collectgarbage() end
        return heap()
      end
      local before = make(1, 100)
      print((make(101, 4196) - before) / 4096)
    ]]
    assert.is_true(tonumber(result.stdout) < 1024, result.stdout)
  end)

  it("has counts of zero, the rate, and nothing to wait for", function()
    local client = new()
    assert_counts({}, client)
    local stats = client:stats()
    assert.equal(950, stats.rate)
    assert.is_nil(stats.last_error)
    assert.is_nil(stats.retry_at)
    assert.is_true(client:flush(0))
    assert.equal(0, client:poll())
    assert.equal(0, client:pump(0))
    assert.same({}, client:captured())
    assert.is_true(client:close(0))
    assert.is_true(client:flush(0))
    assert_counts({}, client)
    assert.is_nil((x.server:accept(0)))
  end)

  it("has what it refuses counted once it is closed", function()
    local client = new { log_level = "off" }
    assert.is_true(client:close())
    h.assert_failure("ClosedError", client.events.capture { name = "a" })
    h.assert_failure("ClosedError", client.events.capture({ name = "a" },
      { future = true }))
    assert_counts({ refused = 2 }, client)
    assert.is_true(client:close())
  end)

  it("has its first event counted, whatever that comes to", function()
    local silent = { log_level = "off" }
    local invalid, sampled = new(silent), new { sample = 0 }
    h.assert_failure("ValidationError", invalid.events.capture {})
    assert_counts({ invalid = 1 }, invalid)
    h.assert_failure("ValidationError", new(silent):post("no path"))
    assert.is_true(sampled.events.capture { name = "a" })
    assert_counts({ accepted = 1, dropped = 1 }, sampled)
  end)

  it("pumps for the others", function()
    local other = new { thread = false }
    assert.is_true(other.events.capture { name = "a" })
    local client = new { thread = false }
    x:serve(nil, function()
      assert.equal(0, client:pump(0))
      return other:stats().delivered == 1
    end)
    assert.same({ "a" }, x:names())
  end)

  it("may be what another one is made of, also when it is closed", function()
    local client = new()
    client:close()
    x.client = client:with_options { headers = { ["X-A"] = "b" } }
    x:capture("a")
    x:settle()
    assert.equal("b", x.requests[1].headers["x-a"])
    assert_counts({}, client)
  end)

  it("ends like any other", function()
    local client = new()
    getmetatable(client).__gc(client)
    assert.equal("seerstack.client (closed)", tostring(client))
    for _, method in ipairs { "flush", "stats", "pump", "with_options" } do
      h.assert_failure("ClosedError", client[method](client, nil))
    end
    h.assert_failure("ClosedError", client.events.capture { name = "a" })
    assert.is_true(client:close())
    assert.equal(0, client:poll())
  end)

  it("is collected, and others with its key stay", function()
    local other = new()
    for _ = 1, 100 do
      new()
    end
    h.collect()
    x.client = other
    x:capture("a")
    assert.equal(1, x:settle().delivered)
  end)

  it("counts with its limits for those with its key until it is gone",
    function()
      local other = new { rate_limit = 20 }
      local client = new { rate_limit = 40 }
      local _ = new { rate_limit = 100, enabled = false }
      assert.equal(38, other:stats().rate)
      assert.equal(38, client:stats().rate)
      assert.is_true(other.events.capture { name = "a" })
      assert.equal(38, other:stats().rate)
      getmetatable(client).__gc(client)
      assert.equal(19, other:stats().rate)
    end)

  it("lets a process end at once, which says nothing", function()
    local result = x:child [[
      keep = {}
      for i = 1, 50 do
        keep[i] = seerstack.new { api_key = "sk_" .. i % 10 }
      end
    ]]
    assert.equal("", result.stderr)
    assert.equal(0, #x.requests)
  end)
end)
