-- The descriptors of a program are its own: what is sent takes no more than a
-- part of them, however many clients there are. Who of them goes then is
-- counted in spec/unit/room.c.

local h = require "spec.helper"

local CODE = [[
  local function send(url, number, timeout)
    local client = seerstack.new {
      base_url = url, api_key = "key" .. number, timeout = timeout,
      log_level = "off", exit_timeout = 0,
    }
    capture(client, 1, 16)
    return client
  end
  local function can_open(count)
    local files = {}
    for i = 1, count do
      files[i] = assert(io.open "/dev/null")
    end
    for _, file in ipairs(files) do
      file:close()
    end
  end
  local hung, last = arg[1]
  for i = 1, 100 do
    last = send(hung, i, 1)
  end
  local works = send(nil, 101, 60)
  repeat
    can_open(150)
    socket.sleep(0.001)
  until works:stats().delivered == 16 and last:stats().last_error
  assert(last:stats().last_error:find "timed out", last:stats().last_error)
]]

describe("an API that hangs", function()
  local api = h.own_standin()
  local silent = h.server.new()

  it("does not take the descriptors of the program, nor its other events",
    function()
      api:config { key = false } -- any
      h.ended_well(h.script.run {
        code = CODE, args = { silent.url }, timeout = 60,
        env = h.environment(api.url, "key"),
        prefix = [[bash -c 'ulimit -n 256; exec "$@"' -]],
      })
      assert.equal(16, api:count())
    end)
end)
