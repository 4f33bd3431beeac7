-- Parts of secrets: what breaks off in the middle of one is not shown, and
-- what is too short for a secret is no reason to change an answer.

local h = require "spec.helper"
local mime = require "mime"

local x = h.exchange()

-- What a waited-for event gives, with a proxy where there is one.
local function ask(options, handler)
  options.log_level, options.max_retries = "off", 0
  x:use(options)
  return x:get(x:ask("a"), handler)
end

describe("a secret of a request that has the key within it", function()
  it("is masked as a whole", function()
    local future = assert(x.client.events.capture({ name = "a" }, {
      future = true, max_retries = 0,
      headers = { Cookie = x.key .. "-of-a-tenant" },
    }))
    x:serve(function(request)
      return 400, nil, "bad cookie " .. request.headers.cookie
    end, function() return future:done() end)
    local _, message, err = future:get(0)
    assert.equal("400 bad cookie ***", message)
    assert.is_nil(tostring(err.body):find("tenant", 1, true))
  end)
end)

describe("an answer that breaks off within a key", function()
  -- A program that shows all it hears, and tells the rest at debug.
  local PROGRAM = [[
    local client = seerstack.new {
      log_level = "debug", max_retries = 0, exit_timeout = 0,
      timeout = ]] .. 3 * h.slow .. [[, initial_retry_delay = 40,
      max_retry_delay = 40, rate_limit = false,
    }
    local answer, message, err = client.events.capture({ name = "waited" },
      { wait = true })
    assert(not answer and err.status == 401)
    print(message)
    print(err.message)
    print(type(err.body) == "table" and err.body.error or err.body)
    assert(client.events.capture { name = "queued" })
    repeat until client:stats().last_error
    print(client:stats().last_error)
  ]]

  -- Answers with a text that more should come behind.
  local ENDS = {
    ["is closed"] = function(text)
      return function(_, peer)
        peer:send("HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n" .. text)
        return "close"
      end
    end,
    ["is closed within a chunk"] = function(text)
      return function(_, peer)
        peer:send("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n"
          .. ("%x\r\n"):format(#text + 9) .. text)
        return "close"
      end
    end,
    ["stalls"] = function(text)
      return function()
        return "raw", "HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n" .. text
      end
    end,
  }

  for how, make in pairs(ENDS) do
    it("shows no part of it when the connection " .. how, function()
      for _, length in ipairs { #x.key - 1, #x.key - 8 } do
        local part = x.key:sub(1, length)
        local result = x:child({ code = PROGRAM },
          make('{"error":"not the key ' .. part))
        for _, text in ipairs { result.stdout, result.stderr } do
          assert.is_nil(text:find(x.key:sub(1, 12), 1, true), text)
        end
        local _, shown = result.stdout:gsub("not the key %*%*%*", "")
        assert.equal(4, shown, result.stdout)
        assert.matches("not the key ***", result.stderr, 1, true)
      end
    end)
  end

  it("shows what is like the beginning of a key when it is whole", function()
    local part = x.key:sub(1, -2)
    local _, _, err = ask({ api_key = x.key }, function()
      return 401, nil, '{"error":"not the key ' .. part .. '"}'
    end)
    assert.equal("not the key " .. part, err.body.error)
  end)
end)

describe("a good answer", function()
  local GOOD = '{"success":true,"user_id":"user_1"}'

  local function good()
    return 200, nil, GOOD
  end

  local function through(login)
    return { proxy = "http://" .. login .. "@" .. x.url:match "//(.*)" }
  end

  it("arrives as it is though a key is short", function()
    for _, key in ipairs { "s", "us", "use", "_1" } do
      assert.same({ success = true, user_id = "user_1" },
        (ask({ api_key = key }, good)))
      assert.equal("Bearer " .. key,
        x.requests[#x.requests].headers.authorization)
    end
  end)

  it("arrives as it is though a proxy's user has a short name", function()
    for _, login in ipairs { "user", "u", "user:", "user:1" } do
      assert.same({ success = true, user_id = "user_1" },
        (ask(through(login), good)))
      local name = login:find(":", 1, true) and login or login .. ":"
      assert.equal("Basic " .. mime.b64(name),
        x.requests[#x.requests].headers["proxy-authorization"])
    end
  end)

  it("shows no login of a proxy, plain or coded", function()
    for login, secrets in pairs {
      ["user:hush"] = { "user:hush", "hush", mime.b64 "user:hush" },
      ["user:hush%2Fword"] = {
        "user:hush/word", "hush/word", "user:hush%2Fword",
        mime.b64 "user:hush/word",
      },
      ["user"] = { mime.b64 "user:" },
      ["a_token_as_name"] = { "a_token_as_name", mime.b64 "a_token_as_name:" },
    } do
      for _, secret in ipairs(secrets) do
        local answer = ask(through(login), function()
          return 200, nil, '{"a":"<' .. secret .. '>","user_id":"user_1"}'
        end)
        local masked = secret:find("^user:h") and not secret:find("%%")
          and answer.a == "<user:***>" and answer.a or "<***>"
        assert.same({ a = masked, user_id = "user_1" }, answer)
      end
    end
  end)

  it("shows no key of four bytes or more", function()
    local answer = ask({ api_key = "hush" }, function()
      return 200, nil, '{"a":"hush","b":"hus"}'
    end)
    assert.same({ a = "***", b = "hus" }, answer)
  end)
end)

describe("what a server says", function()
  local SAYS = "bad\\nseerstack: error: forged \27[31m \194\155x"

  it("is told without control characters, cut between characters", function()
    local told = {}
    local y = h.open {
      logger = function(_, text) told[#told + 1] = text end,
    }
    y:capture "a"
    y:settle(function()
      return 400, nil, "no\nseerstack: error: forged \27[31m \194\155x"
        .. ("\195\164"):rep(300)
    end)
    y.client:poll()
    told[#told + 1] = y.client:stats().last_error
    y:close()
    assert.is_true(#told >= 2)
    for _, text in ipairs(told) do
      assert.is_nil(text:find "[%c\127]", text)
      assert.is_nil(text:find("\194\155", 1, true), text)
      assert.is_nil(text:gsub("\195\164", ""):find "[\128-\255]", text)
    end
  end)

  it("is an error's message without control characters", function()
    local _, message = ask({ api_key = x.key }, function()
      return 400, nil, '{"error":"' .. SAYS .. '"}'
    end)
    assert.is_nil(message:find "%c", message)
    assert.is_nil(message:find("\194\155", 1, true), message)
  end)

  it("is told so of an event's name and fields as well", function()
    local NAME = "a\nseerstack: error: forged \27[31m \194\155x"
    local told = {}
    local y = h.open {
      logger = function(_, text) told[#told + 1] = text end,
    }
    y:capture(NAME)
    y:settle(function() return 400 end)
    y.client.events.capture { name = NAME, data = { ["\194\155"] = print } }
    y.client:post("/x" .. NAME)
    y.client:poll()
    y:close()
    told[#told + 1] = h.script.run { code = [[
      local client = require "seerstack".new { test_mode = true }
      client.events.capture { name = "a\n\27\194\155x", data = 5 }
    ]] }.stderr:match "^(.*)\n$"
    assert.equal(4, #told)
    for _, text in ipairs(told) do
      assert.is_nil(text:find "[%c\127\128-\255]", text)
    end
  end)
end)

-- Forms in which a key was seen in answers: each byte of it as `way` has it.
describe("the key in another form", function()
  local KEY = "sk_test/hush+in-many.forms"

  local function each(format)
    return function(byte)
      return format:format(byte:byte())
    end
  end

  -- Percent-encoded in one case for some bytes, in the other for others.
  local function mixed(byte)
    return (byte:byte() % 2 == 0 and "%%%02x" or "%%%02X"):format(byte:byte())
  end

  local function twice(format)
    return function(byte)
      return (format:format(byte:byte()):gsub("\\", "\\\\"))
    end
  end

  local FORMS = {
    ["percent-encoded, in both cases"] = mixed,
    ["percent-encoded twice"] = each "%%25%02x",
    ["escaped twice, as JSON in JSON"] = twice "\\u%04x",
    ["escaped twice, in capitals"] = twice "\\u%04X",
    ["as HTML's numbers"] = each "&#%d;",
    ["as HTML's numbers without the semicolon"] = each "&#%d",
    ["as HTML's numbers in HTML"] = each "&amp;#%d;",
    ["as HTML's hexadecimal numbers"] = each "&#X%02X;",
    ["as those without the semicolon"] = each "&#x%x",
    ["as a string of C"] = each "\\x%02x",
    ["as octal numbers"] = each "\\%03o",
    ["as mail has it"] = each "=%02X",
    ["in hexadecimal"] = each "%02x",
    ["in hexadecimal, in capitals"] = each "%02X",
  }

  local function said(text)
    local _, message = ask({ api_key = KEY }, function()
      return 400, nil, text
    end)
    return message
  end

  for form, way in pairs(FORMS) do
    it("is masked " .. form, function()
      assert.equal("400 no '***' here",
        said("no '" .. KEY:gsub(".", way) .. "' here"))
    end)
  end

  it("is masked in base64, whatever stands before and behind", function()
    for _, before in ipairs { "", "x", "xy", "Bearer ", "a:b " } do
      for _, after in ipairs { "", ":", ":p" } do
        local coded = mime.b64(before .. KEY .. after)
        for _, text in ipairs { coded,
          (coded:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })) } do
          local shown = said("<" .. text .. ">"):match "<(.*)>"
          assert.matches("***", shown, 1, true)
          local rest = #shown - 3 - math.ceil(#before * 4 / 3)
          assert.is_true(rest <= #after + 4, shown .. " of " .. text)
        end
      end
    end
  end)

  it("is masked in base64 as a whole", function()
    assert.equal("400 <***>", said("<" .. mime.b64(KEY) .. ">"))
  end)
end)

describe("a short key", function()
  it("is not among what was captured", function()
    local client = require "seerstack".new { api_key = "abc",
      test_mode = true }
    client.events.capture { name = "a" }
    assert.equal("Bearer ***",
      client:captured()[1].headers.authorization)
  end)
end)

describe("the key of a gateway, X-Api-Key", function()
  it("is neither logged, nor captured, nor in what a server says", function()
    local told = {}
    local options = {
      headers = { ["x-api-key"] = "hush_gateway" }, log_level = "debug",
      logger = function(_, text) told[#told + 1] = text end,
    }
    local y = h.open(options)
    y:capture "a"
    y:settle(function(request)
      return 400, nil, "who is " .. request.headers["x-api-key"]
    end)
    y.client:poll()
    options.test_mode = true
    local client = y:new(options)
    client.events.capture { name = "a" }
    told[#told + 1] = client:captured()[1].headers["x-api-key"]
    y:close()
    assert.equal("***", told[#told])
    assert.is_nil(table.concat(told, "\n"):find("hush", 1, true))
  end)
end)

describe("a cookie that a server sets", function()
  it("is not logged, folded or with a space before the colon", function()
    local told = {}
    local y = h.open { log_level = "debug",
      logger = function(_, text) told[#told + 1] = text end,
    }
    y:capture "a"
    y:settle(function()
      return "raw", "HTTP/1.1 200 OK\r\nSet-Cookie:\r\n one=crumble1\r\n"
        .. "Set-Cookie : two=crumble2\r\nContent-Length: 2\r\n\r\n{}"
    end)
    y.client:poll()
    y:close()
    local text = table.concat(told, "\n")
    assert.matches("Set%-Cookie: %*%*%*", text)
    assert.is_nil(text:find("crumble", 1, true), text)
  end)
end)
