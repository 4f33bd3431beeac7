local h = require "spec.helper"
local socket = require "socket"

local x = h.exchange()

describe("an answer", function()
  local function last_error(bytes)
    x:use { initial_retry_delay = 40, max_retry_delay = 40 }
    x:capture("a.b")
    x:serve(function(_, peer)
      peer:send(bytes)
      return "close"
    end, function()
      local stats = x.client:stats()
      return stats.last_error or stats.pending == 0
    end)
    return h.adds_up(x.client).last_error
  end

  it("may have a sloppy status line", function()
    for _, line in ipairs { "HTTP/1.1 200", "HTTP/1.0 200 OK" } do
      assert.is_nil(last_error(line .. "\r\nContent-Length: 0\r\n\r\n"))
      assert.equal(1, x.client:stats().delivered, line)
    end
  end)

  it("may have one that only libcurl 7 puts up with", function()
    for line, problem in pairs {
      ["HTTP/1.1  200 OK"] = "Unsupported HTTP/1 subversion in response",
      ["HTTP/2 200 OK"] = "Version mismatch (from HTTP/1 to HTTP/2)",
    } do
      local strict = h.libcurl() >= 8
      assert.equal(strict and problem or nil,
        last_error(line .. "\r\nContent-Length: 0\r\n\r\n"))
      assert.equal(strict and 0 or 1, x.client:stats().delivered, line)
    end
  end)

  it("has one status, whatever its headers look like", function()
    for _, line in ipairs { "HTTP/1.1 200 OK", "HTTP/x: 200" } do
      assert.matches("^500 ", last_error("HTTP/1.1 500 No\r\n" .. line
        .. "\r\nContent-Length: 0\r\n\r\n"))
    end
  end)

  it("without a status is no answer", function()
    for _, bytes in ipairs {
      "HTTP/1.1 101 Switching Protocols\r\n\r\nx", "HTTP/1.1 99 X\r\n\r\n",
      "HTTP/1.1 1000 X\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/9 200\r\n\r\n",
      "HTTP/1.1 103 Early Hints\r\n\r\n", "200 OK\r\n\r\n", "\r\n",
    } do
      assert.is_nil(last_error(bytes):match "^%d%d%d ", bytes)
      assert.is_nil(last_error(bytes):match "No error", bytes)
      assert.equal(1, x.client:stats().pending, bytes)
    end
  end)
end)

