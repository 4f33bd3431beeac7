-- What the official SDKs do, row by row of the table in the API's
-- description, on a real socket. From the row "Errors" on it goes on in
-- contract_results_spec.lua.

local h = require "spec.helper"
local seerstack = require "seerstack"

local x = h.exchange()

local function new(options)
  options.log_level, options.api_key = "off", x.key
  return x:new(options)
end

local function each_call(f)
  return h.calls.each(x, f)
end

describe("Environment:", function()
  local function run(env, code, handler)
    return x:child({ env = env, code = code }, handler)
  end

  it("SEERSTACK_API_KEY and SEERSTACK_BASE_URL are used, trimmed", function()
    run({
      SEERSTACK_API_KEY = " " .. x.key .. "\n",
      SEERSTACK_BASE_URL = "\t" .. x.url .. "/p/ \n",
    }, 'require "seerstack".capture { name = "a.b" }')
    assert.equal("/p/capture", x.requests[1].target)
    assert.equal("Bearer " .. x.key, x.requests[1].headers.authorization)
  end)

  it("a blank SEERSTACK_BASE_URL means the service's", function()
    for _, url in ipairs { "", " \t\n", false } do
      assert.equal("seerstack.client (https://api.seerstack.com)\n",
        run({ SEERSTACK_BASE_URL = url },
          'print(require "seerstack".new())').stdout)
    end
  end)

  it("SEERSTACK_LOG is the level of what is told, warn by default",
    function()
      local told = {
        off = "", error = "error", warn = "error warn",
        info = "error info warn", debug = "debug error info warn",
        [false] = "error warn", [""] = "error warn",
      }
      for level, expected in pairs(told) do
        local result = run({ SEERSTACK_LOG = level }, [[
          local client = seerstack.new {
            initial_retry_delay = 0.01, max_retry_delay = 0.02,
          }
          client.events.capture { name = "a.b" }
          assert(client:flush(10))
        ]], h.sequence { { 401 }, { 422 } })
        local seen, levels = {}, {}
        for line in result.stderr:gmatch "[^\n]+" do
          local name = line:match "^seerstack: (%a+): "
          if not seen[name] then
            seen[name] = true
            levels[#levels + 1] = name
          end
        end
        table.sort(levels)
        assert.equal(expected, table.concat(levels, " "))
        assert.is_nil(result.stderr:find(x.key, 1, true))
      end
    end)
end)

describe("Missing key:", function()
  it("raises at construction, blank ones too, and says what to do",
    function()
      for _, key in ipairs { false, "", " \t\n" } do
        local result = h.script.run {
          env = { SEERSTACK_API_KEY = key },
          code = 'print(select(2, pcall(require "seerstack".new)))',
        }
        assert.matches("SEERSTACK_API_KEY is missing or empty", result.stdout)
        assert.matches("option 'api_key'", result.stdout, 1, true)
      end
      for _, key in ipairs { "", "  ", "\n" } do
        assert.is_false((pcall(seerstack.new, { api_key = key })))
      end
    end)
end)

describe("Base URL:", function()
  it("keeps its path, with or without a slash at the end", function()
    for base, prefix in pairs {
      [""] = "", ["/"] = "", ["/p"] = "/p", ["/p/"] = "/p", ["/p/q/"] = "/p/q",
    } do
      local client = new { base_url = x.url .. base }
      each_call(function(send, path)
        assert.equal(prefix .. path, send({}, nil, client)[1].target)
      end)
    end
  end)
end)

describe("Headers:", function()
  it("are those of the API, and no others", function()
    each_call(function(send, _, body)
      local requests = send {}
      local headers = requests[1].headers
      assert.equal("POST", requests[1].method)
      assert.equal(body, requests[1].body)
      assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+$", headers["idempotency-key"])
      headers["idempotency-key"] = nil
      assert.same({
        accept = "application/json", ["content-type"] = "application/json",
        authorization = "Bearer " .. x.key,
        ["user-agent"] = "Seerstack/Lua " .. seerstack._VERSION,
        host = "127.0.0.1:" .. x.server.port,
        ["content-length"] = tostring(#body),
      }, headers)
    end)
  end)

  it("have neither Expect nor Transfer-Encoding before a large body",
    function()
      local client = new { max_event_bytes = 4000000 }
      local text = ("x"):rep(3000000)
      client.events.capture { name = "a", data = { text = text } }
      client.users.identify { user_id = "u", attributes = { text = text } }
      client:post("/large", { text = text })
      x:serve(nil, function() return client:stats().delivered == 3 end)
      assert.equal(3, #x.requests)
      for _, request in ipairs(x.requests) do
        assert.is_true(#request.body > #text)
        assert.is_nil(request.headers.expect)
        assert.is_nil(request.headers["transfer-encoding"])
      end
    end)
end)

describe("Extra headers:", function()
  it("are the client's and the request's, which win, whatever their case",
    function()
      local client = new {
        headers = {
          ["X-Client"] = "c", ["x-both"] = "client", ["X-Gone"] = "c",
          Accept = false, ["USER-AGENT"] = "Mine/1", ["X-Number"] = 5,
        },
      }
      each_call(function(send)
        local headers = send({}, {
          headers = { ["X-BOTH"] = "request", ["x-gone"] = false,
            ["X-Request"] = "r" },
        }, client)[1].headers
        assert.equal("c", headers["x-client"])
        assert.equal("request", headers["x-both"])
        assert.equal("r", headers["x-request"])
        assert.equal("5", headers["x-number"])
        assert.equal("Mine/1", headers["user-agent"])
        assert.is_nil(headers["x-gone"])
        assert.is_nil(headers.accept)
        assert.equal("client", send({}, {}, client)[1].headers["x-both"])
      end)
    end)
end)

describe("Timeout:", function()
  local SHORT = { timeout = 2, max_retries = 0 }

  it("is that of an attempt", function()
    h.calls.together(x, { 0 }, { timeout = 0.4, max_retries = 2 },
      function(futures)
        h.calls.serve(x, futures, h.hold)
        x:serve_requests(9, h.hold)
      end, function(_, response, message, err)
        assert.is_nil(response)
        assert.equal("APITimeoutError", err.name)
        assert.equal(message, err.message)
        assert.is_nil(err.status)
      end)
    assert.equal(9, #x.requests)
  end)

  it("counts while a body stalls", function()
    h.calls.together(x, { 200, 400, 500 }, SHORT, function(futures)
      h.calls.serve(x, futures, function(request)
        return "raw", "HTTP/1.1 " .. request.headers["x-status"]
          .. " X\r\nContent-Length: 100\r\n\r\n{"
      end)
    end, function(status, response, _, err)
      assert.is_nil(response)
      assert.equal(status, err.status)
    end)
    assert.equal(9, #x.requests)
  end)

  it("counts while headers trickle", function()
    local peers = {}
    h.calls.together(x, { 0, 200, 422 }, SHORT, function(futures)
      x:serve(function(request, peer)
        local status = request.headers["x-status"]
        local known = status ~= "0"
        peer:send("HTTP/1.1 " .. (known and status .. " X\r\n" or ""))
        peers[#peers + 1] = { peer = peer, more = known and "X" or " " }
        return "hold"
      end, function()
        local pending = 0
        for _, slow in ipairs(peers) do
          if slow.peer.open then
            slow.peer:send(slow.more)
          end
        end
        for _, future in ipairs(futures) do
          pending = pending + (future:done() and 0 or 1)
        end
        return pending == 0
      end)
    end, function(status, response, http, err)
      if status == 200 then
        assert.same({}, response)
        assert.equal(200, http.status)
      else
        assert.equal(status == 0 and "APITimeoutError"
          or "UnprocessableEntityError", err.name)
      end
    end)
    assert.equal(9, #x.requests)
  end)
end)

describe("Retries:", function()
  local function attempts(send, answer, options, client)
    return #send(function() return h.answer(answer) end, options,
      client)
  end

  it("are two by default, of what may pass", function()
    each_call(function(send)
      for _, answer in ipairs {
        { 408 }, { 409 }, { 429 }, { 500 }, { 502 }, { 503 }, { 599 },
      } do
        assert.equal(3, attempts(send, answer), answer[1])
      end
    end)
  end)

  it("are two by default when there is no answer", function()
    each_call(function(send)
      for _, what in ipairs { "close", "reset" } do
        assert.equal(3, attempts(send, { what }), what)
      end
    end)
  end)

  it("are none of what will not pass", function()
    each_call(function(send)
      for _, status in ipairs {
        300, 304, 400, 401, 402, 403, 404, 405, 410, 418, 422, 499,
      } do
        assert.equal(1, attempts(send, { status }), status)
      end
    end)
  end)

  it("are as many as the client or the request says", function()
    local client = new { max_retries = 1 }
    each_call(function(send)
      assert.equal(2, attempts(send, { 500 }, nil, client))
      assert.equal(1, attempts(send, { 500 }, { max_retries = 0 }, client))
      assert.equal(4, attempts(send, { 500 }, { max_retries = 3 }, client))
    end)
  end)

  it("are as x-should-retry says, whatever the status", function()
    each_call(function(send)
      for _, status in ipairs { 400, 401, 422, 500 } do
        assert.equal(3,
          attempts(send, { status, { ["X-Should-Retry"] = "true" } }))
      end
      for _, status in ipairs { 408, 409, 429, 500, 422 } do
        assert.equal(1,
          attempts(send, { status, { ["x-should-retry"] = "false" } }))
      end
    end)
  end)

  it("send the same bytes and the same Idempotency-Key", function()
    each_call(function(send, _, body)
      local requests, response = send { { 500 }, { 429 } }
      assert.is_table(response)
      for i = 1, 3 do
        assert.equal(body, requests[i].body)
        assert.equal(requests[1].head, requests[i].head)
      end
    end)
  end)
end)

describe("Delay:", function()
  local SLOW = { initial_retry_delay = 40, max_retry_delay = 40 }

  local function date(time)
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", time)
  end

  -- Seconds between the requests, of which each but the last fails with the
  -- next headers.
  local function gaps(list, options)
    local answers, found, before = {}, {}, #x.requests
    for i, headers in ipairs(list) do
      answers[i] = { 503, headers }
    end
    local client = new(options or {})
    local future = client.events.capture({ name = "a.b" },
      { future = true, max_retries = #list })
    h.calls.serve(x, { future }, answers)
    assert.is_table((future:get(0)))
    for i = before + 2, #x.requests do
      found[#found + 1] = x.requests[i].time - x.requests[i - 1].time
    end
    assert.equal(#list, #found)
    return found
  end

  it("is what retry-after-ms asks for, else retry-after", function()
    for i, gap in ipairs(gaps({
      { ["Retry-After-Ms"] = "150.5", ["Retry-After"] = "55" },
      { ["Retry-After-Ms"] = "junk", ["Retry-After"] = "0.15" },
      { ["Retry-After"] = "0.15" },
      { ["Retry-After"] = date(1000000001), Date = date(1000000000) },
    }, SLOW)) do
      assert.is_true(gap >= 0.149 and gap < 8, i .. ": " .. gap)
    end
  end)

  it("is computed when that is not between 0 and 60 seconds", function()
    local list = {}
    for _, value in ipairs {
      "0", "-1", "60", "3600", "1e1", "NaN", "soon", date(1000000000),
      "Mon, 02 Oct 2096 07:06:40 GMT",
    } do
      list[#list + 1] = { ["Retry-After"] = value }
    end
    for _, value in ipairs { "0", "-1", "60000", "junk" } do
      list[#list + 1] = { ["Retry-After-Ms"] = value }
    end
    for i, gap in ipairs(gaps(list)) do
      assert.is_true(gap >= 0.014 and gap < 8, i .. ": " .. gap)
    end
  end)

  it("is half a second, and doubles, less a quarter at most", function()
    local client = seerstack.new {
      api_key = x.key, base_url = x.url, log_level = "off", exit_timeout = 0,
    }
    local future = client.events.capture({ name = "a" }, { future = true })
    h.calls.serve(x, { future }, { { 500 }, { 500 } })
    assert.is_table((future:get(0)))
    local one, two, three = x.requests[1], x.requests[2], x.requests[3]
    assert.is_true(two.time - one.time >= 0.37)
    assert.is_true(three.time - two.time >= 0.74)
    assert.is_true(three.time - one.time < 8)
  end)
end)
