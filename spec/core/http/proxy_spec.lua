local h = require "spec.helper"

local x = h.exchange()

describe("a proxy", function()
  local PROXIES = {
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
  }
  local CODE = [[
    local client = seerstack.new {
      initial_retry_delay = 0.05, exit_timeout = 0,
    }
    local response, message = client.events.capture({ name = "a.b" },
      { wait = true, timeout = ]] .. 5 * h.slow .. [[, max_retries = 0 })
    print(response and "response" or message)
  ]]
  local ABROAD = "http://api.example.invalid/p"

  -- Runs a program that knows of no proxy but these.
  local function run(url, variables, handler)
    local env = { SEERSTACK_BASE_URL = url }
    for _, name in ipairs(PROXIES) do
      env[name] = variables[name] or false
    end
    local result = x:child({ code = CODE, env = env }, handler)
    return result.stdout, result.stderr
  end

  it("from the environment gets the requests", function()
    for _, name in ipairs { "http_proxy", "all_proxy", "ALL_PROXY" } do
      assert.equal("response\n", (run(ABROAD, { [name] = x.url })))
      local request = x.requests[#x.requests]
      assert.equal(ABROAD .. "/capture", request.target)
      assert.equal("POST", request.method)
      assert.equal("api.example.invalid", request.headers.host)
      assert.equal("Bearer " .. x.key, request.headers.authorization)
      assert.equal("a.b", h.body_of(request).name)
    end
    assert.equal(3, #x.requests)
  end)

  it("in HTTP_PROXY is not used: a CGI script's client can set it",
    function()
      local gone = h.server.refusing()
      assert.equal("response\n", (run(x.url, { HTTP_PROXY = gone.url })))
      assert.equal("/capture", x.requests[1].target)
    end)

  it("is not used for a host in no_proxy", function()
    local gone = h.server.refusing()
    for _, name in ipairs { "no_proxy", "NO_PROXY" } do
      for _, hosts in ipairs { "127.0.0.1", "a.example,127.0.0.1", "*" } do
        assert.equal("response\n", (run(x.url, {
          http_proxy = gone.url, [name] = hosts,
        })))
        assert.equal("/capture", x.requests[#x.requests].target)
      end
    end
    assert.matches("connect", (run(x.url, {
      http_proxy = gone.url, no_proxy = "other.example",
    })))
  end)

  it("of the other scheme is not used", function()
    local gone = h.server.refusing()
    assert.equal("response\n", (run(x.url, {
      https_proxy = gone.url, HTTPS_PROXY = gone.url,
    })))
  end)

  it("is asked to connect to an https server, and does not get the key",
    function()
      for _, name in ipairs {
        "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
      } do
        local before = #x.requests
        local out = run("https://api.example.invalid", { [name] = x.url },
          function() return 502, nil, "no" end)
        assert.matches("502", out)
        assert.equal(before + 1, #x.requests)
        local request = x.requests[before + 1]
        assert.equal("CONNECT api.example.invalid:443 HTTP/1.1",
          (h.head_of(request)))
        assert.is_nil(request.head:find(x.key, 1, true))
        assert.is_nil(request.headers["idempotency-key"])
      end
    end)

  it("gets the credentials in its URL, and nobody else hears of them",
    function()
      local proxy = x.url:gsub("//", "//someone:proxy%%2Dsecret@")
      local out, errors = run(ABROAD, { http_proxy = proxy },
        function(request)
          assert.matches("^Basic ", request.headers["proxy-authorization"])
          return 407, nil, "no"
        end)
      assert.equal("407 no\n", out)
      assert.is_nil((out .. errors):find("secret", 1, true))
      x.server:close_listener()
      out, errors = run(ABROAD, { http_proxy = proxy })
      assert.not_equal("response\n", out)
      assert.is_nil((out .. errors):find("secret", 1, true))
    end)
end)