describe("a hostile server", function()
  local MUCH = 2000000
  -- memcheck, too, sees what four transfers at a time can do.
  local EVENTS = os.getenv "SANITIZER" == "valgrind" and 4 or 12
  -- KiB. The ceilings are for each of four transfers; a sanitizer keeps what
  -- was freed for a while.
  local GROWTH = os.getenv "SANITIZER" and 20000 or 4000

  -- What the server answers to the first attempt of each event, and whether
  -- that is a success.
  local CASES = {
    { "garbage", false, "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
    { "zeros without end", false, ("\0"):rep(MUCH) },
    { "a status line without end", false,
      "HTTP/1.1 200 " .. ("x"):rep(MUCH) },
    { "a flood of 100 Continue", false,
      ("HTTP/1.1 100 Continue\r\n\r\n"):rep(MUCH / 25) },
    { "a flood of 103 Early Hints", false,
      ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):rep(MUCH / 40) },
    { "an upgrade that nobody asked for", false,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
      .. "Connection: Upgrade\r\n\r\n" .. ("x"):rep(MUCH) },
    { "megabytes of headers", true,
      "HTTP/1.1 200 OK\r\n" .. ("X-Pad: " .. ("x"):rep(991) .. "\r\n")
      :rep(MUCH / 1000) },
    { "a header without end", true,
      "HTTP/1.1 200 OK\r\nX-Pad: " .. ("x"):rep(MUCH) },
    { "a body without end", true,
      "HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(MUCH) },
    { "chunks without end", true,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. ("3e8\r\n" .. ("x"):rep(1000) .. "\r\n"):rep(MUCH / 1000) },
    { "trailers without end", true,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
      .. ("X-Pad: " .. ("x"):rep(991) .. "\r\n"):rep(MUCH / 1000) },
    { "a chunk size without end", true,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. ("1"):rep(MUCH) },
    { "an error's body without end", false,
      "HTTP/1.1 500 No\r\n\r\n" .. ("x"):rep(MUCH) },
    { "an error's headers without end", false,
      "HTTP/1.1 500 No\r\n" .. ("X-Pad: " .. ("x"):rep(991) .. "\r\n")
      :rep(MUCH / 1000) },
  }

  local CODE = "local slow = " .. h.slow .. [[

    local function resident()
      for line in io.lines "/proc/self/status" do
        local kilobytes = line:match "^VmHWM:%s*(%d+)"
        if kilobytes then
          return tonumber(kilobytes)
        end
      end
    end
    -- Who waited for an attempt's timeout would not be done in time.
    local client = seerstack.new {
      timeout = 600, initial_retry_delay = 0.005, max_retry_delay = 0.01,
      rate_limit = false, max_in_flight = 4,
    }
    client.events.capture { name = "good" }
    assert(client:flush(60 * slow))
    local before, clock = resident(), os.clock()
    for i = 1, EVENTS do
      client.events.capture { name = "n" .. i }
    end
    assert(client:flush(60 * slow))
    local stats = client:stats()
    print(stats.delivered, stats.rejected, stats.dropped, stats.pending)
    print(resident() - before, os.clock() - clock)
  ]]

  for _, case in ipairs(CASES) do
    local what, success, bytes = case[1], case[2], case[3]
    it("that sends " .. what .. " costs neither memory nor time", function()
      local seen = { good = true }
      local code = CODE:gsub("EVENTS", EVENTS)
      local result = x:child({ code = code, timeout = 120 },
        function(request)
          local name = h.body_of(request).name
          if seen[name] then
            return h.ok()
          end
          seen[name] = true
          return "raw", bytes
        end)
      local counts, growth, seconds =
        result.stdout:match "^(.-)\n(%d+)\t(%S+)\n$"
      assert.equal((EVENTS + 1) .. "\t0\t0\t0", counts)
      assert.equal(1 + EVENTS * (success and 1 or 2), #x.requests)
      assert.is_true(tonumber(growth) < GROWTH, growth .. " KiB more")
      assert.is_true(tonumber(seconds) < 2 * h.slow, seconds .. " s")
    end)
  end

  it("that says nothing is left after the timeout", function()
    x:use { timeout = 0.2 }
    local begun = socket.gettime()
    x:capture("a.b")
    x:serve(function() return "hold" end, function()
      return x.client:stats().last_error
    end)
    assert.matches("timed out", x.client:stats().last_error)
    assert.is_true(socket.gettime() - begun >= 0.199) -- counted in whole ms
    assert.equal(1, x:settle().delivered)
  end)

  -- Returns how many bytes there were until the client had enough.
  local function drip(timeout)
    x:use {
      timeout = timeout, initial_retry_delay = 40, max_retry_delay = 40,
    }
    x:capture("a.b")
    local held, sent, answer = nil, 0, "HTTP/1.1 200" .. (" "):rep(40000)
    x:serve(function(_, peer)
      held = peer
      return "hold"
    end, function()
      if held and held.open then
        sent = sent + 1
        held:send(answer:sub(sent, sent))
      end
      return x.client:stats().last_error
    end, timeout + 10)
    assert.matches("timed out", x.client:stats().last_error)
    assert.equal(1, h.adds_up(x.client).pending)
    return sent
  end

  it("that says a byte now and then is left after the timeout", function()
    local timeout, sent = 0.2
    repeat -- the machine may let the server say less
      timeout = timeout * 2
      sent = drip(timeout)
    until sent > 5 or timeout > 10
    assert.is_true(sent > 5)
  end)

  it("that never ends an answer does not keep a waiter", function()
    local child = x:child({ code = [[
      local client = seerstack.new { exit_timeout = 0 }
      local slow = require "spec.support.util".slow
      local timeout, begun, err = 0.3 * slow
      repeat -- until the machine lets the status come in time
        begun = socket.gettime()
        err = select(3, client.events.capture({ name = "a.b" },
          { wait = true, max_retries = 0, timeout = timeout }))
        timeout = 2 * timeout
      until err.name ~= "APITimeoutError" or timeout > 20
      print(err.name, err.status,
        socket.gettime() - begun < timeout + 10 * slow)
    ]], timeout = 60 }, function()
      return "raw", "HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\n{"
    end)
    assert.equal("BadRequestError\t400\ttrue\n", child.stdout)
  end)

  it("that resets in the midst of anything loses no event", function()
    x:use { max_in_flight = 4, initial_retry_delay = 0.001,
      max_retry_delay = 0.005 }
    x:capture_many(100)
    local number = 0
    x:settle(function(_, peer)
      number = number + 1
      if number % 3 == 0 then
        return h.ok()
      elseif number % 3 == 1 then
        peer:send("HTTP/1.1 5")
      end
      return "reset"
    end)
    assert.equal(100, h.adds_up(x.client).delivered)
  end)
end)

describe("a good status", function()
  local GZIPPED = "\31\139\8\0\0\0\0\0\2\3"

  local function deliver(bodies, options)
    local told = {}
    local own = h.open(h.merge({
      logger = function(level, text)
        told[#told + 1] = level .. " " .. text
      end,
      log_level = "warn", max_in_flight = 1,
    }, options))
    own:capture_many(#bodies)
    local number = 0
    local stats = own:settle(function()
      number = number + 1
      return 200, nil, bodies[number]
    end)
    own.client:poll()
    own:close()
    return stats, told
  end

  it("is doubted when it is HTML by its Content-Type", function()
    local own = h.open()
    own:capture_many(3)
    local stats = own:settle(function(request)
      local name = h.body_of(request).name
      return 200, { ["Content-Type"] = "Text/HTML; charset=utf-8" },
        name ~= "n3" and "\239\187\191" .. name or ""
    end)
    own:close()
    assert.same({ 3, 2 }, { stats.delivered, stats.doubtful })
  end)

  it("is doubted and told once when the body is not the API's", function()
    local stats, told = deliver {
      "<!doctype html><title>Sign in to WLAN</title>", '\n <p>', '{"a":1}', "",
      '{ "success" : false }', '{"success":true,"x":"<"}',
    }
    assert.same({ 6, 3, 0 }, { stats.delivered, stats.doubtful,
      stats.rejected })
    assert.equal(1, #told)
    assert.matches("^warn doubtful answer from http.*: 200 <!doctype html>"
      .. "<title>Sign in to WLAN</title>; the event 'n1' to /capture is "
      .. "delivered by its status, but is this the API%?$", told[1])
  end)

  it("counts whatever the length of its JSON", function()
    local long = ('{"success":true,"x":"%s"}'):format(("y"):rep(200000))
    local own = h.open()
    local future = own.client.events.capture({ name = "a" }, { future = true })
    own:serve(function() return 200, nil, long end,
      function() return future:done() end)
    local response, message = future:get()
    own:close()
    assert.is_nil(message and message.name)
    assert.equal(200000, #response.x)
  end)

  it("or a bad one may come with a compressed reason", function()
    local reason = '{"error":"said in gzip"}'
    -- One stored block: its length, and that inverted.
    local body = GZIPPED .. "\1" .. string.char(#reason, 0, 255 - #reason, 255)
      .. reason .. "\145\15\211\2" .. string.char(#reason, 0, 0, 0)
    local own = h.open()
    local future = own.client.events.capture({ name = "a" }, { future = true,
      max_retries = 0 })
    own:serve(function()
      return 400, { ["Content-Encoding"] = "gzip" }, body
    end, function() return future:done() end)
    local _, message = future:get()
    assert.is_nil(own.requests[1].headers["accept-encoding"])
    own:close()
    assert.equal("400 said in gzip", message)
  end)
end)
