-- What log_level = "debug" shows of each request and each answer.

local h = require "spec.helper"

local x = h.exchange()
local messages

local function new(options)
  local all = h.merge({
    api_key = x.key, max_in_flight = 1, log_level = "debug",
    logger = function(level, message, fields)
      if level == "debug" then
        messages[#messages + 1] = { text = message, fields = fields }
      end
    end,
  }, options)
  messages = {}
  x:use(all)
end

-- The debug messages since the last time.
local function hear()
  messages = {}
  x.client:poll()
  return messages
end

-- The parts of a message; the first says what it is about.
local function parts_of(message)
  local parts = {}
  for part in (message.text .. "; "):gmatch "(.-); " do
    parts[#parts + 1] = part
  end
  return parts
end

-- A list in the order of the alphabet, its first apart.
local function sorted(parts)
  local first = table.remove(parts, 1)
  table.sort(parts)
  return first, parts
end

local function assert_part(message, part)
  for _, one in ipairs(parts_of(message)) do
    if one == part then
      return
    end
  end
  error(part .. " is missing: " .. message.text, 2)
end

-- What is told of one exchange: the request and the answer.
local function one(send, ...)
  local answer = { ... }
  hear()
  send()
  x:settle(#answer > 0 and function()
    return h.answer(answer)
  end or nil)
  local list = hear()
  assert.equal(2, #list)
  return list[1], list[2]
end

local function capture()
  assert(x.client.events.capture { name = "a.b", timestamp = "t" })
end

describe("a request", function()
  it("is told with method, URL, headers and body", function()
    new { headers = { ["X-Note"] = "a note" } }
    local request = one(capture)
    local sent = x.requests[1]
    local first, rest = sorted(parts_of(request))
    assert.equal("POST " .. x.url .. "/capture", first)
    assert.same({
      "Accept: application/json",
      "Authorization: ***",
      "Content-Type: application/json",
      "Idempotency-Key: " .. sent.headers["idempotency-key"],
      "User-Agent: Seerstack/Lua 0.1.0",
      "X-Note: a note",
      sent.body,
    }, rest)
    assert.equal(x.url, request.fields.url)
  end)

  it("is told with all that it has of its own", function()
    new { headers = { ["X-One"] = 1, ["X-Gone"] = "x" }, query = { a = 1 } }
    local request = one(function()
      assert(x.client:post("/p?z=0", { "body" }, {
        headers = { ["x-two"] = "2", ["X-GONE"] = false, Accept = "text/x",
          ["User-Agent"] = false },
        query = { b = "c d" }, idempotency_key = "my key",
      }))
    end)
    local first, rest = sorted(parts_of(request))
    assert.equal("POST " .. x.url .. "/p?z=0&a=1&b=c%20d", first)
    assert.same({ "Accept: text/x", "Authorization: ***",
      "Content-Type: application/json", "Idempotency-Key: my key",
      "X-One: 1", '["body"]', "x-two: 2", }, rest)
  end)

  it("is told with headers whose value ends with a colon", function()
    new { headers = { ["X-Note"] = "see:" } }
    local request = one(function()
      assert(x.client.events.capture({ name = "a.b" },
        { idempotency_key = "key:" }))
    end)
    assert.equal("see:", x.requests[1].headers["x-note"])
    assert_part(request, "X-Note: see:")
    assert_part(request, "Idempotency-Key: key:")
  end)

  it("is told without a body when it has none", function()
    new()
    local request = one(function() assert(x.client:post "/p") end)
    assert.equal("", x.requests[1].body)
    local first, rest = sorted(parts_of(request))
    assert.equal("POST " .. x.url .. "/p", first)
    for _, part in ipairs(rest) do
      assert.matches("^[%w-]+: ", part)
    end
  end)

  it("is told each time that it is sent", function()
    new()
    capture()
    x:settle(h.sequence { { 500 }, { 503 } })
    local list = hear()
    assert.equal(6, #list)
    for i = 1, 5, 2 do
      assert.equal(list[1].text, list[i].text)
    end
    for i, status in ipairs { 500, 503, 200 } do
      assert.matches("^" .. status .. " from ", list[2 * i].text)
    end
  end)

  it("is told although somebody waits for its answer", function()
    new()
    local future
    one(function()
      future = x:ask()
    end)
    assert.equal(200, (select(2, future:get())).status)
  end)
end)

describe("an answer", function()
  it("is told with status, URL, time, headers and body", function()
    new()
    local _, answer = one(capture, 422, {
      ["X-One"] = "1", ["Content-Length"] = 12, ["x-list"] = { "a", "b" },
    }, '{"error":""}')
    local first, rest = sorted(parts_of(answer))
    assert.matches("^422 from " .. x.url:gsub("%p", "%%%0")
      .. "/capture after %d+ ms$", first)
    assert.same({ "Content-Length: 12", "X-One: 1", "x-list: a",
      "x-list: b", '{"error":""}', }, rest)
    assert.equal(x.url, answer.fields.url)
  end)

  it("is told of with its status and the number of the attempt", function()
    new()
    capture()
    x:settle(h.sequence { { 500 } })
    local list = hear()
    assert.equal(4, #list)
    assert.same({ url = x.url, status = 500, attempt = 1 }, list[2].fields)
    assert.same({ url = x.url, status = 200, attempt = 2 }, list[4].fields)
    assert.is_nil(list[1].fields.status)
  end)

  it("that is missing is told with the reason", function()
    new()
    capture()
    x:settle(h.sequence { { "reset" } })
    local list = hear()
    assert.equal(4, #list)
    local first, rest = sorted(parts_of(list[2]))
    assert.matches("^no answer from " .. x.url:gsub("%p", "%%%0")
      .. "/capture after %d+ ms$", first)
    assert.equal(1, #rest)
    assert.not_equal("", rest[1])
  end)

  it("that redirects is told, and what follows", function()
    new()
    capture()
    x:settle(h.sequence { { 307, { Location = "/moved" }, "gone" } })
    local list = hear()
    assert.equal(4, #list)
    assert.matches("^307 from " .. x.url:gsub("%p", "%%%0") .. "/capture ",
      list[2].text)
    assert_part(list[2], "Location: /moved")
    assert.equal("POST " .. x.url .. "/moved", parts_of(list[3])[1])
    assert.matches("^200 from " .. x.url:gsub("%p", "%%%0") .. "/moved ",
      list[4].text)
  end)

  it("is told as far as a line goes", function()
    new()
    local request, answer = one(function()
      x:capture("a.b", { text = ("q"):rep(100000) })
    end, 400, { ["X-Pad"] = "pad" }, ("r"):rep(30000))
    assert.matches("q+$", request.text)
    assert.matches("r+$", answer.text)
    assert_part(answer, "X-Pad: pad")
    assert.is_true(#request.text > 2000 and #request.text < 4000)
    assert.is_true(#answer.text > 2000 and #answer.text < 4000)
  end)
end)

describe("a secret header", function()
  local NAMES = { "Authorization", "Cookie", "Proxy-Authorization" }

  it("is told as ***, of the client and of a request, whatever its case",
    function()
      for _, change in ipairs { string.upper, string.lower, tostring } do
        local own, secrets = {}, {}
        for i, name in ipairs(NAMES) do
          secrets[change(name)] = "Secret hidden" .. i
          own[change(name)] = "Secret veiled" .. i
        end
        new { headers = secrets, api_key = h.key() }
        local plain = one(capture)
        local special = one(function()
          assert(x.client.events.capture({ name = "a.b" },
            { headers = own }))
        end)
        for _, name in ipairs(NAMES) do
          assert_part(plain, change(name) .. ": ***")
          assert_part(special, change(name) .. ": ***")
          assert.matches("^Secret hidden%d$",
            x.requests[#x.requests - 1].headers[name:lower()])
          assert.matches("^Secret veiled%d$",
            x.requests[#x.requests].headers[name:lower()])
        end
        assert.is_nil((plain.text .. special.text):find "hidden")
        assert.is_nil((plain.text .. special.text):find "veiled")
      end
    end)

  it("is told as *** of the answer", function()
    new()
    local _, answer = one(capture, 200, {
      ["Set-Cookie"] = { "one=covered; Path=/", "two=covered" },
      ["set-cookie"] = "three=covered", AUTHORIZATION = "covered",
      ["X-Cookie"] = "shown",
    }, "{}")
    local _, rest = sorted(parts_of(answer))
    assert.same({ "AUTHORIZATION: ***", "Content-Length: 2",
      "Set-Cookie: ***", "Set-Cookie: ***", "X-Cookie: shown",
      "set-cookie: ***", "{}", }, rest)
  end)

  it("is hidden where the server sends it back", function()
    new { headers = {
      Authorization = "Basic hidden", Cookie = "id=concealed",
    } }
    for _, options in ipairs { {}, { headers = {
      Authorization = "Token veiled", cookie = "id=shrouded",
    } } } do
      local request, answer = one(function()
        assert(x.client.events.capture({ name = "a.b", data = {
          text = "hidden id=concealed",
        } }, options))
      end, 400, { ["X-Echo"] = "hidden id=concealed" },
        "hidden id=concealed " .. (options.headers and "veiled id=shrouded"
        or ""))
      for _, secret in ipairs {
        "hidden", "concealed", "veiled", "shrouded",
      } do
        assert.is_nil(request.text:find(secret, 1, true))
        assert.is_nil(answer.text:find(secret, 1, true))
      end
      assert.matches("%*%*%*", answer.text)
    end
  end)
end)

describe("on the standard error", function()
  it("each message is a line of its own", function()
    local child = x:child({ env = { SEERSTACK_LOG = "debug" }, code = [[
      local client = seerstack.new()
      client.events.capture { name = "a.b", data = { t = "x\ny" } }
      client:flush(10)
    ]] }, function() return 400, { ["X-One"] = "1" }, "no\nnever\r\n" end)
    local lines = {}
    for line in child.stderr:gmatch "[^\n]*\n" do
      lines[#lines + 1] = line
    end
    assert.equal(4, #lines)
    assert.matches("^seerstack: info: ", lines[1])
    assert.matches("^seerstack: debug: POST http[^ ;]+/capture; .*"
      .. 'Authorization: %*%*%*; .*"x\\ny".*\n$', lines[2])
    assert.matches("^seerstack: debug: 400 from http[^ ;]+/capture after "
      .. "%d+ ms; .*no never", lines[3])
    assert.matches("^seerstack: error: event rejected by ", lines[4])
    for _, line in ipairs(lines) do
      assert.is_nil(line:sub(1, -2):find "%c")
      assert.is_true(#line < 4096)
    end
  end)
end)
