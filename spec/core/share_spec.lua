local h = require "spec.helper"

-- Processes that know nothing of each other. As in gate_spec.lua, each may
-- send 95 of 100 in all, and more than 100 are answered with 429.
describe("the budget of strangers with share_rate_limit", function()
  -- What one spec has sent is nothing to the next: each has a key of its own.
  local server = h.each(function()
    return h.start_standin { rate_limit = 100, key = h.host.key() }
  end, function(standin) standin:stop() end)

  local PRELUDE = [[
    local seerstack = require "seerstack"
    local native = require "seer_spec_native"
    local socket = require "socket"
    local function open(options)
      options = options or {}
      options.rate_limit = 100
      options.exit_timeout = options.exit_timeout or 1
      options.log_level = options.log_level or "off"
      if options.share_rate_limit == nil then
        options.share_rate_limit = true
      end
      return seerstack.new(options)
    end
    local function capture(client, count)
      for _ = 1, count do
        assert(client.events.capture { name = "a.b" })
      end
    end
    local function wait(condition)
      local deadline = socket.gettime() + 20
      while not condition() do
        assert(socket.gettime() < deadline, "in vain")
        socket.sleep(0.01)
      end
    end
  ]]

  local function start(code, options)
    options = options or {}
    options.code = PRELUDE .. code
    options.env = h.environment(server.url, server.key,
      h.merge(h.NO_LEAKS, { SEER_GO = server.directory .. "/go" },
        options.env))
    options.timeout = 60
    return h.start(options)
  end

  local function run(code, options)
    return h.ended_well(start(code, options):wait())
  end

  local function assert_no_429(delivered)
    assert.same({ ["200"] = delivered }, server:status().by_status)
  end

  it("is one for those that run together", function()
    local children = {}
    for i = 1, 4 do
      children[i] = start [[
        local client = open()
        capture(client, 50)
        wait(function() return io.open(os.getenv "SEER_GO") end)
      ]]
    end
    h.wait(function()
      return server:status().by_status["200"] == 95
    end, 20)
    h.shell.write(server.directory .. "/go", "")
    for _, child in ipairs(children) do
      h.ended_well(child:wait())
    end
    assert_no_429(95)
  end)

  it("is one for those that follow each other", function()
    for _, count in ipairs { 40, 40, 15 } do
      run(([[
        local client = open()
        capture(client, 40)
        wait(function() return client:stats().delivered == %d end)
      ]]):format(count))
    end
    assert_no_429(95)
  end)

  it("is that of their children, too, and counts what went before", function()
    run [[
      local client = open { share_rate_limit = false }
      capture(client, 30)
      assert(client:flush(10))
      client = client:with_options { share_rate_limit = true }
      local pid = native.fork()
      capture(client, 20)
      client:flush(10)
      if pid == 0 then os.exit(0) end
      native.wait(pid)
    ]]
    run [[
      local client = open()
      capture(client, 50)
      wait(function() return client:stats().delivered == 25 end)
    ]]
    assert_no_429(95)
  end)

  it("is left true by those that are killed", function()
    for i = 1, 8 do
      start(([[
        local client = open()
        capture(client, 20)
        local deadline = socket.gettime() + 1
        while client:stats().delivered < %d
          and socket.gettime() < deadline do
          socket.sleep(0.01)
        end
        os.execute "kill -9 $PPID"
      ]]):format(i)):wait()
    end
    local by_status = server:status().by_status
    assert.is_nil(by_status["429"])
    assert.is_true(by_status["200"] > 8 and by_status["200"] <= 95)
  end)

  it("pauses for all when one is told to", function()
    server:config { fail_status = 429, fail_count = 1,
      fail_headers = { ["Retry-After"] = "6" } }
    run [[
      local client = open()
      capture(client, 1)
      wait(function() return client:stats().retry_at end)
      native.exit(0)
    ]]
    run [[
      local client = open()
      capture(client, 1)
      wait(function() return client:stats().retry_at end)
      assert(client:stats().delivered == 0)
      assert(client:flush(20))
      assert(client:stats().rate < 95)
    ]]
    local by_status = server:status().by_status
    assert.equal(1, by_status["429"])
    assert.equal(1, by_status["200"])
  end)

  it("is not shared with those that do not want it, nor by other keys",
    function()
      run [[
        local client = open()
        capture(client, 95)
        assert(client:flush(10))
      ]]
      run [[
        local client = open { share_rate_limit = false }
        capture(client, 1)
        assert(client:flush(5))
        client = open { api_key = "sk_other" }
        capture(client, 1)
        wait(function() return client:stats().last_error end)
        native.exit(0)
      ]]
      assert.same({ ["200"] = 96, ["401"] = 1 }, server:status().by_status)
    end)

  it("is each one's own, and that is told once, without shared memory",
    function()
      local child = start([[
        for _ = 1, 3 do
          local client = open { log_level = "warn" }
          capture(client, 1)
          assert(client:flush(10))
        end
      ]], { env = { LD_PRELOAD = h.preload "no_shm" } }):wait()
      assert.equal(0, child.status, child.stderr)
      assert.equal("seerstack: warn: the rate limit is this process's alone, "
        .. "not shared: Function not implemented\n", child.stderr)
      assert_no_429(3)
    end)

  for trouble, what in pairs { hang = "is busy", later = "is in trouble" } do
    it("is one from the first event of a client that is made while its store "
      .. what, function()
        local file = h.stores.new()
        finally(function() file:remove() end)
        run [[
          local client = open()
          capture(client, 95)
          assert(client:flush(25))
        ]]
        file:be(trouble)
        run(([[
          local path = %q
          local control = path .. ".control"
          local store = require "seer_spec_store".open {
            path = path, control = control }
          local other = open { store = store,
            base_url = "http://127.0.0.1:1" }
          capture(other, 1)
          wait(function()
            return io.open(control .. ".hangs") or other:stats().store.error
          end)
          local client = open { store = store }
          os.remove(control)
          capture(client, 20)
          assert(not client:flush(1))
        ]]):format(file.path))
        assert_no_429(95)
      end)
  end

  it("is asked of the system once in a process", function()
    run [[
      local seen = {}
      for i = 1, 3 do
        local client = open()
        capture(client, 1)
        assert(client:flush(10))
        local _, count = io.open "/proc/self/maps":read "*a":gsub("/SYSV", "")
        seen[i] = count
      end
      assert(seen[1] == 1 and seen[3] == 1, table.concat(seen, " "))
    ]]
  end)
end)
