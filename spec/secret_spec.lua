-- A program that sees and tells all there is, at the level debug, while the
-- server and a proxy send every secret back: none of them comes out.

local h = require "spec.helper"
local mime = require "mime"

-- No secret is without "hush" but what is coded in base64.
local KEY = "sk_live_hush_key_1"
local LOGIN, LOGIN_IN_URL = "bob:hush/word", "bob:hush%2Fword"
local PASSWORD, CODED = LOGIN:match ":(.*)", mime.b64(LOGIN)
local BASIC = mime.b64("me:hush")

local x

before_each(function()
  x = h.open()
  x.key = KEY
end)

after_each(function()
  x:close()
end)

-- show(...) prints all there is in some values; section(name, f) runs a part
-- of the program; new(options) makes a client that all of them speak
-- through, without a proxy.
local PREAMBLE = [[
  local KEY, BASIC = os.getenv "SEERSTACK_API_KEY", os.getenv "SEER_BASIC"
  local URL, PROXY = os.getenv "SEERSTACK_BASE_URL", os.getenv "SEER_PROXY"

  local function show_one(value, depth)
    io.write(tostring(value), " ")
    if type(value) == "table" and depth < 8 then
      for key, field in pairs(value) do
        show_one(key, depth + 1)
        show_one(field, depth + 1)
      end
    end
  end
  local function show(...)
    for i = 1, select("#", ...) do
      show_one((select(i, ...)), 0)
    end
    io.write "\n"
  end

  local function logger(...)
    show(...)
    error("logger: " .. KEY)
  end
  local function on_error(err)
    show(err)
    error("on_error: " .. KEY)
  end

  local function new(options)
    local all = {
      initial_retry_delay = 0.005, max_retry_delay = 0.01, max_in_flight = 1,
      exit_timeout = 0, rate_limit = false, max_retries = 1, proxy = false,
      logger = os.getenv "SEER_MODE" == "logger" and logger or nil,
      on_error = on_error, log_level = "debug",
    }
    for name, value in pairs(options or {}) do
      all[name] = value
    end
    if all.proxy == "the environment's" then
      all.proxy = nil
    end
    return seerstack.new(all)
  end

  -- In each of the ways there are.
  local function send(client, name, options)
    local all = { wait = true, headers = options and options.headers,
      timeout = options and options.timeout }
    show(client.events.capture({ name = name }, all))
    all.wait, all.future = nil, true
    local future = client.events.capture({ name = name }, all)
    show(future, future:get(0), future:get(), future, future:get())
    all.future = nil
    show(client.events.capture({ name = name }, all))
    show(client:flush(name:match "^keep" and 0.05 or 20))
    show(client:poll(), client, client:stats(), getmetatable(client).__name)
  end

  local function section(name, f)
    io.write("section ", name, "\n")
    f()
  end
]]

