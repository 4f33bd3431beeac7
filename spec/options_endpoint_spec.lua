local h = require "spec.helper"
local seerstack = require "seerstack"

local with, refusal = h.making.with, h.making.refusal
local assert_refused = h.making.assert_refused
local assert_accepted = h.making.assert_accepted

describe("api_key", function()
  it("is refused when it is blank", function()
    for _, key in ipairs { "", " ", " \t\r\n" } do
      assert_refused("api_key", key)
      local message = refusal(with { api_key = key })
      assert.matches("SEERSTACK_API_KEY", message, 1, true)
    end
  end)

  it("is refused, and not shown, when it is a number", function()
    local message = refusal { api_key = 12345678 }
    assert.truthy(message:find("api_key", 1, true), message)
    assert.is_nil(message:find("12345678", 1, true), message)
  end)

  it("is refused, and not shown, with a control character", function()
    for _, bad in ipairs { "\r", "\n", "\r\n", "\0", "\t", "\27", "\127" } do
      for _, key in ipairs { "sk_se" .. bad .. "cret", "sk_secret" .. bad } do
        assert_refused("api_key", key)
        local message = refusal(with { api_key = key })
        assert.is_nil(message:find("sk_se", 1, true))
        assert.is_nil(message:find("cret", 1, true))
      end
    end
  end)

  it("is refused when it is no string", function()
    assert_refused("api_key", 5, "string expected, got number")
    assert_refused("api_key", false, "string expected, got boolean")
  end)
end)

describe("base_url", function()
  it("is http or https, with or without a path", function()
    for _, url in ipairs {
      "http://127.0.0.1:1", "https://example.com", "https://example.com/",
      "http://localhost:8080/a/b/", "HTTPS://EXAMPLE.COM", "http://[::1]:80",
    } do
      assert_accepted("base_url", url)
    end
  end)

  it("is refused otherwise", function()
    for _, url in ipairs {
      "", " ", "example.com", "ftp://example.com", "http://",
      "https://example.com?a=b", "https://example.com#a", "file:///etc",
      "https://example.com/p#", "https://example.com/p?",
      "https://exa mple.com", "javascript:alert(1)", "https://h:port",
    } do
      assert_refused("base_url", url)
    end
  end)

  it("is refused, and not shown, with user information", function()
    assert_refused("base_url", "https://jane:pa55word@example.com")
    local message = refusal(with {
      base_url = "https://jane:pa55word@example.com",
    })
    assert.is_nil(message:find("jane", 1, true))
    assert.is_nil(message:find("pa55word", 1, true))
  end)

  it("is refused with a control character", function()
    for _, bad in ipairs { "\r\n", "\0", "\t", "\127" } do
      assert_refused("base_url", "https://example.com" .. bad)
      assert_refused("base_url", "https://exa" .. bad .. "mple.com")
    end
  end)

  it("is refused when it is no string", function()
    assert_refused("base_url", 5, "string expected, got number")
    assert_refused("base_url", {}, "string expected, got table")
  end)

  it("loses its trailing slashes", function()
    local function shown(url)
      return tostring(seerstack.new(with { base_url = url }))
    end
    assert.equal("seerstack.client (http://127.0.0.1:1)",
      shown("http://127.0.0.1:1/"))
    assert.equal("seerstack.client (http://127.0.0.1:1/a)",
      shown("http://127.0.0.1:1/a/"))
    assert.equal("seerstack.client (http://127.0.0.1:1/a)",
      shown("http://127.0.0.1:1/a///"))
    assert.equal("seerstack.client (http://127.0.0.1:1/a)",
      shown("http://127.0.0.1:1/a"))
  end)
end)

