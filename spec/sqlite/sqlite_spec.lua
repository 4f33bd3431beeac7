-- Events that outlive their process, in a directory.

local h = require "spec.helper"
local sqlite = require "seerstack.sqlite"

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }

describe("seerstack.sqlite", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  h.keeping.specs(api, disk, { events = 1000, rest = 100, opens = {
    ["for process "] = "durability = 'process'",
    ["for power "] = "durability = 'power'",
  } })

  it("says what is wrong with an option", function()
    local long = "/" .. ("x"):rep(479)
    for message, options in pairs {
      ["option 'directory': a path expected, got nil"] = {},
      ["option 'directory': a path expected, got number"] = { directory = 7 },
      ["option 'directory': a path expected, got string"] =
        { directory = "a\0b" },
      ["option 'directory': a path of at most 479 bytes expected, got "
        .. "string"] = { directory = long },
      ["option 'max_bytes': an integer from 8388608 (8 MiB) to 2^50 expected, "
        .. "got number"] = { directory = "/x", max_bytes = 8388607 },
      ["option 'durability': 'process' or 'power' expected, got string"] =
        { directory = "/x", durability = "full" },
      ["option 'group': boolean expected, got number"] =
        { directory = "/x", group = 1 },
      ["unknown option 'path'"] = { path = "/x" },
      ["unknown option 'group\\0x'"] = { ["group\0x"] = true },
    } do
      h.assert_raises_with("bad argument #1 to 'open' (" .. message .. ")",
        sqlite.open, options)
    end
  end)

  it("takes no text with a zero for what stands before that", function()
    for name, value in pairs {
      directory = "/x\0y", durability = "power\0x",
    } do
      local options = { directory = "/x" }
      options[name] = value
      h.assert_raises_with("option '" .. name .. "'",
        sqlite.open, options)
    end
    h.assert_raises_with("a path of at most 479 bytes expected",
      sqlite.totals, "/\0x")
  end)

  it("exports one symbol, and needs SQLite and the C library only", function()
    local path = h.library "seerstack/sqlite"
    assert.matches("^%x+ T luaopen_seerstack_sqlite$",
      h.shell.output("nm -D --defined-only " .. h.shell.quote(path)))
    assert.equal("libsqlite3.so.0",
      h.shell.output("objdump -p " .. h.shell.quote(path)
        .. " | awk '/NEEDED/ && !/libc\\.so/ && !/san\\.so/ { print $2 }'"))
  end)

  local function modes(options)
    h.ended_well(disk:start(api, [[
      assert(not io.open(arg[1] .. "/queue.db"))
      capture(client, 1, 1)
      assert(client:flush(25))
    ]], h.merge(options, { args = { disk.directory } })))
    return h.shell.output(
      ("cd %s && stat -c %%a . lock queue.db* | tr '\n' ' '")
        :format(h.shell.quote(disk.directory))):match "^(.-) *$"
  end

  it("makes files for its user alone, at the first event", function()
    assert.equal("700 600 600 600 600", modes {})
  end)

  it("makes files that it can use, whatever the umask", function()
    assert.equal("700 600 600 600 600",
      modes { prefix = [[bash -c 'umask 0777; exec "$@"' -]] })
  end)

  it("lets a group take part, if it is asked to", function()
    assert.equal("2770 660 660 660 660", modes { open = "group = true" })
  end)

  it("adopts past what a stopped process has", function()
    api:config(OUTAGE)
    local first = disk:start(api, [[
      assert(client.users.identify { user_id = "u", name = "first" })
      assert(client:persist(25))
      tell "stored"
      socket.sleep(100)
    ]])
    h.says(first, "stored", 10)
    first:kill "STOP"
    h.ended_well(disk:start(api, [[
      for i = 1, 600 do
        assert(client.users.identify { user_id = "u", name = "n" .. i })
      end
      capture(client, 1, 200)
      assert(client:persist(25))
    ]], { with = "exit_timeout = 0, log_level = 'off'" }))
    assert.equal(800, disk:totals().nobodys)
    api:config(WORKS)
    h.ended_well(disk:start(api, [[
      assert(client:persist(25))
      while client:stats().store.delivered < 200 do
        socket.sleep(0.02)
      end
    ]], { with = "exit_timeout = 0, log_level = 'off'" }))
    local captures = 0
    for _, event in ipairs(api:events()) do
      assert.equal("/capture", event.path)
      captures = captures + 1
    end
    assert.equal(200, captures)
    first:kill "CONT"
    h.wait(function() return api:count() >= 201 end, 10)
    h.ended_well(disk:drain(api))
    first:finish()
    local last, users = "first", 0
    for _, event in ipairs(api:events()) do
      if event.path == "/identify" then
        last, users = h.body_of(event).name, users + 1
      end
    end
    assert.equal(601, users)
    assert.equal("n600", last)
  end)

  it("sends an event by itself that ten processes have died with", function()
    api:config(OUTAGE)
    disk:leave(api, 1, 20)
    disk:sql("UPDATE event SET tries = 10 WHERE id <= 5", true)
    api:config(WORKS)
    h.ended_well(disk:drain(api))
    h.assert_received(api, 20)
  end)

  it("does not take long for many such events of which it does not die",
    function()
      api:config(OUTAGE)
      disk:leave(api, 1, 1000)
      disk:sql("UPDATE event SET tries = 10", true)
      api:config(WORKS)
      -- One after the other, ten times a second, they would take longer.
      h.ended_well(disk:drain(api, { timeout = 60 }))
      h.assert_received(api, 1000)
    end)

  it("counts the age of what is there", function()
    api:config(OUTAGE)
    disk:leave(api, 1, 3)
    disk:sql("UPDATE event SET mono = mono - 86400000", true)
    assert.equal(86400, math.floor(disk:totals().oldest / 100) * 100)
    disk:sql("UPDATE event SET boot = 1, wall = wall - 172800000", true)
    assert.equal(172800, math.floor(disk:totals().oldest / 100) * 100)
    disk:sql("UPDATE event SET wall = wall + 999999999999", true)
    assert.equal(0, disk:totals().oldest)
  end)

  -- As containers have them that share a volume.
  it("counts ages, and who lives, over time namespaces", function()
    local elsewhere = { with = "exit_timeout = 0, log_level = 'off'",
      prefix = h.apart "-T --monotonic 100000 --boottime 100000" }
    api:config(OUTAGE)
    disk:leave(api, 1, 50, elsewhere)
    local child = disk:hold(api, 10, elsewhere)
    local totals = disk:totals()
    assert.is_true(totals.oldest < 1000, totals.oldest)
    assert.equal(1, totals.owners)
    child:kill "KILL"
    child:wait()
    assert.equal(60, disk:totals().nobodys)
    api:config(WORKS)
    h.ended_well(disk:drain(api, { with = "max_age = 3600" }))
    assert.equal(60, api:count())
  end)

end)
