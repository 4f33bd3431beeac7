local h = require "spec.helper"

local hold = h.hold
local x

after_each(function()
  x:close()
end)

-- "user:name" of identifies, the name alone of captures.
local function what(request)
  local body = h.body_of(request)
  return (body.user_id and body.user_id .. ":" or "") .. body.name
end

local function all()
  local list = {}
  for i, request in ipairs(x.requests) do
    list[i] = what(request)
  end
  return list
end

-- How often a request came.
local function times(text)
  local count = 0
  for _, found in ipairs(all()) do
    count = count + (found == text and 1 or 0)
  end
  return count
end

-- A handler that treats one request in its own way, and the others well.
local function but(text, answer)
  return function(request, peer)
    if what(request) == text then
      return answer(request, peer)
    end
    return h.ok()
  end
end

local function fail()
  return 500
end

local function release(text)
  for _, request in ipairs(x.requests) do
    if what(request) == text then
      local peer = x.server.connections[request.connection]
      peer:respond(h.ok())
      peer.busy = false
      return
    end
  end
end

-- Checks, request by request, that the identifies of each user have the
-- names 1, 2, 3 and so on, none before its forerunner was answered well.
local function order_keeper()
  local keeper = { settled = {}, flying = {}, delivered = 0, most = 0 }
  local flying = 0

  function keeper.arrive(request)
    local body = h.body_of(request)
    local user, number = body.user_id, tonumber(body.name)
    assert.is_nil(keeper.flying[user], "two of one user at a time")
    assert.equal((keeper.settled[user] or 0) + 1, number)
    keeper.flying[user] = number
    flying = flying + 1
    keeper.most = math.max(keeper.most, flying)
    return user
  end

  function keeper.answer(user, settled)
    if settled then
      keeper.settled[user] = keeper.flying[user]
      keeper.delivered = keeper.delivered + 1
    end
    keeper.flying[user] = nil
    flying = flying - 1
  end

  return keeper
end

