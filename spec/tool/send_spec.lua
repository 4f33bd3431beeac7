local cjson = require "cjson"
local h = require "spec.helper"

describe("seerstack send", function()
  local api = h.standin()

  local function bodies()
    local found = {}
    for i, event in ipairs(api:events()) do
      found[i] = event.path .. " " .. event.body:gsub('"timestamp":"[^"]*Z",?',
        "")
    end
    return found
  end

  local function send(words, options)
    return h.ended_well(h.tool.ask(api, words, options)).stdout
  end

  it("records an event and tells the answer", function()
    assert.matches("^200 deploy.done %d+ ms\n$", send {
      "send", "deploy.done", "-u", "ci", "version=1.4.2",
    })
    assert.same({ '/capture {"name":"deploy.done","user_id":"ci",'
      .. '"data":{"version":"1.4.2"}}' }, bodies())
    assert.matches('"timestamp":"20%d%d', api:events()[1].body)
  end)

  it("sends JSON as it stands", function()
    for _, text in ipairs {
      "42", "1.5", "[]", "{}", "null", "true", '"a\\nb"', "[1,[],null]",
      "9007199254740991", '"\240\159\152\128"',
    } do
      send { "send", "a.b", "x:=" .. text }
      assert.equal('/capture {"name":"a.b","data":{"x":' .. text .. "}}",
        bodies()[1])
      api:reset()
    end
  end)

  it("takes data from a word, a file and the input; fields go over it",
    function()
      local path = os.tmpname()
      h.shell.write(path, '{"a":2}\n')
      send { "send", "a.b", "-d", '{"a":1,"b":1}', "b=2" }
      send { "send", "a.b", "-d", "@" .. path }
      send({ "send", "a.b", "--data=-", "--timestamp",
        "2025-01-04T12:00:00Z" }, { stdin = '{"a":3}' })
      os.remove(path)
      local found = bodies()
      assert.matches('"a":1', found[1], 1, true)
      assert.matches('"b":"2"', found[1], 1, true)
      assert.equal('/capture {"name":"a.b","data":{"a":2}}', found[2])
      assert.matches('"timestamp":"2025-01-04T12:00:00Z"',
        api:events()[3].body, 1, true)
    end)

  it("identifies a user: email and name are the API's, the rest attributes",
    function()
      assert.matches("^200 user_123 %d+ ms\n$", send {
        "identify", "user_123", "email=jane@example.com", "seats:=5",
      })
      send { "identify", "user_123", "name=Jane" }
      assert.same({
        '/identify {"user_id":"user_123","email":"jane@example.com",'
          .. '"attributes":{"seats":5}}',
        '/identify {"user_id":"user_123","name":"Jane"}',
      }, bodies())
    end)

  it("refuses bad input by name, and sends nothing", function()
    for message, words in pairs {
      ["send: which event? A name is missing"] = { "send" },
      ["identify: whom? An id is missing"] = { "identify" },
      ["'x' is neither name=text nor name:=JSON"] = { "send", "a.b", "x" },
      ["x:={: no name of a field at byte 2"] = { "send", "a.b", "x:={" },
      ["--data: no JSON object"] = { "send", "a.b", "-d", "[1]" },
      ["/no/file: No such file or directory"] =
        { "send", "a.b", "-d", "@/no/file" },
      ["name: a non-empty string is required"] = { "send", "" },
    } do
      local result = h.tool.ask(api, words)
      assert.equal(2, result.status)
      assert.equal("", result.stdout)
      assert.matches(message, result.stderr, 1, true)
    end
    assert.equal(0, api:count())
  end)

  it("tells apart why it failed", function()
    local function assert_status(status, message, options)
      local result = h.tool.ask(api, { "send", "a.b" }, options)
      assert.matches(message, result.stderr)
      assert.equal(status, result.status)
      assert.equal("", result.stdout)
    end
    assert_status(4, "^seerstack: a.b: 401 Missing or invalid API key\n$",
      { env = { SEERSTACK_API_KEY = "sk_other" } })
    assert_status(3, "^seerstack: a.b: ",
      { env = { SEERSTACK_BASE_URL = "http://127.0.0.1:1" } })
    api:config { fail_status = 400 }
    assert_status(1, "^seerstack: a.b: 400 Failure asked for\n$")
  end)

  it("gives a script JSON, of failures too", function()
    local good = cjson.decode(send { "send", "a.b", "--json" })
    assert.equal(200, good.status)
    assert.equal("a.b", good.name)
    assert.is_number(good.ms)
    local result = h.tool.ask(api, { "send", "a.b", "--json" },
      { env = { SEERSTACK_API_KEY = "sk_other" } })
    local bad = cjson.decode(result.stdout)
    assert.equal(4, result.status)
    assert.equal(401, bad.status)
    assert.equal("AuthenticationError", bad.error_name)
  end)
end)

describe("seerstack check", function()
  local api = h.standin()

  local function check(env, ...)
    return h.tool.ask(api, { "check", ... }, { env = env })
  end

  it("knows a good key, and records nothing", function()
    local text = h.ended_well(check()).stdout
    assert.matches("^key   sk_test_…ndin %(SEERSTACK_API_KEY%)  ok\n", text)
    assert.matches("\nurl   " .. api.url:gsub("%p", "%%%0") .. " +%d+ ms\n",
      text)
    assert.matches("\nlibs  seerstack [%d.]+, Lua%S* [^,]+, libcurl %d[%d.]+, "
      .. "cjson %S+\n$", text)
    assert.equal(0, api:count())
    assert.equal(1, api:status().by_status["400"])
  end)

  it("tells of TLS, and until when the certificate is good", function()
    local text = h.ended_well(check { SEERSTACK_BASE_URL = api.tls_url,
      SSL_CERT_FILE = api.ca_file }).stdout
    local day = os.date("!%Y-%m", os.time() + 30 * 86400)
    assert.matches(" ms, TLS ok, certificate until " .. day:gsub("%-", "%%-"),
      text)
  end)

  it("knows a wrong key, no answer, and what is not the API", function()
    local result = check { SEERSTACK_API_KEY = "sk_live_0123456789abcdef" }
    assert.equal(4, result.status)
    assert.matches("^key   sk_live_…cdef %(SEERSTACK_API_KEY%)  refused\n",
      result.stdout)
    assert.equal("seerstack: 401 Missing or invalid API key\n", result.stderr)
    assert.equal(3, check(nil, "--url", "http://127.0.0.1:1").status)
    assert.equal(3, check(nil, "--url", api.url .. "/elsewhere").status)
    api:config { fail_status = 200 }
    result = check()
    assert.equal(3, result.status)
    assert.matches("is this the API?", result.stderr, 1, true)
    api:config { fail_status = 429 }
    assert.equal(1, check().status)
  end)

  it("gives a script JSON", function()
    local found = cjson.decode(h.ended_well(check(nil, "--json")).stdout)
    assert.equal("ok", found.key)
    assert.equal(api.url, found.url)
    assert.matches("^%d", found.libraries.libcurl)
  end)
end)