-- What each part is to show: not just nothing.
local SECTIONS = [[
  section("statuses", function()
    local client = new()
    for _, status in ipairs { 200, 400, 401, 404, 409, 418, 429, 500 } do
      send(client, "s" .. status)
    end
    client.events.capture { name = "s200", data = { text = KEY } }
    client:post("/p?key=" .. KEY, { KEY })
    show(client:flush(20))
  end)

  section("headers", function()
    local client = new { headers = {
      Authorization = "Basic " .. BASIC, Cookie = "session=hush_cookie",
      ["Proxy-Authorization"] = "Basic hush_proxy",
    } }
    local options = { headers = {
      authorization = "Token hush_token", COOKIE = "id=hush_biscuit",
    } }
    for _, status in ipairs { 200, 400, 401, 500 } do
      send(client, "s" .. status)
      send(client, "t" .. status, options)
      send(new(), "u" .. status, options)
    end
    send(client:with_options { headers = options.headers }, "v400")
  end)

  section("silence", function()
    send(new { timeout = 0.05, max_age = 0.01 }, "keep hold")
    send(new { max_age = 0.01 }, "keep reset")
    send(new { max_age = 0.01 }, "keep garbage")
    local bound = socket.tcp() -- and not listening
    bound:bind("127.0.0.1", 0)
    local _, port = bound:getsockname()
    send(new { base_url = "http://127.0.0.1:" .. port, max_age = 0.01 },
      "keep refused")
  end)

  section("redirects", function()
    local headers = { Authorization = "Bearer hush_more", Cookie = "hush=y" }
    for _, name in ipairs { "keep abroad307", "keep abroad302", "home307" } do
      send(new { max_age = 0.01 }, name)
      send(new { max_age = 0.01, headers = headers }, name)
    end
    send(new { max_age = 0.01 }, "keep loop307")
  end)

  section("proxies", function()
    for _, url in ipairs {
      "http://api.example.invalid", "https://api.example.invalid",
    } do
      for _, options in ipairs {
        { proxy = "the environment's" }, { proxy = PROXY },
        { proxy = PROXY:gsub("^http://", "") },
        { proxy = PROXY:gsub(":%d+$", ":1") },
      } do
        options.base_url, options.max_age = url, 0.01
        send(new(options), "keep proxied", { timeout = 10 })
      end
      send(new { base_url = url, max_age = 0.01,
        proxy = PROXY:gsub("127%.0%.0%.1", "no.proxy.invalid") },
        "keep proxied", { timeout = 0.2 })
    end
  end)

  section("callbacks", function()
    for _, fail in ipairs {
      function() error(KEY .. " hushed? " .. BASIC) end,
      function() error(("x"):rep(370) .. KEY) end,
      function() error { KEY } end,
      function() return KEY end,
    } do
      local client = new { before_send = fail, headers = {
        Authorization = "Basic " .. BASIC, Cookie = " hushed?",
      } }
      show(client.events.capture { name = "a.b" })
      show(client.events.capture({ name = "a.b" }, { wait = true }))
      show(client:post("/p", {}, { future = true }))
    end
  end)

  section("misuse", function()
    local client = new()
    for _, options in ipairs {
      { api_key = KEY .. "\n" }, { api_key = KEY .. "\195\164" },
      { api_key = { KEY } }, { base_url = "http://me:hush@127.0.0.1" },
      { base_url = "http://127.0.0.1/?" .. KEY }, { base_url = KEY },
      { proxy = "ftp://bob:hush@h" }, { proxy = "http://bob:hush@h:1:1" },
      { proxy = "http://bob:hush@" }, { proxy = "http://bob:hush\n@h" },
      { headers = { ["Authorization: Bearer " .. KEY] = "x" } },
      { headers = { Authorization = "Bearer " .. KEY .. "\n" } },
      { headers = { Cookie = { KEY } } }, { query = { a = { KEY } } },
      { timeout = KEY }, { log_level = KEY }, { overflow = KEY },
      { http_version = KEY }, { max_retries = KEY }, { logger = KEY },
      { ca_blob = KEY }, { enabled = KEY }, { default_data = KEY },
    } do
      show(pcall(new, options))
      show(pcall(client.with_options, client, options))
    end
    show(pcall(seerstack.new, KEY))
    local capture = client.events.capture
    show(pcall(capture, KEY))
    show(pcall(capture, { name = "a" }, KEY))
    show(pcall(capture, { name = "a" }, { idempotency_key = KEY .. "\n" }))
    show(pcall(capture, { name = "a" }, { headers = { [KEY .. ":"] = 1 } }))
    show(pcall(capture, { name = "a" }, { timeout = KEY }))
    show(pcall(capture, { name = { KEY }, user_id = { KEY } }))
    show(pcall(client.post, client, KEY, {}))
    show(pcall(client.post, client, "/p#" .. KEY, {}))
    show(pcall(client.flush, client, KEY))
    for _, pair in ipairs {
      { "SEERSTACK_BASE_URL", "http://bob:hush@127.0.0.1" },
      { "SEERSTACK_API_KEY", KEY .. "\1" },
    } do
      local before = os.getenv(pair[1])
      native.setenv(pair[1], pair[2])
      show(seerstack.default())
      show(pcall(new))
      native.setenv(pair[1], before)
    end
  end)

  section("captured", function()
    local client = new { test_mode = true, headers = {
      Cookie = "hush_cookie=1", ["X-Copy"] = "hush_cookie=1 " .. KEY,
    }, query = { key = KEY } }
    local options = { headers = { Authorization = "Basic " .. BASIC } }
    show(client.events.capture { name = "a.b" })
    show(client.events.capture({ name = "a.b" }, options))
    show(client:post("/p?x=" .. KEY, { "a" }, { wait = true }))
    show(client:captured(), client:stats())
  end)

  section("default", function()
    seerstack.configure { log_level = "debug", proxy = false,
      logger = os.getenv "SEER_MODE" == "logger" and logger or nil }
    show(seerstack.capture({ name = "s400" }, { wait = true }))
    show(seerstack.default(), seerstack.stats(), seerstack.poll(), seerstack)
  end)

  -- What is lost at the end is told with the last error.
  keep = new { initial_retry_delay = 40, max_retry_delay = 40 }
  keep.events.capture { name = "forever401" }
  while not keep:stats().last_error do
    socket.sleep(0.002)
  end
  show(keep:flush(0))
  io.write "end\n"
]]