describe("an identify", function()
  it("waits while an earlier one of its user is tried again", function()
    x = h.open { max_in_flight = 8 }
    x:identify("u", "1")
    x:identify("u", "2")
    x:identify("u", "3")
    x:identify("other", "1")
    x:identify("other", "2")
    x:capture("captured")
    local good = false
    x:serve(but("u:1", function()
      good = times("other:2") == 1 and times("captured") == 1
        and times("u:1") >= 4
      if good then
        return h.ok()
      end
      return 500
    end), function() return x.client:stats().pending == 0 end)
    local list, first_of_second = all(), nil
    for i, text in ipairs(list) do
      if text == "u:2" then
        first_of_second = i
      elseif text == "u:1" then
        assert.is_nil(first_of_second)
      end
    end
    assert.equal("u:3", list[#list])
    assert.equal(6, h.adds_up(x.client).delivered)
  end)

  it("waits while an earlier one of its user is in flight", function()
    x = h.open { max_in_flight = 8 }
    x:identify("u", "1")
    x:identify("u", "2")
    x:identify("other", "1")
    x:capture("captured")
    x:serve_requests(3, but("u:1", hold))
    x:serve_while(function() return #x.requests == 3 end, nil, 0.2)
    assert.equal(0, times("u:2"))
    release("u:1")
    x:settle()
    assert.equal("u:2", all()[4])
  end)

  it("goes when the earlier one was rejected", function()
    x = h.open()
    x:identify("u", "1")
    x:identify("u", "2")
    local stats = x:settle(but("u:1", function() return 422 end))
    assert.equal(1, stats.rejected)
    assert.same({ "u:1", "u:2" }, all())
  end)

  it("goes when the earlier one has expired", function()
    x = h.open {
      max_age = 0.5, initial_retry_delay = 40, max_retry_delay = 40,
    }
    x:identify("u", "1")
    x:serve(but("u:1", fail), function()
      return x.client:stats().last_error
    end)
    h.wait(function()
      x:identify("u", "2")
      return x.client:stats().dropped_by.expired > 0
    end, 5, 0.05)
    x:identify("u", "last")
    x:settle()
    assert.equal("u:last", all()[#x.requests])
    assert.equal(1, times("u:1"))
  end)

  it("has one order for a user_id as a number and as a string", function()
    x = h.open()
    x:identify(5, "1")
    x:identify("5", "2")
    x:serve_requests(1, but("5:1", hold))
    x:serve_while(function() return #x.requests == 1 end, nil, 0.2)
    release("5:1")
    x:settle()
    assert.same({ "5:1", "5:2" }, all())
  end)

  it("is told from another by all of its user_id", function()
    x = h.open { max_in_flight = 100 }
    local users = {
      "u", "U", "u ", "uu", "u\0", "u\0a", "u\0b", ("u"):rep(5000),
      ("u"):rep(4999) .. "v", "1", "11", "\195\164", "a",
    }
    for _, user in ipairs(users) do
      x:identify(user, "1")
    end
    x:serve_requests(#users, hold)
    assert.equal(#users, x.client:stats().pending)
  end)

  it("knows nothing of another client's", function()
    x = h.open()
    local other = x:new { api_key = x.key }
    x:identify("u", "1")
    assert(other.users.identify { user_id = "u", name = "2" })
    x:serve_requests(2, hold)
    assert.equal(2, times("u:1") + times("u:2"))
  end)
end)

describe("captures", function()
  it("of a user do not wait for an identify, nor it for them", function()
    x = h.open { max_in_flight = 8 }
    local function capture(name)
      assert(x.client.events.capture { name = name, user_id = "u" })
    end
    capture("before")
    x:identify("u", "1")
    capture("after")
    x:serve_requests(3, hold)
  end)
end)

describe("thousands of identifies", function()
  -- memcheck takes minutes for as many, and sees nothing new after some.
  local FEWER = os.getenv "SANITIZER" == "valgrind" and 10 or 1

  for _, case in ipairs {
    { users = 3, events = 1500 / FEWER },
    { users = 60, events = 3000 / FEWER },
    { users = 1500 / FEWER, events = 3000 / FEWER },
  } do
    it(("of %d users arrive in order per user, whatever fails")
      :format(case.users), function()
        x = h.open {
          initial_retry_delay = 0.001, max_retry_delay = 0.01,
        }
        math.randomseed(11)
        local counts = {}
        for _ = 1, case.events do
          local user = "u" .. math.random(case.users)
          counts[user] = (counts[user] or 0) + 1
          x:identify(user, tostring(counts[user]))
        end
        local keeper, number = order_keeper(), 0
        local problem
        x:serve(function(request)
          local ok, user = pcall(keeper.arrive, request)
          problem = problem or not ok and user
          number = number + 1
          local settled = number % 25 ~= 0
          if ok then
            keeper.answer(user, settled)
          end
          if settled then
            return h.ok()
          end
          return number % 2 == 0 and "close" or 500
        end, function()
          return problem or x.client:stats().pending == 0
        end, 30)
        assert.is_nil(problem or nil)
        assert.equal(case.events, keeper.delivered)
        assert.same(counts, keeper.settled)
        assert.equal(case.events, h.adds_up(x.client).delivered)
      end)
  end

  it("are sent side by side for different users, one by one for one",
    function()
      x = h.open { max_in_flight = 8 }
      for i = 1, 10 do
        for user = 1, 16 do
          x:identify("u" .. user, tostring(i))
        end
      end
      local keeper = order_keeper()
      local waiting = {}
      x:serve(function(request, peer)
        waiting[#waiting + 1] = { keeper.arrive(request), peer }
        return "hold"
      end, function()
        -- Answers go out when as many requests as may be are in flight.
        if #waiting == 8 then
          for _, pair in ipairs(waiting) do
            keeper.answer(pair[1], true)
            pair[2]:respond(h.ok())
            pair[2].busy = false
          end
          waiting = {}
        end
        return x.client:stats().pending == 0
      end)
      assert.equal(8, keeper.most)
      assert.equal(160, keeper.delivered)
    end)
end)

describe("drop_oldest", function()
  local function open(options)
    options.overflow = "drop_oldest"
    x = h.open(options)
  end

  it("displaces an identify that is to be tried again: the next goes",
    function()
      -- In a process of its own, where nothing else wakes the sender.
      x = h.open()
      local child = x:child({ code = [[
        local socket = require "socket"
        local client = require "seerstack".new {
          max_queue_events = 2, overflow = "drop_oldest", exit_timeout = 0,
          initial_retry_delay = 40, max_retry_delay = 40,
        }
        local function wait_for(condition)
          local deadline = socket.gettime() + 10
          repeat
            socket.sleep(0.05)
          until condition(client:stats()) or socket.gettime() > deadline
        end
        client.users.identify { user_id = "u", name = "1" }
        client.users.identify { user_id = "u", name = "2" }
        wait_for(function(stats) return stats.last_error end)
        client.events.capture { name = "captured" }
        wait_for(function(stats) return stats.delivered == 2 end)
        print(client:stats().delivered, client:stats().dropped)
      ]] }, but("u:1", fail))
      assert.equal("2\t1\n", child.stdout)
      assert.equal(1, times("u:1"))
    end)

  it("displaces what follows an identify in flight, and not that",
    function()
      open { max_queue_events = 3 }
      x:identify("u", "1")
      x:serve_requests(1, hold)
      for i = 2, 20 do
        x:identify("u", tostring(i))
      end
      assert.equal(17, h.adds_up(x.client).dropped_by.displaced)
      release("u:1")
      assert.equal(3, x:settle().delivered)
      assert.same({ "u:1", "u:19", "u:20" }, all())
    end)

  it("keeps the order of what it leaves", function()
    open {
      max_queue_events = 40, max_queue_bytes = 12000, max_in_flight = 4,
      initial_retry_delay = 0.001, max_retry_delay = 0.005,
    }
    math.randomseed(13)
    -- What is just being stored cannot be displaced.
    local function put(identify)
      h.wait(function()
        local ok, message, err = x.client.users.identify(identify)
        assert(ok or os.getenv "STORE" and err.name == "QueueFullError",
          message)
        return ok
      end)
    end
    local counts, newest, flying = {}, {}, {}
    local number = 0
    local function handler(request)
      local body = h.body_of(request)
      local user, this = body.user_id, tonumber(body.name)
      assert.is_true(this >= (newest[user] or 1), "an earlier one came late")
      assert.is_true(flying[user] == nil or flying[user] == this)
      newest[user], flying[user] = this, this
      number = number + 1
      if number % 4 == 0 then
        return 500
      end
      flying[user] = nil
      newest[user] = this + 1
      return h.ok()
    end
    for _ = 1, 100 do
      for _ = 1, math.random(0, 30) do
        local user = "u" .. math.random(5)
        counts[user] = (counts[user] or 0) + 1
        put {
          user_id = user, name = tostring(counts[user]),
          attributes = { x = ("x"):rep(math.random(0, 300)) },
        }
        -- A displaced one leaves its place to the next.
        flying = {}
        h.adds_up(x.client)
      end
      local goal = #x.requests + math.random(0, 10)
      x:serve(handler, function()
        return #x.requests >= goal or x.client:stats().pending == 0
      end)
    end
    local stats = x:settle(handler)
    assert.is_true(stats.dropped_by.displaced > 0)
    assert.equal(0, stats.rejected)
  end)
end)

describe("a waited-for identify", function()
  local CODE = [[
    local client = require "seerstack".new {
      initial_retry_delay = 0.05, rate_limit = false, exit_timeout = %s,
    }
    local function identify(user, name, options)
      return client.users.identify({ user_id = user, name = name }, options)
    end
    %s
  ]]

  it("goes after the queued ones of its user, and before all others",
    function()
      x = h.open()
      local child = x:child({ code = CODE:format(10, [[
        identify("u", "1")
        identify("u", "2")
        print((assert(identify("u", "3", { wait = true }))).success)
        print(client:stats().delivered)
      ]]) }, h.sequence { { 500 }, { 500 } })
      assert.equal("true\n3\n", child.stdout)
      assert.same({ "u:1", "u:1", "u:1", "u:2", "u:3" }, all())
    end)

  it("ends in time when an earlier one does not, and is not sent then",
    function()
      x = h.open()
      local child = x:child({ code = CODE:format(10, [[
        identify("u", "1")
        local _, message, err = identify("u", "2",
          { wait = true, timeout = 0.3 })
        print(message, err.name, client:stats().pending)
        identify("u", "3")
        identify("other", "1", { wait = true })
      ]]) }, but("u:1", function()
        if times("other:1") == 1 then
          return h.ok()
        end
        return 500
      end))
      assert.equal("timed out\tAPITimeoutError\t1\n", child.stdout)
      assert.equal(0, times("u:2"))
      assert.equal(1, times("u:3"))
      assert.equal("u:3", all()[#x.requests])
    end)

  it("goes at once when the one before it is displaced", function()
    x = h.open {
      max_in_flight = 1, max_queue_events = 3, overflow = "drop_oldest",
    }
    local function handler(request)
      local number = what(request)
      if number == "u:1" then
        return 503, { ["Retry-After"] = "30" }
      elseif number == "v:1" then
        return 503, { ["Retry-After"] = "40" }
      end
      return h.ok()
    end
    x:identify("u", "1")
    x:identify("v", "1")
    x:capture("both are delayed")
    x:serve(handler, function() return x.client:stats().delivered == 1 end)
    x:serve_while(function() return #x.requests == 3 end, handler, 0.2)
    local future = x.client.users.identify({ user_id = "u", name = "2" },
      { future = true })
    x:identify("v", "2") -- displaces the first, and itself wakes nobody
    assert.equal(1, x.client:stats().dropped_by.displaced)
    x:serve(handler, function() return future:done() end)
    assert.same({ success = true }, (future:get()))
  end)

  for _, overflow in ipairs { "reject", "drop_oldest" } do
    it("leaves its room to others when its time is up, with " .. overflow,
      function()
        x = h.open()
        local child = x:child({ code = CODE:format(10, [[
          client = client:with_options {
            max_queue_events = 3, overflow = "]] .. overflow .. [["
          }
          identify("u", "1")
          for i = 2, 3 do
            local _, _, err = identify("u", tostring(i),
              { wait = true, timeout = 0.1 })
            print(err.name)
          end
          identify("v", "1")
          print(client.events.capture { name = "captured" })
          local stats = client:stats()
          print(stats.dropped, stats.rejected)
        ]]) }, but("u:1", function()
          return times("captured") == 1 and 200 or 500
        end))
        assert.equal("APITimeoutError\nAPITimeoutError\ntrue\n0\t2\n",
          child.stdout)
      end)
  end

  it("is before a queued one that came later", function()
    x = h.open()
    local child = x:child({ code = CODE:format(10, [[
      assert(identify("u", "1", { wait = true, max_retries = 5 }))
      identify("u", "2")
    ]]) }, h.sequence { { 500 }, { "close" } })
    assert.equal("", child.stdout)
    assert.same({ "u:1", "u:1", "u:1", "u:2" }, all())
  end)
end)
