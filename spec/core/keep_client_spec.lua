-- What a client with a store offers besides: the option, persist and stats.

local h = require "spec.helper"
local seerstack = require "seerstack"
local store = require "seer_spec_store"

local function new(options)
  return seerstack.new(h.merge({
    api_key = h.key(), base_url = "http://127.0.0.1:9", log_level = "off",
    exit_timeout = 0,
  }, options))
end

describe("the option store", function()
  it("needs a thread, also a client's that is made of another", function()
    local message = "bad argument #1 to '%s' (option 'store': needs a "
      .. "thread, so 'thread' must not be false)"
    h.assert_raises_with(message:format "new", new,
      { store = store.open {}, thread = false })
    local client = new { store = store.open {} }
    h.assert_raises_with(message:format "with_options", client.with_options,
      client, { thread = false })
    assert.is_nil(client:with_options { thread = false, store = false }
      :stats().store)
    client:close()
  end)

  it("is inherited, and taken back by false", function()
    local client = new { store = store.open {} }
    assert.equal("fake", client:with_options {}:stats().store.name)
    assert.is_nil(client:with_options { store = false }:stats().store)
    client:close()
  end)

  it("does nothing where nothing is sent", function()
    for _, silent in ipairs { { test_mode = true }, { enabled = false } } do
      local client = new(h.merge(silent, { store = store.open {} }))
      assert(client.events.capture { name = "a" })
      assert.is_true(client:persist(0))
      assert.same({ name = "fake", state = "closed", unsaved = 0, adopted = 0,
        delivered = 0, rejected = 0, dropped = 0, pending = 0, stored = 0,
        displaced = 0 }, client:stats().store)
      assert.is_nil(client:with_options { store = false }:stats().store)
    end
    local other = new { store = store.open { abi = 99 }, enabled = false }
    assert.equal("unknown", other:stats().store.name)
  end)

  it("gives delivery a second, unless exit_timeout is given", function()
    local client = seerstack.new {
      api_key = h.key(), base_url = "http://127.0.0.1:9", log_level = "off",
      store = store.open {},
    }
    assert(client.events.capture { name = "a" })
    h.assert_error("TimeoutError",
      "timed out after 1 s: 1 event is not delivered yet", client:flush())
    client:close(0)
  end)
end)

describe("client:persist", function()
  local file = h.each(h.stores.new, function(f) f:remove() end)

  it("raises without a store", function()
    local client = new { store = false }
    h.assert_raises_with("persist: the client has no store", client.persist,
      client)
  end)

  it("waits until all is stored, which counts as pending", function()
    local client = new { store = file:open() }
    for i = 1, 300 do
      assert(client.events.capture { name = "a", data = { i = i } })
    end
    assert.is_true(client:persist(10))
    local stats = h.adds_up(client)
    assert.equal(300, stats.pending + stats.stored)
    assert.equal(0, stats.store.unsaved)
    assert.equal("open", stats.store.state)
    assert.equal(300, #file:rows())
    assert.is_true(client:persist(0))
  end)

  it("fails when that takes too long, and says what it knows", function()
    file:be "later"
    local client = new { store = file:open() }
    assert(client.events.capture { name = "a" })
    h.wait(function() return client:stats().store.state == "failing" end, 5)
    h.assert_error("TimeoutError", "timed out after 0.01 s: 1 event is not in "
      .. "the store yet: told to be later", client:persist(0.01))
  end)
end)

describe("what a client adopts", function()
  local x = h.exchange()
  local file = h.each(h.stores.new, function(f) f:remove() end)

  -- An event that a program has left.
  local function leave()
    h.ended_well(h.start {
      code = ([[
        local disk = require "seer_spec_store".open { path = %q, control = %q }
        local client = seerstack.new { store = disk, exit_timeout = 0 }
        assert(client.events.capture { name = "left" })
      ]]):format(file.path, file.path .. ".control"),
      env = h.environment("http://127.0.0.1:9", x.key, {
        SEERSTACK_BASE_URL = x.url, SEERSTACK_LOG = "off",
      }),
    })
    assert.equal(1, file:count(false))
  end

  it("goes to its callbacks", function()
    leave()
    local heard = {}
    x:use {
      api_key = x.key, store = file:open(),
      on_error = function(err, event)
        heard[#heard + 1] = { err.name, event.name }
      end,
    }
    x.client:flush(0)
    x:serve(function() return 400 end, function()
      x.client:poll()
      return #heard == 1
    end)
    assert.same({ "BadRequestError", "left" }, heard[1])
    local stats = h.adds_up(x.client)
    assert.equal(0, stats.accepted)
    assert.equal(1, stats.store.adopted)
    assert.equal(1, stats.store.rejected)
    h.wait(function() return #file:rows() == 0 end, 5)
  end)
end)
