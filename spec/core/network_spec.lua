-- Proxies: the option, and the environment. Whom TLS trusts is in
-- authority_spec.lua, HTTP/2 in http_version_spec.lua.

local h = require "spec.helper"
local mime = require "mime"
local seerstack = require "seerstack"
local socket = require "socket"

local ABROAD = "http://api.example.invalid/p"
local EVENT = { name = "a.b" }

local api = h.standin()
local x = h.exchange()
local closing

before_each(function()
  closing = {}
end)

after_each(function()
  for _, open in ipairs(closing) do
    open:close()
  end
end)

local function until_closed(open)
  closing[#closing + 1] = open
  return open
end

local function new(options)
  return x:new(h.merge({
    max_retries = 0, api_key = x.key,
  }, options))
end

-- What becomes of a waited-for event, while the scripted server and the
-- tunnel serve.
local function send(client, lead, handler)
  local future = assert(client.events.capture(EVENT, { future = true }))
  return x:get(future, handler, lead and function() lead:step() end)
end

-- A proxy that nobody listens at.
local function gone()
  return h.server.refusing().url
end

describe("an http proxy", function()
  it("gets the requests to an http URL, with the whole URL", function()
    local client = new { base_url = ABROAD, proxy = x.url }
    assert.is_table((send(client)))
    client.users.identify { user_id = "u" }
    client:post("/other?a=1", { 1 })
    x:serve(nil, function() return client:stats().pending == 0 end)
    local seen = {}
    for i, request in ipairs(x.requests) do
      seen[i] = request.method .. " " .. request.target
      assert.equal("api.example.invalid", request.headers.host)
      assert.equal("Bearer " .. x.key, request.headers.authorization)
      assert.is_nil(request.headers["proxy-authorization"])
    end
    table.sort(seen)
    assert.same({
      "POST " .. ABROAD .. "/capture", "POST " .. ABROAD .. "/identify",
      "POST " .. ABROAD .. "/other?a=1",
    }, seen)
    assert.equal("a.b", h.body_of(x.requests[1]).name)
    assert.equal(3, h.adds_up(client).delivered)
  end)

  it("may be named without a scheme", function()
    local address = x.url:gsub("^http://", "")
    assert.is_table((send(new { base_url = ABROAD, proxy = address })))
    assert.equal(ABROAD .. "/capture", x.requests[1].target)
  end)

  it("gets user and password, which nobody else hears of", function()
    local client = new {
      base_url = ABROAD, proxy = x.url:gsub("//", "//user:p%%40ss-word@"),
    }
    local response, message, err = send(client, nil, function(request)
      assert.equal("Basic " .. mime.b64("user:p@ss-word"),
        request.headers["proxy-authorization"])
      return 407, { ["X-Sent"] = "p@ss-word" }, '{"error":"no p@ss-word"}'
    end)
    assert.is_nil(response)
    assert.equal("APIStatusError", err.name)
    assert.equal(407, err.status)
    for _, text in ipairs {
      message, err.headers["x-sent"], err.body.error, tostring(client),
      client:stats().last_error,
    } do
      assert.is_nil(text:find("ss-word", 1, true), text)
    end
  end)

  it("is not gone round when it does not answer", function()
    local _, _, err = send(new { proxy = gone() })
    assert.equal("APIConnectionError", err.name)
    assert.equal(0, #x.requests)
  end)

  it("gets every hop of a redirect, but the key at the first origin only",
    function()
      local client = new {
        base_url = ABROAD, proxy = x.url:gsub("//", "//user:pass@"),
        headers = { ["X-Mine"] = "mine" },
      }
      assert.is_table((send(client, nil, h.sequence {
        { 307, { Location = "/q/capture" } },
        { 307, { Location = "http://other.example.invalid/r" } },
      })))
      for i, target in ipairs {
        ABROAD .. "/capture", "http://api.example.invalid/q/capture",
        "http://other.example.invalid/r",
      } do
        local headers = x.requests[i].headers
        assert.equal(target, x.requests[i].target)
        assert.matches("^Basic ", headers["proxy-authorization"])
        assert.equal(i < 3 and "Bearer " .. x.key or nil,
          headers.authorization)
        assert.equal(i < 3 and "mine" or nil, headers["x-mine"])
      end
    end)

  it("is each client's own, though URL and key are the same", function()
    local second = until_closed(h.open())
    local through = new { base_url = ABROAD, proxy = x.url }
    local other = new { base_url = ABROAD, proxy = second.url }
    assert.is_table((send(through)))
    local future = other.events.capture(EVENT, { future = true })
    second:serve(nil, function() return future:done() end)
    assert.is_table((send(through)))
    assert.equal(2, #x.requests)
    assert.equal(1, #second.requests)
  end)

  it("is replaced, or left out, by with_options", function()
    local client = new { proxy = gone() }
    assert.is_table((send(client:with_options { proxy = false })))
    assert.equal("/capture", x.requests[1].target)
    assert.is_table((send(client:with_options { proxy = x.url })))
    assert.equal(x.url .. "/capture", x.requests[2].target)
    assert.equal("APIConnectionError", select(3, send(client)).name)
  end)

  it("may itself speak TLS, and must be vouched for", function()
    local through = new {
      base_url = "http://api.example.invalid", api_key = api.key,
      proxy = api.tls_url, ca_file = api.ca_file,
    }
    assert.is_table((send(through)))
    assert.equal("api.example.invalid", api:events()[1].headers.host)
    local _, _, err = send(new {
      base_url = "http://api.example.invalid", api_key = api.key,
      proxy = api.tls_url,
    })
    assert.equal("APIConnectionError", err.name)
    assert.equal(1, api:status().requests)
  end)

  it("that cannot be one raises, and is not shown", function()
    for _, value in ipairs {
      "ftp://user:secret@127.0.0.1:1", "http://user:secret@", "", true, 8080,
      "http://user:secret@[::1", "file:///secret",
    } do
      local ok, message = pcall(seerstack.new,
        { api_key = "sk_x", proxy = value })
      assert.is_false(ok, tostring(value))
      assert.matches("option 'proxy'", message, 1, true)
      assert.is_nil(message:find("secret", 1, true), message)
    end
  end)
end)

describe("a tunnel through an http proxy", function()
  local function through(lead, options)
    options = options or {}
    options.base_url, options.api_key = api.tls_url, api.key
    options.ca_file = api.ca_file
    options.proxy = "http://user:pass-word@" .. lead.address
    return new(options)
  end

  it("is asked for by CONNECT, without the key, and is used again",
    function()
      local lead = until_closed(h.tunnel.new())
      local client = through(lead, { headers = { ["X-Mine"] = "mine" } })
      for _ = 1, 3 do
        assert.is_table((send(client, lead)))
      end
      assert.equal(3, api:count())
      assert.equal("mine", api:events()[1].headers["x-mine"])
      assert.is_nil(api:events()[1].headers["proxy-authorization"])
      assert.equal(1, #lead.asked)
      local asked = lead.asked[1]
      assert.equal("localhost", asked.host)
      assert.equal(api.tls_port, asked.port)
      assert.matches("\r\nProxy-Authorization: Basic "
        .. mime.b64("user:pass-word"), asked.head, 1, true)
      for _, secret in ipairs { api.key, "X-Mine", "Idempotency-Key" } do
        assert.is_nil(asked.head:find(secret, 1, true), asked.head)
      end
    end)

  -- libcurl looks for connections that have ended once a second, in the midst
  -- of a request, and says of that what it finds.
  it("does not lead to whom nobody vouches for", function()
    local ended = h.tunnel.new()
    assert.is_table((send(through(ended), ended)))
    ended:close()
    local closed_at = socket.gettime()
    h.wait(function() return socket.gettime() > closed_at + 1.1 end)
    local impostor = until_closed(h.start_standin())
    impostor.close = impostor.stop
    local lead = until_closed(h.tunnel.new { port = impostor.tls_port })
    local _, message, err = send(through(lead), lead)
    assert.equal("APIConnectionError", err.name)
    assert.matches("certificate", message)
    assert.equal("localhost", lead.asked[1].host)
    assert.equal(0, impostor:status().requests)
  end)

  it("that is refused leaves events queued", function()
    local lead = until_closed(h.tunnel.new {
      answer = "HTTP/1.1 407 No pass-word\r\nContent-Length: 0\r\n\r\n",
    })
    local client = through(lead)
    local response, message, err = send(client, lead)
    assert.is_nil(response)
    assert.equal("APIConnectionError", err.name)
    assert.matches("407", message)
    assert.is_nil(message:find("pass-word", 1, true), message)
    client.events.capture(EVENT)
    lead:serve(function() return #lead.asked >= 3 end)
    assert.equal(1, h.adds_up(client).pending)
    assert.equal(0, api:status().requests)
    lead.options.answer = nil
    lead:serve(function() return client:stats().pending == 0 end)
    assert.equal(1, h.adds_up(client).delivered)
    assert.equal(1, api:count())
  end)
end)

-- Of localhost's addresses libcurl 8 has that of IPv6 first.
local LOCAL = h.libcurl() < 8 and "127.0.0.1" or "::1"

describe("a SOCKS proxy", function()
  for scheme, host in pairs {
    socks4 = "127.0.0.1", socks4a = "localhost",
    socks5 = LOCAL, socks5h = "localhost",
  } do
    it(scheme .. " leads to the server, as " .. host, function()
      local lead = until_closed(h.tunnel.new())
      local client = new {
        base_url = "http://localhost:" .. x.server.port,
        proxy = scheme .. "://" .. lead.address,
      }
      assert.is_table((send(client, lead)))
      assert.equal("/capture", x.requests[1].target)
      assert.equal("Bearer " .. x.key, x.requests[1].headers.authorization)
      assert.equal(1, #lead.asked)
      assert.equal(host, lead.asked[1].host)
      assert.equal(x.server.port, lead.asked[1].port)
    end)
  end

  it("gets user and password", function()
    local lead = until_closed(h.tunnel.new())
    assert.is_table((send(new {
      proxy = "socks5://user:p%40ss@" .. lead.address,
    }, lead)))
    assert.equal("user:p@ss", lead.asked[1].login)
    assert.is_nil(x.requests[1].headers["proxy-authorization"])
  end)

  it("leads to an https server, whose certificate counts", function()
    for host, expected in pairs { localhost = 200, ["127.0.0.2"] = false } do
      local lead = until_closed(h.tunnel.new())
      local response, http, err = send(new {
        base_url = "https://" .. host .. ":" .. api.tls_port,
        api_key = api.key, ca_file = api.ca_file,
        proxy = "socks5h://" .. lead.address,
      }, lead)
      assert.equal(expected, response and http.status or false)
      assert.equal(not expected and "APIConnectionError" or nil,
        err and err.name)
      assert.equal(host, lead.asked[1].host)
    end
    assert.equal(1, api:count())
  end)
end)

describe("the environment", function()
  local PROXIES = {
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
  }
  local CODE = [[
    local function client(options)
      options.max_retries, options.log_level = 0, "off"
      options.exit_timeout = 0
      return seerstack.new(options)
    end
    local function send(by)
      return by.events.capture({ name = "a" }, { wait = true, timeout = 5 })
    end
  ]]

  -- Runs a program that knows of no proxy but these, and returns the
  -- requests' targets.
  local function run(variables, code)
    local env, before = {}, #x.requests
    for _, name in ipairs(PROXIES) do
      env[name] = variables[name] or false
    end
    x:child({ env = env, code = CODE .. code }, function(request)
      return request.method == "CONNECT" and 502 or 200, nil,
        '{"success":true}'
    end)
    local targets = {}
    for i = before + 1, #x.requests do
      targets[#targets + 1] = x.requests[i].target
    end
    return targets
  end

  local function direct(variables)
    assert.same({ "/capture" }, run(variables, "send(client {})"))
  end

  local function proxied(variables)
    assert.same({ x.url .. "/capture" }, run(variables, "send(client {})"))
  end

  it("names a proxy: http_proxy, all_proxy, ALL_PROXY, in this order",
    function()
      local nobody = gone()
      proxied { http_proxy = x.url, all_proxy = nobody, ALL_PROXY = nobody }
      proxied { all_proxy = x.url, ALL_PROXY = nobody }
      proxied { ALL_PROXY = x.url, http_proxy = "" }
    end)

  it("names none by HTTP_PROXY, or by the variables of https", function()
    local nobody = gone()
    direct {
      HTTP_PROXY = nobody, https_proxy = nobody, HTTPS_PROXY = nobody,
    }
  end)

  it("names hosts to reach without one: no_proxy, NO_PROXY, in this order",
    function()
      local nobody = gone()
      for _, hosts in ipairs { "127.0.0.1", "a.example, 127.0.0.1", "*" } do
        direct { http_proxy = nobody, no_proxy = hosts }
        direct { ALL_PROXY = nobody, NO_PROXY = hosts }
      end
      proxied { http_proxy = x.url, no_proxy = "b.example", NO_PROXY = "*" }
      proxied { http_proxy = x.url, NO_PROXY = "127.0.0.10,7.0.0.1" }
    end)

  it("names an https URL's: https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY",
    function()
      local nobody = gone()
      for _, variables in ipairs {
        { https_proxy = x.url, HTTPS_PROXY = nobody, all_proxy = nobody },
        { HTTPS_PROXY = x.url, all_proxy = nobody },
        { all_proxy = x.url, ALL_PROXY = nobody },
        { ALL_PROXY = x.url, http_proxy = nobody },
      } do
        assert.same({ "api.example.invalid:443" }, run(variables,
          'send(client { base_url = "https://api.example.invalid" })'))
      end
    end)

  it("does not count where the option is given, NO_PROXY neither",
    function()
      local nobody = gone()
      local give = ("send(client { proxy = %q })"):format(x.url)
      for _, variables in ipairs {
        { http_proxy = nobody, no_proxy = "*", NO_PROXY = "127.0.0.1" },
        { all_proxy = nobody, ALL_PROXY = nobody },
      } do
        assert.same({ x.url .. "/capture" }, run(variables, give))
        assert.same({ "/capture" },
          run(variables, "send(client { proxy = false })"))
      end
    end)

  it("is read when a client is made: later changes reach new ones only",
    function()
      local through = x.url .. "/capture"
      assert.same({
        "/capture", through, "/capture", through, "/capture", "/capture",
      }, run({}, ([[
        local first = client {}
        send(first)
        native.setenv("http_proxy", %q)
        local second = client {}
        send(second)
        send(first)
        native.setenv("http_proxy", nil)
        send(second)
        send(client {})
        native.setenv("all_proxy", %q)
        native.setenv("no_proxy", "*")
        send(client {})
      ]]):format(x.url, x.url)))
    end)

  it("is what it was for a client that is made of another", function()
    local through = x.url .. "/capture"
    assert.same({ through, "/capture", "/capture" }, run({}, ([[
      local direct = client {}
      native.setenv("http_proxy", %q)
      send(client {}:with_options {})
      send(direct:with_options {})
      send(client {}:with_options { proxy = false })
    ]]):format(x.url)))
  end)
end)
