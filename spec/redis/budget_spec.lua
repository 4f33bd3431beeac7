-- The budget that processes with one Redis share, as several machines do: none
-- of them shares memory with another here.

local h = require "spec.helper"

local LIMIT, SHARE = 80, 76
local WITH = "rate_limit = 80, share_rate_limit = false, timeout = 5, "
  .. "exit_timeout = 0, log_level = 'off', "

describe("the budget of a fleet", function()
  local api = h.standin { rate_limit = false }
  local server = h.each(h.redises.new, function(s) s:remove() end)

  local started

  before_each(function()
    started = 0
    api:config { rate_limit = LIMIT, fail_status = false }
  end)

  -- Programs that capture `count` events each at once, and then more, until
  -- there are as many as the file `go` says. Their numbers tell whose an event
  -- is.
  local function start(programs, count, options)
    local children = {}
    for i = 1, programs do
      started = started + 1
      children[i] = server:start(api, ([[
        local first = %d
        capture(client, first + 1, first + %d)
        tell "captured"
        local count = 0
        while true do
          local handle = io.open(arg[1])
          local wanted = handle and handle:read "*n" or 0
          if handle then handle:close() end
          if wanted > count then
            capture(client, first + 1, first + wanted - count)
            count = wanted
          end
          socket.sleep(0.01)
        end
      ]]):format(1000 * started, count), h.merge({
        args = { server.directory .. "/go" }, with = WITH, timeout = 90,
      }, options))
    end
    for _, child in ipairs(children) do
      h.says(child, "captured", 20)
    end
    return children
  end

  local function capture_more(count)
    h.shell.write(server.directory .. "/go", count .. "\n")
  end

  local function kill(children)
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
    end
  end

  -- What each gate has told: its turn, what it has, when its lease ends, how
  -- long that counts then, and when it stops to want more.
  local function members()
    local all, list = {}, 0
    local text = server:ask("HGETALL", server:key "budget")
    for name, turn, held, lease, tail, wants in
      text:gmatch "(%x+)\n(%d+) (%d+) (%d+) (%d+) (%d+)" do
      all[name] = { turn = tonumber(turn), held = tonumber(held),
        lease = tonumber(lease), tail = tonumber(tail),
        wants = tonumber(wants) }
      list = list + 1
    end
    return all, list
  end

  local function held()
    local sum = 0
    for _, member in pairs(members()) do
      sum = sum + member.held
    end
    return sum
  end

  -- Each gate that there is has asked once more, from now on: what is the next
  -- may have begun already.
  local function await_turns(gone)
    local before
    h.wait(function()
      before = members()
      return next(before)
    end, 20)
    h.wait(function()
      local all = members()
      for name, member in pairs(all) do
        if before[name] and not (gone and gone[name]) and
          member.turn < before[name].turn + 2 then
          return false
        end
      end
      return next(all)
    end, 20)
  end

  local function await_count(count)
    h.wait(function() return api:count() >= count end, 30)
  end

  -- There are as many gates, and each has asked since that is so.
  local function await_members(count, gone)
    h.wait(function() return select(2, members()) == count end, 20)
    await_turns(gone)
  end

  -- No more than the share was sent in any minute, and nobody was refused.
  local function assert_within_budget()
    local worst = api:busiest_minute()
    assert.is_true(worst <= SHARE, worst)
    assert.is_nil(api:status().by_status["429"])
  end

  it("is all of one process's, while it is alone", function()
    local children = start(1, 2 * SHARE)
    await_count(SHARE)
    await_turns()
    assert_within_budget()
    h.wait(function() return held() == SHARE end, 20)
    kill(children)
  end)

  it("is shared, and nobody is refused", function()
    local children = start(4, SHARE)
    await_count(SHARE)
    await_members(4)
    assert_within_budget()
    h.wait(function() return held() == SHARE end, 20)
    kill(children)
  end)

  it("is given back where it is not used", function()
    local children = start(2, 4)
    await_count(8)
    h.wait(function() return held() <= 8 end, 20)
    kill(children)
  end)

  it("goes to who wants it, when another has gone for good", function()
    local first = start(1, SHARE)
    h.wait(function() return held() > 0 end, 20)
    kill(first)
    local gone = members()
    local children = start(1, 2 * SHARE)
    await_members(2, gone)
    assert_within_budget()
    -- Time passes, for the server as well.
    api:config { rate_limit = false }
    for name, member in pairs(gone) do
      server:ask("HSET", server:key "budget", name,
        ("%d %d 1 1 0"):format(member.turn, member.held))
    end
    h.wait(function() return select(2, members()) == 1 end, 20)
    h.wait(function() return held() == SHARE end, 20)
    kill(children)
  end)

  local HARMS = {
    ["hangs"] = function() server:kill "STOP" end,
    ["is killed"] = function() server:kill "KILL" end,
    ["is read-only"] = function()
      server:ask("REPLICAOF", "127.0.0.1", "1")
    end,
  }

  for what, harm in pairs(HARMS) do
    it("is used in equal parts while Redis " .. what, function()
      local children = start(4, 1)
      await_count(4)
      await_members(4)
      harm()
      capture_more(SHARE)
      await_count(SHARE)
      assert_within_budget()
      local of = {}
      for _, event in ipairs(api:events()) do
        local whose = math.floor(h.body_of(event).data.i / 1000)
        of[whose] = (of[whose] or 0) + 1
      end
      for _, count in pairs(of) do
        assert.is_true(count >= SHARE / 4)
      end
      kill(children)
    end)
  end

  -- What makes Redis forget, or mistake, what it knew.
  local SHOCKS = {
    ["lost all it knew"] = function() server:ask "FLUSHALL" end,
    ["forgotten its scripts"] = function() server:ask("SCRIPT", "FLUSH") end,
    ["begun anew"] = function()
      server:kill "KILL"
      server:run()
    end,
    ["a clock that was set a day forward"] = function()
      h.shell.write(server.clock, "86400")
    end,
    ["a clock that was set a day back"] = function()
      h.shell.write(server.clock, "-86400")
    end,
    ["no memory left"] = function()
      server:ask("CONFIG", "SET", "maxmemory", "1")
    end,
  }

  for what, shock in pairs(SHOCKS) do
    it("is no other when Redis has " .. what, function()
      local children = start(2, SHARE / 4)
      await_count(SHARE / 2)
      await_members(2)
      shock()
      capture_more(SHARE)
      await_count(SHARE)
      await_members(2)
      h.wait(function() return held() == SHARE end, 20)
      assert_within_budget()
      kill(children)
    end)
  end

  -- With an append-only file it is the last second.
  it("waits for what others say when Redis has forgotten what it granted last",
    function()
      local function told()
        local last, calm, run = server:ask("HGET", server:key "budget", "-")
          :match "^(%d+) (%d+) %S+ %d+ run:(%x+)$"
        return { last = tonumber(last), calm = tonumber(calm), run = run }
      end
      local children = start(1, 4)
      children[2] = start(1, 4, {
        args = { server.directory .. "/later" },
      })[1]
      await_count(8)
      await_members(2)
      server:ask "SAVE"
      capture_more(SHARE)
      await_count(SHARE)
      local before = told()
      server:kill "KILL"
      server:run()
      await_turns()
      local after = told()
      assert.not_equal(before.run, after.run)
      assert.is_true(after.calm > before.last)
      h.shell.write(server.directory .. "/later", SHARE .. "\n")
      await_turns()
      h.wait(function() return held() == SHARE end, 20)
      assert_within_budget()
      kill(children)
    end)

  it("is no other when a machine's clock is set", function()
    local clock = server.directory .. "/machine"
    local children = start(1, SHARE / 4, { env = {
      LD_PRELOAD = h.preload("wall_clock"), SEER_CLOCK_FILE = clock,
    } })
    children[2] = start(1, SHARE / 4)[1]
    await_count(SHARE / 2)
    await_members(2)
    for _, seconds in ipairs { "86400", "-86400" } do
      h.shell.write(clock, seconds)
      await_turns()
    end
    capture_more(SHARE)
    await_count(SHARE)
    await_turns()
    assert_within_budget()
    assert.equal(2, select(2, members()))
    kill(children)
  end)

  it("goes back from a process that ends, but for what it has used", function()
    h.ended_well(server:start(api, [[
      capture(client, 1, 20)
      assert(client:persist(25))
      assert(client:flush(25))
    ]], { with = WITH .. "exit_timeout = 20" })) -- so long it may tell Redis
    assert.equal(20, held())
    local all = members()
    local _, last = next(all)
    assert.is_true(last.tail <= 60003 and last.wants == 0)
  end)

  it("fails a request that is waited for when others have all of it",
    function()
      local children = start(1, 2 * SHARE)
      await_count(SHARE)
      await_turns()
      h.ended_well(server:start(api, [[
        capture(client, 1, 1) -- so that it knows of the others
        assert(client:persist(25))
        local result, message, err = client.events.capture({ name = "a" },
          { wait = true, timeout = 20 })
        assert(not result and err.name == "RateLimitError", message)
      ]], { with = WITH, timeout = 60 }))
      assert_within_budget()
      kill(children)
    end)

  it("is nobody's business without a limit", function()
    h.ended_well(server:start(api, [[
      capture(client, 1, 20)
      assert(client:flush(25))
    ]]))
    assert.equal("", server:ask("KEYS", "*:budget"))
  end)

  -- Who stands still for longer than it is told to hold back tries as well, as
  -- do all when Redis does: this is of tries that follow each other.
  it("has one pause, in which one process tries", function()
    local children = start(3, 1, { with = WITH
      .. "rate_limit = 1000, initial_retry_delay = 0.3, "
      .. "max_retry_delay = 0.3" })
    local function who()
      return server:ask("HGET", server:key "budget", "-"):match
        "^%d+ %d+ (%x+) %d+ run:%x+$"
    end
    local function tried()
      local keys = {}
      for key in (h.shell.read(api.directory .. "/requests.log") or ""):gmatch
        "503 (%S+)" do
        keys[#keys + 1] = key
      end
      return keys
    end
    await_members(3)
    api:config { fail_status = 503, rate_limit = false, log = true }
    capture_more(20)
    h.wait(who, 20)
    await_turns()
    local from, keys = #tried(), nil
    await_turns()
    h.wait(function()
      keys = tried()
      return #keys >= from + 24
    end, 60)
    api:config { fail_status = false }
    h.wait(function() return api:status().by_status["200"] == 63 end, 30)
    h.wait(function() return not who() end, 20)
    kill(children)
    local of, run, most = {}, 0, 0
    for _, event in ipairs(api:events()) do
      of[event.headers["idempotency-key"]] =
        math.floor(h.body_of(event).data.i / 1000)
    end
    for i = from + 1, #keys do
      run = of[keys[i]] == of[keys[i - 1]] and run + 1 or 1
      most = math.max(most, run)
    end
    assert.is_true(most >= 8, most)
  end)
end)
