local cjson = require "cjson"
local h = require "spec.helper"

local x = h.exchange()

describe("a key that the server sends back", function()
  -- With characters that JSON may or must escape.
  local KEY = 'sk_test/"echo\\key'
  local CODE = [[
    local client = seerstack.new { max_retries = 0 }
    for i = 1, %d do
      local response, message, err = client.events.capture({ name = "a.b" },
        { wait = true })
      if response then
        print(cjson.encode(response), cjson.encode(message.headers))
      else
        print(message, err.message, tostring(err), cjson.encode(err.body),
          cjson.encode(err.headers))
      end
      client.events.capture { name = "queued" }
      client:flush(10)
      print(client:stats().last_error)
    end
  ]]

  local function everything(answers)
    x.key = KEY
    local before, number = #x.requests, 0
    local result = x:child({ code = CODE:format(#answers) }, function()
      number = number + 1
      return h.answer(answers[math.ceil(number / 2)])
    end)
    assert.equal(before + 2 * #answers, #x.requests)
    assert.equal("Bearer " .. KEY, x.requests[1].headers.authorization)
    return result.stdout .. result.stderr
  end

  local function assert_masked(text)
    assert.is_nil(text:find(KEY, 1, true), text)
    assert.is_nil(text:find("echo", 1, true), text)
    assert.is_nil(text:find("sk", 1, true), text)
    assert.matches("%*", text)
  end

  it("is masked in the body, in the message and on stderr", function()
    assert_masked(everything {
      { 400, nil, "your key is " .. KEY .. ", and " .. KEY .. " is bad" },
      { 422, nil, KEY },
      { 400, nil, KEY .. KEY .. "k" .. KEY },
    })
  end)

  it("is masked when it is escaped as in JSON", function()
    assert_masked(everything {
      { 400, nil, cjson.encode { error = "bad key " .. KEY } },
      { 400, nil, '{"error":"sk_test/\\"echo\\\\key"}' },
      { 400, nil, '{"error":"\\u0073k_test\\u002F\\u0022\\u0065cho'
        .. '\\u005ckey"}' },
      { 200, nil, cjson.encode { success = true, key = KEY } },
    })
  end)

  it("is masked in the headers", function()
    assert_masked(everything {
      { 400, { ["X-Sent"] = "Bearer " .. KEY }, "{}" },
      { 200, { ["X-Sent"] = KEY }, "{}" },
    })
  end)

  it("is masked when only its beginning was read", function()
    for _, limit in ipairs { 65536, 512, 200 } do
      for inside = 1, #KEY, 4 do
        assert_masked(everything {
          { 400, nil, ("x"):rep(limit - inside) .. KEY .. ("x"):rep(9999) },
        })
      end
    end
  end)

  it("is not on stderr when the endpoint backs off, or at exit", function()
    x.key = KEY
    local result = x:child({ code = [[
      local client = seerstack.new {
        exit_timeout = 0.3, initial_retry_delay = 0.05,
      }
      client.events.capture { name = "a.b" }
      while not client:stats().last_error do
        socket.sleep(0.002)
      end
    ]] }, function()
      return 401, { ["X-Sent"] = KEY }, '{"error":"bad key ' .. KEY .. '"}'
    end)
    assert_masked(result.stderr)
    assert.matches("not delivered before exit", result.stderr)
  end)
end)
