local h = require "spec.helper"

describe("what libcurl says of a proxy", function()
  it("is told without the login", function()
    local result = h.script.run {
      env = h.environment("http://example.invalid", "sk_test_proxied", {
        http_proxy = "http://bob:hunter2@127.0.0.1:99999",
        no_proxy = false, NO_PROXY = false,
      }),
      code = [[
        local client = seerstack.new {}
        print(client.events.capture({ name = "a" },
          { wait = true, max_retries = 0 }))
        client.events.capture { name = "b" }
      ]],
    }
    assert.equal(0, result.status, result.stderr)
    local text = result.stdout .. result.stderr
    assert.truthy(text:find("proxy", 1, true), text)
    assert.is_nil(text:find("hunter2", 1, true), text)
  end)

  it("is told without the login, however the URL is written", function()
    for _, proxy in ipairs {
      "http:/bob:hunter2@127.0.0.1:99999", "bob:hunter2@127.0.0.1:99999",
      "http:///bob:hunter2@127.0.0.1:99999", "ftp://bob:hunter2@127.0.0.1",
      "socks9:/bob:hunter2@127.0.0.1", "http:/bob:hunter2@no.invalid",
    } do
      local result = h.script.run {
        env = h.environment("http://example.invalid", "sk_test_proxied", {
          http_proxy = proxy, no_proxy = false, NO_PROXY = false,
        }),
        code = [[
          local client = require "seerstack".new { exit_timeout = 0 }
          print(client.events.capture({ name = "a" },
            { wait = true, max_retries = 0 }))
        ]],
      }
      local text = result.stdout .. result.stderr
      assert.matches("nil", text)
      assert.is_nil(text:find("hunter2", 1, true), text)
    end
  end)
end)

describe("an authority that was given for one key", function()
  it("is not trusted for another", function()
    local api = h.start_standin()
    local result = h.script.run {
      env = {
        LUA_PATH = package.path, LUA_CPATH = package.cpath,
        SEERSTACK_BASE_URL = api.tls_url, SSL_CERT_FILE = api.ca_file,
      },
      code = [[
        local function deliver(key)
          local client = seerstack.new { api_key = key }
          local _, http, err = client.events.capture({ name = "a" },
            { wait = true, max_retries = 0 })
          print(err and err.name or http.status)
        end
        deliver "sk_test_standin"
        native.setenv("SSL_CERT_FILE", nil)
        deliver "sk_test_other"
      ]],
    }
    api:stop()
    assert.equal(0, result.status, result.stderr)
    assert.equal("200\nAPIConnectionError\n", result.stdout)
  end)
end)
