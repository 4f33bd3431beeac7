-- Strings with what no text should have, in every place for one.

local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local R = "\239\191\189" -- U+FFFD

-- Each with what arrives instead.
local STRINGS = {
  { "a\r\nb", "a\r\nb" },
  { "\r\n\r\nPOST /x HTTP/1.1\r\n\r\n", "\r\n\r\nPOST /x HTTP/1.1\r\n\r\n" },
  { "a\0b\0", "a\0b\0" },
  { "\0", "\0" },
  { "\1\31\127\"\\/", "\1\31\127\"\\/" },
  { "\239\191\190", "\239\191\190" },         -- U+FFFE
  { "\239\183\144", "\239\183\144" },         -- U+FDD0
  { "\244\143\191\191", "\244\143\191\191" }, -- U+10FFFF
  { "\226\128\168\226\128\169", "\226\128\168\226\128\169" },
  { "\192\128", R .. R },                     -- overlong NUL
  { "\193\191", R .. R },
  { "\224\128\175", R .. R .. R },            -- overlong /
  { "\240\128\128\175", R .. R .. R .. R },
  { "\237\160\128", R .. R .. R },            -- a surrogate
  { "\237\160\189\237\184\128", R:rep(6) },   -- a pair of them
  { "\244\144\128\128", R:rep(4) },           -- beyond U+10FFFF
  { "\248\136\128\128\128", R:rep(5) },
  { "\254\255", R .. R },
  { "a\195", "a" .. R },                      -- truncated
  { "\226\130", R },
  { "\240\159\152", R },
  { "\226\130a", R .. "a" },
  { "\128\191", R .. R },
}