describe("the environment", function()
  local function run(env, options)
    return h.ended_well(h.start {
      env = {
        SEERSTACK_API_KEY = env.key or false,
        SEERSTACK_BASE_URL = env.url or false,
      },
      code = ([[
        local ok, result = pcall(seerstack.new, %s)
        io.write(ok and "made " or "refused ", tostring(result))
      ]]):format(options or "nil"),
    }).stdout
  end

  it("supplies the key", function()
    assert.equal("made seerstack.client (https://api.seerstack.com)",
      run { key = "sk_test_env" })
    assert.equal("made seerstack.client (https://api.seerstack.com)",
      run { key = " sk_test_env\n" })
  end)

  it("must have a key when no option gives it", function()
    local expected = "refused bad argument #1 to 'new' (the environment "
      .. "variable SEERSTACK_API_KEY is missing or empty; the option "
      .. "'api_key' may be given instead)"
    for _, options in ipairs { "nil", "{}", "{ timeout = 5 }" } do
      assert.equal(expected, run({}, options))
      assert.equal(expected, run({ key = "" }, options))
      assert.equal(expected, run({ key = " \t\n" }, options))
    end
  end)

  it("is not asked for a key that an option gives", function()
    assert.matches("^made ", run({}, '{ api_key = "sk_test_option" }'))
    assert.matches("^made ",
      run({ key = "sk_\r\nx" }, '{ api_key = "sk_test_option" }'))
    assert.matches("^refused ", run({ key = "sk_x" }, '{ api_key = "" }'))
  end)

  it("must not have a control character in the key", function()
    local text = run { key = "sk_se\r\ncret" }
    assert.matches("^refused bad argument #1 to 'new' %(option 'api_key'",
      text)
    assert.matches("SEERSTACK_API_KEY", text, 1, true)
    assert.is_nil(text:find("sk_se", 1, true))
    assert.is_nil(text:find("cret", 1, true))
  end)

  it("supplies the base URL, without the space around it", function()
    for _, url in ipairs {
      "http://127.0.0.1:1/p", " http://127.0.0.1:1/p/ \n",
    } do
      assert.equal("made seerstack.client (http://127.0.0.1:1/p)",
        run { key = "sk_x", url = url })
    end
  end)

  it("may have a blank base URL, which means none", function()
    for _, url in ipairs { "", "  ", "\n" } do
      assert.equal("made seerstack.client (https://api.seerstack.com)",
        run { key = "sk_x", url = url })
    end
  end)

  it("must not have a base URL that cannot be used", function()
    local text = run { key = "sk_x", url = "ftp://jane:pa55word@example.com" }
    assert.matches("^refused bad argument #1 to 'new' %(option 'base_url'",
      text)
    assert.matches("SEERSTACK_BASE_URL", text, 1, true)
    assert.is_nil(text:find("pa55word", 1, true))
  end)

  it("yields to the option base_url", function()
    assert.equal("made seerstack.client (http://127.0.0.1:1)",
      run({ key = "sk_x", url = "nonsense" },
        '{ base_url = "http://127.0.0.1:1" }'))
  end)
end)

describe("plain http", function()
  local function warnings(code)
    local result = h.script.run {
      env = { SEERSTACK_API_KEY = "sk_test_secret" },
      code = 'local seerstack = require "seerstack"\n' .. code,
    }
    assert.equal(0, result.status, result.stderr)
    assert.is_nil(result.stderr:find("sk_test_secret", 1, true))
    local _, lines = result.stderr:gsub("seerstack: [^\n]*plain http", "")
    return lines
  end

  it("is warned of, once", function()
    assert.equal(1, warnings [[
      seerstack.new { base_url = "http://example.com" }
      seerstack.new { base_url = "HTTP://example.org" }
    ]])
  end)

  it("is warned of for a host whose name only begins like a loopback's",
    function()
      assert.equal(1, warnings [[
        seerstack.new { base_url = "http://127.example.com" }
      ]])
    end)

  it("is not warned of when it stays on this machine, nor is https",
    function()
      assert.equal(0, warnings [[
        seerstack.new { base_url = "http://localhost:1" }
        seerstack.new { base_url = "http://LOCALHOST:1" }
        seerstack.new { base_url = "http://localhost.:1" }
        seerstack.new { base_url = "http://127.0.0.1:1" }
        seerstack.new { base_url = "http://[::1]:1" }
        seerstack.new { base_url = "https://example.com" }
      ]])
    end)
end)
