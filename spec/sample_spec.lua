local h = require "spec.helper"
local seerstack = require "seerstack"

describe("the option sample", function()
  local function open(sample, options)
    return seerstack.new(h.merge({
      api_key = "sk_test", test_mode = true, sample = sample,
    }, options))
  end

  -- How many of the users from 1 to `count` are kept, and which.
  local function kept(client, count, event)
    local users = {}
    for user = 1, count do
      assert.is_true(client.events.capture(h.merge({
        name = "page.viewed", user_id = "user " .. user,
      }, event)))
    end
    for _, request in ipairs(client:captured()) do
      users[#users + 1] = request.body.user_id
    end
    return #users, users
  end

  it("keeps a part of the users, in every client the same", function()
    local client = open(0.25)
    local count, users = kept(client, 2000)
    assert.is_true(count > 400 and count < 600, count)
    assert.same({ count, users }, { kept(open(0.25), 2000) })
    assert.not_same(users,
      select(2, kept(open(0.25, { api_key = "sk_other" }), 2000)))
    local stats = h.adds_up(client)
    assert.equal(2000, stats.accepted)
    assert.equal(2000 - count, stats.dropped_by.sampled)
  end)

  it("keeps all events of a user or none, whatever they are", function()
    local client = open(0.5)
    for user = 1, 50 do
      for i = 1, 4 do
        client.events.capture { name = "n" .. i,
          user_id = i % 2 == 0 and user or tostring(user) }
      end
    end
    local counts = {}
    for _, request in ipairs(client:captured()) do
      local user = request.body.user_id
      counts[user] = (counts[user] or 0) + 1
    end
    assert.is_not_nil(next(counts))
    for _, count in pairs(counts) do
      assert.equal(4, count)
    end
  end)

  it("keeps more of them when it is larger, and the same ones", function()
    local _, few = kept(open(0.1), 500)
    local _, more = kept(open(0.3), 500)
    local among = {}
    for _, user in ipairs(more) do
      among[user] = true
    end
    for _, user in ipairs(few) do
      assert.is_true(among[user])
    end
    assert.is_true(#more > #few)
  end)

  it("keeps all with 1, none with 0", function()
    assert.equal(100, (kept(open(1), 100)))
    assert.equal(0, (kept(open(0), 100)))
  end)

  it("may be a table by name; what is not in it is kept", function()
    local client = open { ["page.viewed"] = 0 }
    assert.equal(0, (kept(client, 10)))
    assert.equal(10, (kept(client, 10, { name = "order.paid" })))
  end)

  it("leaves it to chance where there is no user", function()
    local client = open(0.5)
    for _ = 1, 1000 do
      client.events.capture { name = "a.b" }
    end
    local count = #client:captured()
    assert.is_true(count > 350 and count < 650, count)
  end)

  it("lets identifies and waited-for requests pass", function()
    local client = open(0)
    assert(client.users.identify { user_id = "u" })
    assert(client.events.capture({ name = "a" }, { wait = true }))
    assert(client.events.capture({ name = "a" }, { future = true }))
    assert(client:post("/x", {}))
    assert.equal(4, #client:captured())
    assert.equal(0, client:stats().dropped_by.sampled)
  end)

  it("is inherited by with_options, which may change it", function()
    local client = open(0)
    assert.equal(0, (kept(client:with_options {}, 10)))
    assert.equal(10, (kept(client:with_options { sample = 1 }, 10)))
  end)

  it("is a number from 0 to 1, or a table of such", function()
    local text = "option 'sample': a number from 0 to 1 expected"
    for _, wrong in ipairs { -0.1, 1.1, 0 / 0, "0.5", true } do
      h.assert_raises_with(text, open, wrong)
      h.assert_raises_with(text, open, { ["a.b"] = wrong })
    end
    h.assert_raises_with(text, open, { 0.5 })
  end)
end)