-- All the bytes, and all pairs of a lead with something.
local function bytes()
  local list = {}
  for i = 0, 255 do
    list[#list + 1] = string.char(i)
    list[#list + 1] = "x" .. string.char(i, (i * 7 + 3) % 256) .. "y"
  end
  return list
end

local function post(client, text)
  return client:post("/p", { v = text })
end

describe("a hostile string", function()
  it("arrives as text wherever an event has one", function()
    for _, pair in ipairs(STRINGS) do
      h.offer.arrives(pair[1], pair[2])
      h.offer.arrives({ [pair[1]] = 1 }, { [pair[2]] = 1 })
    end
  end)

  local FIELDS = {
    { "capture", "name" }, { "capture", "user_id" },
    { "capture", "timestamp" }, { "identify", "user_id" },
    { "identify", "email" }, { "identify", "name" },
  }

  for _, field in ipairs(FIELDS) do
    it("arrives as text as " .. field[2] .. " of " .. field[1], function()
      for _, pair in ipairs(STRINGS) do
        local client = h.offer.client()
        local event = { name = "x", user_id = "u" }
        event[field[2]] = pair[1]
        local request = h.offer.to(client, function()
          return (client.events[field[1]] or client.users[field[1]])(event)
        end)
        assert.equal(pair[2], request.body[field[2]])
      end
    end)
  end

  it("is valid JSON whatever its bytes", function()
    local client = h.offer.client()
    for _, text in ipairs(bytes()) do
      local request = assert(h.offer.to(client, function()
        return post(client, text)
      end))
      local again = assert(h.offer.to(client, function()
        return post(client, request.body.v)
      end))
      -- What has been mended needs no mending.
      assert.equal(request.json, again.json)
    end
  end)

  it("ends no header and begins none, whoever gives it", function()
    local x = h.open()
    for _, pair in ipairs(STRINGS) do
      local text = pair[1]
      for _, options in ipairs {
        { headers = { ["X-A"] = text } }, { headers = { [text] = "v" } },
        { idempotency_key = text },
      } do
        local ok, result = pcall(x.client.events.capture, { name = "x" },
          options)
        local name = options.headers and "headers" or "idempotency_key"
        assert.is_true(ok or result:find(name, 1, true) ~= nil, result)
        if ok then
          assert.is_nil(text:find "[%z\r\n]")
        end
      end
      for _, option in ipairs { "api_key", "base_url", "proxy" } do
        local all = { api_key = "k", base_url = x.url, [option] = text }
        local ok, result = pcall(seerstack.new, all)
        assert.is_true(ok and not text:find "[%z\r\n]"
          or not ok and result:find(option, 1, true) ~= nil,
          option .. ": " .. tostring(result))
      end
    end
    local count = x.client:stats().accepted
    x:settle()
    assert.equal(count, #x.requests)
    for _, request in ipairs(x.requests) do
      assert.equal("POST", request.method)
      assert.equal("/capture", request.path)
      assert.equal("x", cjson.decode(request.body).name)
    end
    x:close()
  end)

  describe("of many bytes", function()
    local MOST = os.getenv "SANITIZER" and 2 ^ 20 or 2 ^ 24

    -- The bytes around the string in the body of a post.
    local AROUND = #'{"v":""}'

    local function fits(text)
      local client = h.offer.client { max_event_bytes = MOST }
      local request, message = h.offer.to(client, function()
        return post(client, text)
      end)
      return request and request.json, message
    end

    it("arrives when the body is just not too large", function()
      for less = 0, 2 do
        local text = ("x"):rep(MOST - AROUND - less)
        local json = fits(text)
        assert.equal(MOST - less, #json)
        assert.is_true(json == '{"v":"' .. text .. '"}')
      end
    end)

    it("is refused with one byte more, or a thousandfold", function()
      for _, more in ipairs { 1, 2, 1000, MOST } do
        local json, message = fits(("x"):rep(MOST - AROUND + more))
        assert.is_nil(json)
        assert.equal(("event too large: more than %.0f bytes "
          .. "(max_event_bytes)"):format(MOST), message)
      end
    end)

    it("counts as what it becomes", function()
      for char, length in pairs { ["\1"] = 6, ["\n"] = 2, ["\255"] = 3 } do
        local count = math.floor((MOST - AROUND) / length)
        local json = fits(char:rep(count))
        assert.equal(count * length + AROUND, #json)
        assert.is_nil((fits(char:rep(count + 1))))
      end
    end)

    local PLACES = {
      function(text) return { name = text } end,
      function(text) return { name = "x", user_id = text } end,
      function(text) return { name = "x", timestamp = text } end,
      function(text) return { name = "x", data = { [text] = 1 } } end,
      function(text) return { name = "x", [text] = 1 } end,
      function(text) return { name = "x", data = { text, [text] = 1 } } end,
    }

    it("is refused in every place", function()
      local client = h.offer.client { max_event_bytes = MOST }
      for _, place in ipairs(PLACES) do
        local event = place(("x"):rep(MOST + 1))
        local request, message = h.offer.to(client, function()
          return client.events.capture(event)
        end)
        assert.is_nil(request)
        assert.matches("^event too large", message)
      end
    end)

    it("is cut in messages that name it", function()
      local client = h.offer.client { max_event_bytes = MOST }
      local key = ("k"):rep(MOST)
      local event = { name = "x", data = { [key] = print } }
      local request, message = h.offer.to(client, function()
        return client.events.capture(event)
      end)
      assert.is_nil(request)
      assert.is_true(#message < 1000)
    end)

    it("is refused as a header, a key, an URL or a path", function()
      local long = ("x"):rep(MOST)
      for option, value in pairs {
        api_key = long, base_url = "http://h/" .. long,
        proxy = "http://" .. long, headers = { ["X-A"] = long },
        query = { a = long },
      } do
        local all = { api_key = "k", [option] = value }
        local ok, message = pcall(seerstack.new, all)
        assert.is_false(ok, option)
        assert.is_truthy(message:find(option, 1, true), option)
        assert.is_true(#message < 1000, option)
      end
      local request, message = h.offer.to(h.offer.client(), function(client)
        return client:post("/" .. long, {})
      end)
      assert.is_nil(request)
      assert.matches("^path: ", message)
    end)
  end)
end)
