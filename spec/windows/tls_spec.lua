-- TLS on Windows, which is Windows's own, and files.

local certificate = require "spec.support.certificate"
local h = require "spec.helper"
local windows = require "spec.support.windows"

describe("on Windows, over TLS,", function()
  local api = h.standin()

  -- What comes of one event that is waited for.
  local function deliver(options)
    return windows.ended_well(api, ([[
      local client = seerstack.new { log_level = "off", timeout = 100, %s }
      local response, _, err = client.events.capture({ name = "a.b" },
        { wait = true, max_retries = 0 })
      print(response and response.success or err.name)
      os.exit(0)
    ]]):format(options), api.tls_url)
  end

  local function given(path)
    return ("ca_file = %q"):format("Z:" .. path)
  end

  it("an authority is trusted that is given", function()
    assert.equal("true\n", deliver(given(api.ca_file)))
    assert.equal(1, api:count())
  end)

  it("no other is trusted than that", function()
    local stranger = certificate.make {}
    local output = deliver(given(stranger .. "/cert.pem"))
    h.shell.remove(stranger)
    assert.equal("APIConnectionError\n", output)
    assert.equal(0, api:status().requests)
  end)

  pending("nobody is trusted whom the system does not trust, which libcurl"
    .. " leaves to Schannel, and wine 8's trusts everybody")

  it("a file's name may be in UTF-8", function()
    local directory = h.shell.temporary_directory "windows"
    local path = directory .. "/Schlüssel-鍵.pem"
    h.shell.write(path, h.shell.read(api.ca_file))
    local output = deliver(given(path))
    h.shell.remove(directory)
    assert.equal("true\n", output)
  end)
end)
