-- The module for Windows, which `make windows` has built, under wine; against
-- the stand-in, over TCP. What it shares with other systems is proved there:
-- here stands what a system has to give, which is threads, an end, sockets,
-- TLS and files.

local certificate = require "spec.support.certificate"
local cjson = require "cjson"
local h = require "spec.helper"

local EVENTS = 900

local TIMEOUT = 300 -- s, since wine starts slowly on a busy machine

local function run(lua, code, env)
  return h.script.run {
    code = code,
    env = env,
    interpreter = h.shell.output "pwd" .. "/build/windows/" .. lua .. "/lua",
    timeout = TIMEOUT,
  }
end

local function words(text)
  return (text:gsub("\r", ""))
end

for lua in (os.getenv "WINDOWS" or "5.4"):gmatch "%S+" do
  describe("on Windows, in Lua " .. lua .. ",", function()
    local api, directory

    setup(function()
      directory = h.shell.temporary_directory "windows"
      api = h.start_standin()
    end)

    before_each(function()
      api:reset()
    end)

    teardown(function()
      api:stop()
      h.shell.remove(directory)
    end)

    local function environment(url)
      return {
        SEERSTACK_BASE_URL = url or api.url, SEERSTACK_API_KEY = api.key,
      }
    end

    -- Runs a program that ends well and says nothing on its standard error;
    -- what it has written.
    local function ended_well(code, url)
      local result = run(lua, code, environment(url))
      assert.equal("", words(result.stderr))
      assert.equal(0, result.status, result.stdout)
      return words(result.stdout)
    end

    -- What a program is that captures events and then ends in this way.
    local function capturing(ending, options)
      return ([[
        local client = seerstack.new { rate_limit = false, %s }
        capture(client, 1, %d)
        %s
      ]]):format(options or "exit_timeout = 120", EVENTS, ending)
    end

    it("is loaded", function()
      assert.equal(require "seerstack"._VERSION .. "\n",
        ended_well "print(seerstack._VERSION)")
    end)

    it("sends an event that is waited for, and reads the answer", function()
      local output = ended_well [[
        local client = seerstack.new { timeout = 100 }
        local response = assert(client.events.capture({ name = "a.b",
          data = { text = "\195\164" } }, { wait = true }))
        print(response.success)
      ]]
      assert.equal("true\n", output)
      assert.equal("ä", cjson.decode(api:events()[1].body).data.text)
    end)

    it("tells of what the server refuses", function()
      local output = ended_well [[
        local _, message, err = seerstack.new { api_key = "sk_wrong",
          timeout = 100, log_level = "off" }
          .events.capture({ name = "a.b" }, { wait = true })
        print(err.name, err.status)
      ]]
      assert.equal("AuthenticationError\t401\n", output)
    end)

    it("delivers 5,000 queued events with a flush", function()
      local output = ended_well [[
        local client = seerstack.new { rate_limit = false,
          max_queue = 5000 }
        capture(client, 1, 5000)
        print(client:flush(200), client:stats().delivered)
        os.exit(0)
      ]]
      assert.equal("true\t5000\n", output)
      h.assert_received(api, 5000)
    end)

    it("delivers without a thread, when it is asked to", function()
      local output = ended_well [[
        local client = seerstack.new { thread = false }
        capture(client, 1, 5)
        print(client:pump(100))
      ]]
      assert.equal("0\n", output)
      h.assert_received(api, 5)
    end)

    describe("delivers " .. EVENTS .. " events", function()
      it("at the end of the script", function()
        ended_well(capturing "")
        h.assert_received(api, EVENTS)
      end)

      it("at os.exit(0)", function()
        ended_well(capturing "os.exit(0)")
        h.assert_received(api, EVENTS)
      end)

      it("at os.exit(0, true)", function()
        ended_well(capturing "os.exit(0, true)")
        h.assert_received(api, EVENTS)
      end)

      it("at os.exit(3), and keeps the exit code", function()
        local result = run(lua, capturing "os.exit(3)", environment())
        assert.equal(3, result.status)
        h.assert_received(api, EVENTS)
      end)

      it("at an error", function()
        local result = run(lua, capturing 'error "its own"', environment())
        assert.equal(1, result.status)
        assert.matches("its own", result.stderr)
        h.assert_received(api, EVENTS)
      end)
    end)

    it("says at the end what could not be delivered", function()
      local result = run(lua, capturing("", "exit_timeout = 0.5"),
        environment "http://127.0.0.1:1")
      assert.equal(0, result.status)
      assert.matches("^seerstack: error: 900 events were not delivered before"
        .. " exit: ", words(result.stderr):match "[^\n]+\n$")
    end)

    -- A program that sends one event over TLS, with this file of authorities.
    local function over_tls(file)
      return ([[
        local client = seerstack.new { ca_file = %q, log_level = "off",
          timeout = 100 }
        local response, message, err = client.events.capture({ name = "a.b" },
          { wait = true, max_retries = 0 })
        print(response and response.success or err.name)
        os.exit(0)
      ]]):format(tostring(file))
    end

    it("trusts over TLS the authority that it is given", function()
      assert.equal("true\n",
        ended_well(over_tls("Z:" .. api.ca_file), api.tls_url))
      assert.equal(1, api:count())
    end)

    it("trusts over TLS no other than that", function()
      local stranger = certificate.make {}
      local output = ended_well(over_tls("Z:" .. stranger .. "/cert.pem"),
        api.tls_url)
      h.shell.remove(stranger)
      assert.equal("APIConnectionError\n", output)
      assert.equal(0, api:status().requests)
    end)

    it("trusts over TLS nobody's own authority by itself", function()
      local output = ended_well(over_tls():gsub("ca_file = \"nil\",", ""),
        api.tls_url)
      assert.equal("APIConnectionError\n", output)
      assert.equal(0, api:status().requests)
    end)

    it("reads files whose names are in UTF-8", function()
      local path = directory .. "/Schlüssel-鍵.pem"
      h.shell.write(path, h.shell.read(api.ca_file))
      assert.equal("true\n", ended_well(over_tls("Z:" .. path), api.tls_url))
    end)

    it("says that processes share no budget there", function()
      local result = run(lua, [[
        local client = seerstack.new { share_rate_limit = true }
        capture(client, 1, 3)
        assert(client:flush(100))
      ]], environment())
      assert.equal(0, result.status)
      assert.matches("the rate limit is this process's alone, not shared",
        result.stderr)
      h.assert_received(api, 3)
    end)

    it("has no stores", function()
      local output = ended_well [[print((pcall(require, "seerstack.sqlite")))]]
      assert.equal("false\n", output)
    end)
  end)
end
