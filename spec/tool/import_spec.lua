local cjson = require "cjson"
local h = require "spec.helper"

describe("seerstack import", function()
  local api = h.standin()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function write(first, last)
    local lines = {}
    for i = first, last do
      lines[#lines + 1] = ('{"name":"a.b","data":{"i":%d}}\n'):format(i)
    end
    h.shell.write(path, table.concat(lines))
  end

  local function import(options, ...)
    return h.tool.ask(api, { "import", path, ... }, options)
  end

  it("records each line once, as it stands, and counts", function()
    h.shell.write(path, '{"name":"a.b","user_id":"u","x":[],"y":1.50}\n\n'
      .. '  {"name":"c.d","data":{},"timestamp":"2025-01-04T12:00:00Z"}')
    local result = h.ended_well(import())
    assert.equal("2 delivered, 0 rejected, 0 left\n", result.stdout)
    local bodies = {}
    for i, event in ipairs(api:events()) do
      bodies[i] = event.body
    end
    table.sort(bodies)
    assert.matches('^{"name":"a.b","user_id":"u","timestamp":"[^"]*",'
      .. '"[xy]":[^,]*,"[xy]":[^,]*}$', bodies[1])
    assert.matches('"x":[]', bodies[1], 1, true)
    assert.matches('"y":1.5', bodies[1], 1, true)
    assert.equal('{"name":"c.d","timestamp":"2025-01-04T12:00:00Z","data":{}}',
      bodies[2])
  end)

  it("names the line that is wrong, and sends nothing", function()
    for line, message in pairs {
      ['{"name":""}'] = "name: a non-empty string is required",
      ['{"name":"a.b"'] = "no ',' or '}' at byte 14",
      ["7"] = "no JSON object",
      ['{"name":"a.b","x":1e999}'] = "1e999 is too large at byte 19",
    } do
      h.shell.write(path, '{"name":"a.b"}\n' .. line .. "\n")
      local result = import()
      assert.equal("seerstack: " .. path .. ":2: " .. message
        .. "; nothing was sent\n", result.stderr)
      assert.equal(2, result.status)
    end
    assert.equal(0, api:status().requests)
    local result = h.tool.ask(api, { "import", "/no/file" })
    assert.equal(2, result.status)
    assert.matches("/no/file: No such file", result.stderr, 1, true)
  end)

  it("names the lines that the API rejects, and goes on", function()
    h.shell.write(path, '{"name":"a.b","timestamp":"yesterday"}\n'
      .. '{"name":"c.d"}\n')
    local result = import(nil, "--json")
    assert.equal(1, result.status)
    assert.matches("^[^\n]*:1: rejected: 400 timestamp [^\n]*\n$",
      result.stderr)
    assert.same({ lines = 2, delivered = 1, rejected = 1, left = 0 },
      cjson.decode(result.stdout))
    assert.equal(1, api:count())
  end)

  it("takes users, one after the other", function()
    h.shell.write(path, '{"user_id":"u","email":"1"}\n'
      .. '{"user_id":"u","email":"2"}\n')
    h.ended_well(import(nil, "--identify"))
    local events = api:events()
    assert.equal("/identify", events[2].path)
    assert.equal('{"user_id":"u","email":"2"}', events[2].body)
  end)

  it("sends those lines that --from names, the last and all after it",
    function()
      write(1, 6)
      h.ended_well(import(nil, "--from", "2,5"))
      local found = {}
      for _, event in ipairs(api:events()) do
        found[#found + 1] = h.body_of(event).data.i
      end
      table.sort(found)
      assert.same({ 2, 5, 6 }, found)
      for _, text in ipairs { "0", "x", "3,2", "" } do
        assert.equal(2, import(nil, "--from", text).status)
      end
    end)

  -- The rate limit holds it up in the middle, where it is interrupted.
  it("is interrupted, and goes on so that each event arrives once", function()
    write(1, 150)
    local running = h.tool.start({ "import", path, "--rate-limit", "100" },
      { env = h.environment(api.url, api.key) })
    h.wait(function() return api:count() == 95 end, 20)
    running:kill "INT"
    local result = running:wait()
    assert.equal(130, result.status)
    assert.equal("95 delivered, 0 rejected, 55 left\n", result.stdout)
    local from = result.stderr:match "%-%-from (%S+)\n$"
    assert.equal("96", from)
    h.ended_well(import(nil, "--from", from))
    h.assert_received(api, 150)
  end)

  it("is interrupted at any moment, and loses and repeats nothing", function()
    write(1, 400)
    local from, rounds = "1", 0
    while from and rounds < 8 do
      rounds = rounds + 1
      local before = api:count()
      local running = h.tool.start({ "import", path, "--from", from },
        { env = h.environment(api.url, api.key) })
      h.wait(function()
        return running:done() or api:count() > before + 40
      end, 20)
      if not running:done() then
        running:kill "INT"
      end
      from = running:wait().stderr:match "%-%-from (%S+)"
    end
    if from then
      h.ended_well(import(nil, "--from", from))
    end
    h.assert_received(api, 400)
  end)

  it("stops when the key is refused, and says where", function()
    write(1, 5)
    local result = import { env = { SEERSTACK_API_KEY = "sk_other" } }
    assert.equal(4, result.status)
    assert.equal("0 delivered, 0 rejected, 5 left\n", result.stdout)
    assert.matches("%-%-from 1\n", result.stderr)
    assert.matches("\nseerstack: 401 Missing or invalid API key\n$",
      result.stderr)
  end)

  it("draws a bar on a terminal", function()
    write(1, 3)
    local command = h.shell.join { h.script.interpreter, "bin/seerstack",
      "import", path }
    local result = h.script.run {
      commands = "script -qec " .. h.shell.quote(command) .. " /dev/null\n",
      env = h.environment(api.url, api.key),
    }
    assert.matches("%[=+%] 3 of 3", result.stdout)
    assert.equal(0, result.status)
  end)
end)
