local h = require "spec.helper"

describe("over TLS, a connection after another", function()
  local api = h.standin { keepalive_requests = 1 }

  it("goes on with the session of the one before", function()
    local client = h.client(api.tls_url, {
      api_key = api.key, ca_file = api.ca_file, max_in_flight = 1,
    })
    local connections = {}
    for i = 1, 5 do
      assert(client.events.capture({ name = "a.b", data = { i = i } },
        { wait = true }))
    end
    for i, event in ipairs(api:events()) do
      assert.is_nil(connections[event.connection])
      connections[event.connection] = true
      assert.equal(i > 1, event.resumed)
    end
    assert.equal(5, api:count())
    client:close(0)
  end)
end)
