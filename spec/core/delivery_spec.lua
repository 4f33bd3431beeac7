local h = require "spec.helper"

local EVENTS = 5000

describe("5,000 events to a server that fails all the time", function()
  local x

  setup(function()
    x = h.open {
      initial_retry_delay = 0.002, max_retry_delay = 0.02,
    }
  end)

  teardown(function()
    x:close()
  end)

  -- What the server saw of each event: attempts, and whether one of them was
  -- answered well.
  local seen = {}
  local resets, failures = 0, 0

  local function look_up(request)
    local name = h.body_of(request).name
    local event = seen[name]
    if not event then
      event = {
        body = request.body,
        id = request.headers["idempotency-key"],
        attempts = 0,
        delivered = 0,
      }
      seen[name] = event
    end
    event.attempts = event.attempts + 1
    event.changed = event.changed or event.body ~= request.body
      or event.id ~= request.headers["idempotency-key"]
    return event, name
  end

  local function handler(request, peer)
    local event, name = look_up(request)
    local number = #x.requests
    if number % 20 == 0 or peer.number % 20 == 0 then
      resets = resets + 1
      return "reset"
    elseif number % 10 == 5 or name == "poison" then
      failures = failures + 1
      return 500
    end
    event.delivered = event.delivered + 1
    return h.ok()
  end

  it("are delivered, all but the one that always fails", function()
    for i = 1, EVENTS do
      local name = i == 100 and "poison" or "n" .. i
      x:capture(name, { i = i, text = ("x"):rep(i % 50) })
    end
    local checked = 0
    x:serve(handler, function()
      -- The counts hold at any time; looking at each step takes too long.
      if #x.requests >= checked + 100 then
        checked = #x.requests
        h.adds_up(x.client)
      end
      return x.client:stats().delivered == EVENTS - 1
    end, 60)
    local stats = h.assert_counts(x.client, { accepted = EVENTS, pending = 1 })
    assert.equal(0, stats.rejected + stats.dropped)
    for i = 1, EVENTS do
      local name = i == 100 and "poison" or "n" .. i
      assert.is_table(seen[name], name)
      assert.equal(i == 100 and 0 or 1, seen[name].delivered, name)
    end
  end)

  it("fail as often as was meant", function()
    assert.is_true(resets >= EVENTS / 20, resets .. " resets")
    assert.is_true(failures >= EVENTS / 10, failures .. " failures")
    assert.is_true(#x.server.connections > EVENTS / 20)
    assert.is_true(seen.poison.attempts >= 3,
      seen.poison.attempts .. " attempts")
  end)

  it("have the same bytes and Idempotency-Key in every attempt", function()
    local ids, repeated = {}, 0
    for name, event in pairs(seen) do
      assert.is_falsy(event.changed, name)
      assert.is_nil(ids[event.id], name)
      ids[event.id] = true
      repeated = repeated + (event.attempts > 1 and 1 or 0)
    end
    assert.is_true(repeated > EVENTS / 10, repeated .. " repeated")
  end)

  it("leave nothing once the last one is taken, too", function()
    local stats = x:settle()
    assert.equal(EVENTS, stats.delivered)
  end)
end)
