-- Connections of TLS that wait for their next request.

local h = require "spec.helper"
local ssl = require "ssl"

local STALE = "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"

local directory = h.certificate.make {}

teardown(function() h.shell.remove(directory) end)

for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
  describe("a connection of " .. protocol, function()
    local context = assert(ssl.newcontext {
      mode = "server", protocol = protocol, options = "all",
      certificate = directory .. "/cert.pem", key = directory .. "/key.pem",
    })
    local net = h.faulty.new()

    after_each(function() net:close() end)

    -- Delivers three events, one after the other, to a server that sends
    -- `after` behind each answer; returns it, and what has become of them.
    local function deliver(after)
      local behind = 0
      local server = net:listen(function(peer)
        peer:secure(context)
        while peer:request() do
          peer:send(h.faults.OK)
          peer:pause(0.05) -- the answer has been read
          peer:send(after)
          behind = behind + 1
        end
      end, "https", "localhost")
      local client = h.client(server.url, {
        api_key = "sk_test", ca_file = directory .. "/cert.pem",
        max_in_flight = 1, log_level = "off",
      })
      for i = 1, 3 do
        assert(client.events.capture { name = "n" .. i })
        net:serve(function()
          return behind == i and client:stats().pending == 0
        end, 20 * h.slow)
      end
      client:close(0)
      return server, client:stats()
    end

    it("is not used again when an answer of nobody's waits on it", function()
      local server, stats = deliver(STALE)
      assert.same({ 3, 0 }, { stats.delivered, stats.rejected })
      assert.same({ 3, 3 }, { #server.requests, server.accepted })
    end)

    it("is used again otherwise, whatever TLS has to say", function()
      local server, stats = deliver ""
      assert.equal(3, stats.delivered)
      assert.same({ 3, 1 }, { #server.requests, server.accepted })
    end)
  end)
end