-- All that a request has, in an answer with this status.
local function echo(request, status, extra)
  local all = {}
  for _, name in ipairs {
    "authorization", "cookie", "proxy-authorization",
  } do
    all[#all + 1] = request.headers[name]
  end
  if (all[#all] or ""):find(CODED, 1, true) then
    all[#all + 1] = LOGIN .. " " .. LOGIN_IN_URL .. " " .. PASSWORD
  end
  local text = "echo " .. table.concat(all, " echo ")
  local body = '{"error":"' .. text .. " \\u0073k_live_hush_key_1 "
    .. text:gsub("/", "\\/") .. '"}'
  return "raw", ("HTTP/1.1 %d %s\r\nX-Echo: %s\r\n%s"
    .. "Content-Length: %d\r\n\r\n%s"):format(status, text, text,
    extra or "", #body, body)
end

-- Answers by the names of events; a queued event is not for ever without
-- success unless its name begins with "keep".
local function new_handler()
  local seen = {}
  return function(request)
    if request.method == "CONNECT" or request.target:find "^http" then
      return echo(request, 407)
    end
    local name = request.body:match '"name":"([^"]*)"' or "s200"
    local number = tonumber(name:match "%d+")
    local id = request.headers["idempotency-key"]
    seen[id] = (seen[id] or 0) + 1
    if name:find "hold" then
      return "hold"
    elseif name:find "reset" then
      return "reset"
    elseif name:find "garbage" then
      return "raw", request.headers.authorization .. "\r\n\r\n"
    elseif number > 300 and number < 400 then
      local host = name:find "abroad" and request.path == "/capture"
        and x.url:gsub("127%.0%.0%.1", "localhost") or ""
      if request.path == "/moved" and not name:find "loop" then
        return echo(request, 200)
      end
      return echo(request, number, "Location: " .. host .. "/moved?k="
        .. KEY .. "\r\n")
    elseif seen[id] > 3 and not name:find "forever" then
      return h.ok()
    end
    return echo(request, number)
  end
end

local function run(mode)
  local result = x:child({
    code = PREAMBLE .. SECTIONS, timeout = 60, env = {
      SEER_MODE = mode, SEER_BASIC = BASIC,
      SEER_PROXY = x.url:gsub("//", "//" .. LOGIN_IN_URL:gsub("%%", "%%%%")
        .. "@"),
      http_proxy = x.url:gsub("//", "//" .. LOGIN_IN_URL:gsub("%%", "%%%%")
        .. "@"),
      https_proxy = x.url:gsub("//", "//" .. LOGIN_IN_URL:gsub("%%", "%%%%")
        .. "@"),
      no_proxy = false, NO_PROXY = false,
    },
  }, new_handler())
  return result.stdout, result.stderr
end

-- What surrounds each secret, and the part that it is in.
local function leaks(text)
  local found, section = {}, "?"
  for line in (text .. "\n"):gmatch "(.-)\n" do
    section = line:match "^section (.*)" or section
    for _, mark in ipairs { "hush", "sk_live", CODED, BASIC } do
      local at = line:find(mark, 1, true)
      if at then
        found[#found + 1] = section .. ": " .. line:sub(1, 20) .. " ... "
          .. line:sub(math.max(at - 50, 1), at + 50)
      end
    end
  end
  return found
end

-- How many requests had a text in their head.
local function count_requests(text)
  local count = 0
  for _, request in ipairs(x.requests) do
    count = count + (request.head:find(text, 1, true) and 1 or 0)
  end
  return count
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, "%0"))
end

-- That the secrets went over the wire, and that much was told.
local function assert_thorough(stdout, all)
  assert.matches("\nend\n$", stdout)
  for _, secret in ipairs {
    KEY, BASIC, CODED, "hush_cookie", "hush_token", "hush_biscuit",
    "hush_more", "hush_proxy",
  } do
    assert.is_true(count_requests(secret) >= 3, secret)
  end
  local abroad = 0
  for _, request in ipairs(x.requests) do
    if request.headers.host:find "localhost" then
      abroad = abroad + 1
      assert.is_nil(request.headers.authorization)
      assert.is_nil(request.headers.cookie)
    end
  end
  assert.is_true(abroad >= 4)
  for pattern, least in pairs {
    ["debug:? "] = 300, ["POST http"] = 100, ["GET http"] = 4,
    ["X%-Echo: echo "] = 50, ["x%-echo echo"] = 50, ["%*%*%*"] = 500,
    ["407 "] = 10, ["no answer from"] = 5, ["timed out"] = 2,
    ["before_send failed: "] = 12, ["DroppedError"] = 10,
    ["on_error failed: "] = 1, ["AuthenticationError"] = 4,
    ["bad argument"] = 30, ["redirect"] = 3, ["delivered before exit"] = 1,
  } do
    local found = count(all, pattern)
    assert.is_true(found >= least, pattern .. ": " .. found)
  end
end

describe("a secret", function()
  it("comes out nowhere on the standard error", function()
    local stdout, stderr = run "stderr"
    assert.same({}, leaks(stdout))
    assert.same({}, leaks(stderr))
    assert_thorough(stdout, stdout .. stderr)
    assert.is_true(count(stderr, "seerstack: debug: ") > 300)
  end)

  it("comes out nowhere through a logger", function()
    local stdout, stderr = run "logger"
    assert.same({}, leaks(stdout))
    assert.same({}, leaks(stderr))
    assert_thorough(stdout, stdout .. stderr)
    assert.is_true(count(stdout, "\ndebug ") > 300)
    assert.equal(0, count(stderr, "seerstack: debug: "))
    assert.equal(1, count(stderr, "seerstack: warn: logger failed: "))
  end)
end)
