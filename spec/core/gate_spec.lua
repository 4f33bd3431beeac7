local h = require "spec.helper"

-- Processes that were forked from one that had the module share one budget.
-- What is here fits into a minute, so each may send 95 of 100 in all, and
-- whoever sends more is answered with 429 by the stand-in.
describe("the budget of forked processes", function()
  local server = h.own_standin { rate_limit = 100 }

  local PRELUDE = [[
    local seerstack = require "seerstack"
    local native = require "seer_spec_native"
    local socket = require "socket"
    local function open(options)
      options = options or {}
      if options.rate_limit == nil then
        options.rate_limit = 100
      end
      options.exit_timeout = options.exit_timeout or 1
      options.log_level = options.log_level or "off"
      return seerstack.new(options)
    end
    local function fork(count, child)
      local pids = {}
      for i = 1, count do
        pids[i] = native.fork()
        if pids[i] == 0 then
          child(i)
          os.exit(0)
        end
      end
      return pids
    end
    local function join(pids)
      for _, pid in ipairs(pids) do
        native.wait(pid)
      end
    end
    local function capture(client, count)
      for _ = 1, count do
        assert(client.events.capture { name = "a.b" })
      end
    end
    -- Waits until so many are delivered, or so long: ten seconds.
    local function deliver(client, count, seconds)
      local deadline = socket.gettime() + (seconds or 10)
      while client:stats().delivered < count
        and socket.gettime() < deadline do
        socket.sleep(0.01)
      end
      return client:stats().delivered
    end
    -- Until the specs have seen enough of this process.
    local function stay()
      local deadline = socket.gettime() + 30
      while not io.open(os.getenv "SEER_GO") do
        assert(socket.gettime() < deadline)
        socket.sleep(0.01)
      end
    end
  ]]

  local directory

  before_each(function()
    directory = h.shell.temporary_directory("gate")
  end)

  after_each(function()
    h.shell.remove(directory)
  end)

  local function start(code)
    return h.start {
      code = PRELUDE .. code,
      env = h.environment(server.url, server.key,
        h.merge(h.NO_LEAKS, { SEER_GO = directory .. "/go" })),
      timeout = 60,
    }
  end

  local function run(code)
    return h.ended_well(start(code)), server:status().by_status
  end

  -- The same of processes that stay there until so many are delivered.
  local function run_until(delivered, code)
    local child = start(code)
    h.wait(function()
      return child:done() or server:status().by_status["200"] == delivered
    end, 20)
    h.shell.write(directory .. "/go", "")
    h.ended_well(child)
    return server:status().by_status
  end

  local function assert_no_429(delivered, by_status)
    assert.same({ ["200"] = delivered }, by_status)
  end

  it("is one for the children of a client", function()
    assert_no_429(95, run_until(95, [[
      local client = open()
      join(fork(4, function()
        capture(client, 50)
        stay()
      end))
    ]]))
  end)

  it("is one where each makes its client after the fork", function()
    assert_no_429(95, run_until(95, [[
      join(fork(4, function()
        local client = open()
        capture(client, 50)
        stay()
      end))
    ]]))
  end)

  it("counts what the parent had sent", function()
    local _, by_status = run [[
      local client = open()
      capture(client, 90)
      assert(client:flush(10))
      join(fork(1, function()
        capture(client, 90)
        assert(deliver(client, 5) == 5)
      end))
    ]]
    assert_no_429(95, by_status)
  end)

  it("is kept by one who has no client any more", function()
    local _, by_status = run [[
      local function generation(count)
        return function()
          local client = open()
          capture(client, 60)
          assert(deliver(client, count) == count)
        end
      end
      join(fork(1, generation(60)))
      collectgarbage()
      join(fork(1, generation(35)))
    ]]
    assert_no_429(95, by_status)
  end)

  it("gives a smaller limit what it may, beside a larger one", function()
    local _, by_status = run [[
      join(fork(1, function()
        local large = open()
        capture(large, 60)
        assert(large:flush(10))
      end))
      join(fork(1, function()
        local small = open { rate_limit = 20 }
        capture(small, 30)
        assert(deliver(small, 19) == 19)
      end))
    ]]
    assert_no_429(79, by_status)
  end)

  it("tells at exit that it allows no more", function()
    local child = start [[
      local client = open { log_level = "error", exit_timeout = 20 }
      join(fork(2, function() capture(client, 60) end))
    ]]
    local told, lost = child:wait().stderr, 0
    for count in told:gmatch "(%d+) events? [^:]+ exit: the rate limit" do
      lost = lost + count
    end
    assert.equal(25, lost, told)
    assert_no_429(95, server:status().by_status)
  end)

  it("is left true by those that are killed", function()
    local _, by_status = run [[
      local client = open()
      for _ = 1, 10 do
        join(fork(3, function(i)
          capture(client, 20)
          deliver(client, i, 1)
          os.execute "kill -9 $PPID"
        end))
      end
    ]]
    assert.is_nil(by_status["429"])
    assert.is_true(by_status["200"] > 0 and by_status["200"] <= 95)
  end)

  it("is not held up by one that is stopped", function()
    local _, by_status = run [[
      local client = open()
      local stopped = fork(1, function()
        capture(client, 20)
        socket.sleep(30)
      end)
      socket.sleep(0.3)
      os.execute("kill -STOP " .. stopped[1])
      capture(client, 60)
      assert(client:flush(10))
      os.execute("kill -9 " .. stopped[1])
      join(stopped)
    ]]
    assert.is_nil(by_status["429"])
  end)

  it("pauses for all when one is told to", function()
    server:config { fail_status = 429, fail_count = 1,
      fail_headers = { ["Retry-After"] = "3" } }
    local _, by_status = run [[
      local client = open()
      capture(client, 1)
      local deadline, retry_at = socket.gettime() + 10, nil
      while not retry_at and socket.gettime() < deadline do
        socket.sleep(0.01)
        retry_at = client:stats().retry_at
      end
      join(fork(4, function()
        capture(client, 1)
        assert(client:stats().retry_at or socket.gettime() > retry_at - 0.1)
        assert(deliver(client, 1, 30) == 1) -- one after the other tries
        assert(socket.gettime() > retry_at - 0.1)
      end))
      assert(deliver(client, 1) == 1)
    ]]
    assert.equal(1, by_status["429"])
    assert.equal(5, by_status["200"])
  end)

  it("has a rate that stats tell", function()
    run [[
      assert(open():stats().rate == 95)
      assert(open { api_key = "sk_other", rate_limit = false }:stats().rate
        == nil)
      local client = open()
      capture(client, 95)
      assert(client:flush(10))
      join(fork(1, function()
        assert(client:stats().rate == 95)
      end))
    ]]
  end)

  it("is slower after a 429, and stats tell that, too", function()
    server:config { rate_limit = 20, rate_window = 2 }
    local _, by_status = run [[
      local client = open()
      capture(client, 22)
      assert(deliver(client, 22) == 22)
      local rate = client:stats().rate
      assert(rate < 95 and rate >= 95 / 3 - 1)
      join(fork(1, function()
        assert(client:stats().rate < 95)
      end))
    ]]
    assert.is_true(by_status["429"] >= 1)
  end)
end)
