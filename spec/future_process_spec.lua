-- Futures when a state is closed, after a fork, where there are no threads,
-- and at the end of the process.

local h = require "spec.helper"

local x = h.exchange()

describe("a program with futures", function()
  local PREAMBLE = [[
    local client = require "seerstack".new { rate_limit = false }
    local function ask(name)
      return assert(client.events.capture({ name = name }, { future = true }))
    end
    local function finally(f)
      local newproxy = rawget(_G, "newproxy")
      local object = newproxy and newproxy(true)
      local metatable = object and getmetatable(object) or {}
      metatable.__gc = f
      return object or setmetatable({}, metatable)
    end
  ]]

  -- Answers nothing before so many requests are there.
  local function together(count)
    local held = {}
    return function(_, peer)
      held[#held + 1] = peer
      if #held == count then
        for _, waiting in ipairs(held) do
          waiting:respond(h.ok())
        end
      end
    end
  end

  local function run(code, handler, env)
    local result = x:child({ code = PREAMBLE .. code, env = env }, handler)
    assert.equal("", result.stderr)
    return result.stdout
  end

  local ENDINGS = {
    "", "os.exit(0)", "os.exit(0, true)", "assert(client:close())",
    "client:close(0)", "client = nil collectgarbage() collectgarbage()",
  }

  for _, ending in ipairs(ENDINGS) do
    it(("ends well, asked or not: '%s'"):format(ending), function()
      run([[
        local first, second = ask "first", ask "second"
        assert(first:done() == false)
        assert(select(3, second:get(0)).name == "TimeoutError")
        kept = ask "kept"
        ask "forgotten"
      ]] .. ending, together(4))
      local names = x:names()
      table.sort(names)
      assert.same({ "first", "forgotten", "kept", "second" }, names)
    end)
  end

  it("tells what it leaves unanswered", function()
    local result = x:child({ code = [[
      local client = require "seerstack".new { exit_timeout = 1 }
      local kept = client.events.capture({ name = "kept" },
        { future = true })
      client.events.capture({ name = "forgotten" }, { future = true })
      assert(not kept:get(0))
    ]] }, function() return "hold" end)
    assert.equal("seerstack: error: 2 events were not delivered before exit: "
      .. "the time to deliver was up\n", result.stderr)
  end)

  -- One finalizer runs while the future lives, the other one after it.
  local FINALIZERS = [[
    local future
    local function look(who)
      print(who, type(future:done()), type(tostring(future)))
      for _, timeout in ipairs { 0, 0.001, 10 } do
        local response, message, err = future:get(timeout)
        assert(response and message.status == 200 or err.message == message)
        print(who, response and "answer" or err.name)
      end
      local response, message, err = future:get()
      print(who, response and "answer" or err.name)
      print(who, future:done())
      local later, _, why = client.events.capture { name = who }
      print(who, later or why.name)
    end
    before = finally(function() look "before" end)
    future = ask "a.b"
    after = finally(function() look "after" end)
  ]]

  local function lines_of(output, who)
    local lines = {}
    for line in output:gmatch(who .. "\t([^\n]*)") do
      lines[#lines + 1] = line
    end
    return lines
  end

  for _, ending in ipairs { "", "os.exit(0, true)" } do
    -- In Lua 5.1 os.exit does not close the state.
    local closes = ending == "" or _VERSION ~= "Lua 5.1"
      or rawget(_G, "jit") ~= nil
    it("stands finalizers that use them while the state is closed: '"
      .. ending .. "'", function()
        local output = run(FINALIZERS .. ending, function()
          return "delay", 1, h.ok()
        end)
        if not closes then
          assert.equal("", output)
          return
        end
        assert.same({ "boolean\tstring", "TimeoutError", "TimeoutError",
          "answer", "answer", "true", "true" },
          lines_of(output, "after"))
        local before = lines_of(output, "before")
        assert.equal(7, #before)
        assert.equal("boolean\tstring", before[1])
        assert.equal(before[5], before[2])
        assert.is_true(before[5] == "ClosedError" or before[5] == "answer")
        assert.equal("true", before[6])
      end)
  end

  it("goes on when a state with futures is closed", function()
    run([[
      require "seer_spec_native".states(5, [=[
        ]] .. PREAMBLE .. [[
        kept = ask "kept"
        local asked = ask "asked"
        asked:done()
        asked:get(0)
        ask "forgotten"
      ]=])
      assert(ask("last"):get().success)
    ]], function() return "delay", 0.2, h.ok() end)
    local count = {}
    for _, name in ipairs(x:names()) do
      count[name] = (count[name] or 0) + 1
    end
    assert.same({ kept = 5, asked = 5, forgotten = 5, last = 1 }, count)
  end)

  describe("that forks", function()
    local FORK = [[
      local native = require "seer_spec_native"
      local function tell(...)
        local words = { ... }
        for i = 1, select("#", ...) do
          words[i] = tostring(words[i])
        end
        io.stdout:write(table.concat(words, " "), "\n")
        io.stdout:flush()
      end
      local function tell_result(who, response, message, err)
        tell(who, response and response.name or message, err and err.name)
      end
      local function fork()
        if os.getenv "SANITIZER" then
          require "socket".sleep(0.1)
        end
        return native.fork()
      end
    ]]

    -- "pending" has no answer before "own" is there, which the child sends.
    local function handler()
      local held, released
      return function(request, peer)
        local name = h.body_of(request).name
        local body = ('{"success":true,"name":"%s"}'):format(name)
        if name == "pending" and not released then
          held = { peer = peer, body = body }
          return
        elseif name == "own" then
          released = true
          if held then
            held.peer:respond(200, nil, held.body)
          end
        end
        return 200, nil, body
      end
    end

    local function assert_received(...)
      local names = x:names()
      table.sort(names)
      assert.same({ ... }, names)
    end

    local function run_forking(code)
      return run(FORK .. code, handler(), h.NO_LEAKS)
    end

    it("has ClosedError for them in the child, and the answer in the parent",
      function()
        local output = run_forking [[
          local settled = ask "settled"
          assert(settled:get())
          local pending = ask "pending"
          local delivered = client:stats().delivered
          local child = fork()
          if child == 0 then
            tell(pending:done(), tostring(pending))
            tell_result("child", pending:get())
            tell_result("child", pending:get(5))
            tell_result("child", settled:get())
            tell(client:stats().accepted < 1)
            tell_result("child", ask("own"):get())
            os.exit(0)
          end
          assert(native.wait(child) == 0)
          tell_result("parent", pending:get())
          tell_result("parent", settled:get(0))
          tell(client:stats().delivered - delivered == 1)
        ]]
        assert.equal([[
true seerstack.future (done)
child closed before there was an answer ClosedError
child closed before there was an answer ClosedError
child settled nil
true
child own nil
parent pending nil
parent settled nil
true
]], output)
        assert_received("own", "pending", "settled")
      end)

    it("leaves their failures to the parent's on_error", function()
      local output = run(FORK .. [[
        local heard = 0
        client = client:with_options {
          on_error = function() heard = heard + 1 end, log_level = "off",
        }
        local failed = ask "failed"
        while not failed:done() do
          require "socket".sleep(0.005)
        end
        local function poll()
          failed = nil
          collectgarbage()
          collectgarbage()
          client:poll()
          return heard == 1
        end
        local child = fork()
        if child == 0 then
          tell("child", poll())
          os.exit(0)
        end
        assert(native.wait(child) == 0)
        tell("parent", poll())
      ]], function() return 422 end, h.NO_LEAKS)
      assert.equal("child false\nparent true\n", output)
    end)

    it("may forget or close them in the child", function()
      assert.equal("parent pending nil\n", run_forking [[
        local pending = ask "pending"
        local child = fork()
        if child == 0 then
          pending = nil
          collectgarbage()
          collectgarbage()
          assert(ask("own"):get())
          assert(client:close(5))
          os.exit(0, true)
        end
        assert(native.wait(child) == 0)
        tell_result("parent", pending:get())
      ]])
      assert_received("own", "pending")
    end)
  end)

  describe("where threads are refused", function()
    local function run_refused(code, handler)
      return run(code .. [[
        assert(client:stats().sender == "none")
      ]], handler or h.ok, {
        LD_PRELOAD = h.preload "threads", SEER_THREADS_REFUSED = 1000,
      })
    end

    it("sends while it waits for them", function()
      assert.equal("seerstack.future (pending)\ntrue\ntrue\n", run_refused [[
        local future = ask "a.b"
        print(future)
        ask "forgotten"
        print(future:get().success)
        assert(client:flush(10))
        print(client:stats().delivered == 2)
      ]])
      assert.equal(2, #x.requests)
    end)

    it("sends while it asks whether they are done", function()
      assert.equal("true\n", run_refused [[
        local future, socket = ask "a.b", require "socket"
        local deadline = socket.gettime() + 10
        while not future:done() do
          assert(socket.gettime() < deadline)
          socket.sleep(0.005)
        end
        print(future:get(0).success)
      ]])
      assert.equal(1, #x.requests)
    end)

    it("sends at its end what it has not asked for", function()
      run_refused [[
        kept = ask "kept"
        ask "forgotten"
      ]]
      assert.equal(2, #x.requests)
    end)

    it("comes to the end of a loop on done without an answer", function()
      assert.equal("APITimeoutError\nTimeoutError\nAPITimeoutError\n",
        run_refused([[
          local function ask_hastily(timeout)
            return assert(client.events.capture({ name = "a.b" },
              { future = true, timeout = timeout, max_retries = 0 }))
          end
          local future, socket = ask_hastily(0.3), require "socket"
          local deadline = socket.gettime() + 10
          while not future:done() do
            assert(socket.gettime() < deadline)
            socket.sleep(0.005)
          end
          print(select(3, future:get(0)).name)
          future = ask_hastily(1)
          print(select(3, future:get(0.01)).name)
          print(select(3, future:get()).name)
        ]], function() return "hold" end))
    end)
  end)
end)
