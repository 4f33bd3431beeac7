local h = require "spec.helper"

-- Each may send 95 of 100 in all; the stand-in answers more than 100 with 429.
describe("programs with one directory", function()
  -- What one spec has sent is nothing to the next: each has a key of its own.
  local api = h.each(function()
    return h.start_standin { rate_limit = 100, key = h.host.key() }
  end, function(standin) standin:stop() end)
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local WITH = "rate_limit = 100, log_level = 'off'"

  it("share the rate limit, and keep what it does not let out", function()
    local children = {}
    for i = 1, 8 do
      children[i] = disk:start(api, ([[
        capture(client, %d, %d)
        assert(client:persist(25))
        while not io.open(arg[1]) do socket.sleep(0.01) end
      ]]):format(i * 25 - 24, i * 25),
        { with = WITH, args = { disk.parents .. "/go" } })
    end
    h.wait(function() return api:status().by_status["200"] == 95 end, 20)
    h.shell.write(disk.parents .. "/go", "")
    for _, child in ipairs(children) do
      h.ended_well(child)
    end
    assert.same({ ["200"] = 95 }, api:status().by_status)
    assert.equal(105, disk:totals().nobodys)
  end)

  it("share the pause that one of them was asked for", function()
    api:config { fail_status = 429, fail_count = 1,
      fail_headers = { ["Retry-After"] = "600" } }
    -- They are killed: at an exit one would try, whatever it was asked for.
    local children = {}
    for i = 1, 2 do
      local child = disk:start(api, ([[
        capture(client, %d, %d)
        assert(client:persist(25))
        while not client:stats().retry_at do socket.sleep(0.01) end
        tell "paused"
        socket.sleep(100)
      ]]):format(i, i), { with = WITH })
      h.says(child, "paused", 20)
      children[i] = child
    end
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
    end
    assert.same({ ["429"] = 1 }, api:status().by_status)
    assert.equal(2, disk:totals().nobodys)
  end)

  -- The store has been looked at for others, so it would not be for a while.
  local JOIN = [[
    local other = seerstack.new { store = store, log_level = "off",
      base_url = "http://127.0.0.1:1" }
    capture(other, 1, 1)
    assert(other:persist(25))
    client = %s
    capture(client, 96, 115)
    assert(not client:flush(1))
  ]]
  for what, made in pairs {
    ["a client"] = "seerstack.new(options)",
    ["a client's child"] = "alone:with_options { share_rate_limit = true }",
  } do
    it("share it from the first event of " .. what .. " in an open store",
      function()
        h.ended_well(disk:start(api, [[
          capture(client, 1, 95)
          assert(client:flush(25))
        ]], { with = WITH }))
        h.ended_well(disk:start(api, ([[
          local options = { rate_limit = 100, store = store,
            log_level = "off", exit_timeout = 0 }
          options.share_rate_limit = false
          local alone = %s
          options.share_rate_limit = nil
        ]]):format(what == "a client" and "nil" or "seerstack.new(options)")
          .. JOIN:format(made), { with = WITH .. ", enabled = false" }))
        assert.same({ ["200"] = 95 }, api:status().by_status)
      end)
  end

  it("count for themselves with share_rate_limit = false", function()
    h.ended_well(disk:start(api, [[
      capture(client, 1, 95)
      assert(client:flush(25))
    ]], { with = WITH }))
    h.ended_well(disk:start(api, [[
      capture(client, 96, 96)
      assert(client:flush(25))
    ]], { with = WITH .. ", share_rate_limit = false" }))
    assert.same({ ["200"] = 96 }, api:status().by_status)
  end)
end)
