-- What disks, files and other programs do wrong: delivery goes on, a line
-- tells, and nothing is lost that another process could still find.

local h = require "spec.helper"
local sqlite = require "seerstack.sqlite"

local OUTAGE = { fail_status = 503 }
local WORKS = { fail_status = false }

describe("a store in a directory", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local function fill(count)
    api:config(OUTAGE)
    disk:leave(api, 1, count)
    assert.equal(count, disk:totals().nobodys)
    api:config(WORKS)
  end

  local function shell(command, ...)
    assert.equal(0, h.shell.run(command:format(...)))
  end

  -- What is done to a new directory, and what a line says of it then.
  local UNUSABLE = {
    { "without a parent", function(d)
      d.directory = d.directory .. "/no/parent"
    end, "No such file or directory" },
    { "that is a file", function(d)
      h.shell.write(d.directory, "")
    end, "Not a directory" },
    { "on a file system that may be a network's", function(d)
      d.directory = "/proc"
    end, "btrfs, zfs and f2fs are known to do" },
    { "with a database of another program", function(d)
      shell("mkdir %s && sqlite3 %s 'CREATE TABLE t(x)'",
        h.shell.quote(d.directory), d:path "queue.db")
    end, "queue.db is not one of seerstack.sqlite" },
    { "whose database has a trigger", function(d)
      d:run(api, "capture(client, 1, 1) assert(client:flush(25))")
      api:reset()
      d:sql("CREATE TRIGGER x AFTER INSERT ON event BEGIN "
        .. "DELETE FROM event; END", true)
    end, "queue.db is not one of seerstack.sqlite" },
    { "whose database has a view for a table", function(d)
      d:run(api, "capture(client, 1, 1) assert(client:flush(25))")
      api:reset()
      d:sql("ALTER TABLE owner RENAME TO o; "
        .. "CREATE VIEW owner AS SELECT id FROM o", true)
    end, "queue.db is not one of seerstack.sqlite" },
    { "with a pipe for a database", function(d)
      shell("mkdir %s && mkfifo %s", h.shell.quote(d.directory),
        d:path "queue.db")
    end, "queue.db: Invalid argument" },
    { "of a newer version", function(d)
      shell("mkdir %s && sqlite3 %s 'PRAGMA user_version=2'",
        h.shell.quote(d.directory), d:path "queue.db")
    end, "queue.db was made by a newer version of seerstack.sqlite" },
  }

  for _, case in ipairs(UNUSABLE) do
    it(case[1] .. " keeps no event from being delivered", function()
      case[2](disk)
      local result = disk:run(api, [[
        capture(client, 1, 200)
        assert(client:flush(25))
        assert(client:stats().delivered == 200)
      ]])
      assert.equal(0, result.status)
      assert.matches("^seerstack: warn: store: failing, events are kept in "
        .. "memory alone: [^\n]*" .. case[3] .. "\n$", result.stderr)
      h.assert_received(api, 200)
    end)
  end

  -- What is done to the files while a process has them, which has stored 50
  -- events and cannot send them, and how many of these are still there.
  local SPOILT = {
    { "is removed", "rm -r %s" },
    { "is renamed", "mv %s %s.old" },
    { "loses its database", "rm %s/queue.db" },
    { "loses its log", "rm %s/queue.db-wal" },
    { "loses the index of its log", "rm %s/queue.db-shm" },
    { "gets another lock", "rm %s/lock && touch %s/lock" },
    { "gets another database", "cp %s/queue.db %s/x && mv %s/x %s/queue.db" },
    { "gets a database of noise", "head -c 99999 /dev/urandom >%s/x && "
        .. "mv %s/x %s/queue.db" },
  }

  for _, case in ipairs(SPOILT) do
    it("that " .. case[1] .. " while it is used begins anew", function()
      api:config(OUTAGE)
      local child = disk:start(api, [[
        capture(client, 1, 50)
        assert(client:persist(25))
        tell "stored"
        while not io.open(arg[1]) do
          socket.sleep(0.01)
        end
        local last = 50
        repeat
          last = last + 1
          capture(client, last, last)
          client:persist(0.02)
          local store = client:stats().store
        until store.state == "open" and store.error
        last = last + 1
        capture(client, last, last)
        tell("again", last)
        assert(client:flush(25))
      ]], { args = { disk.parents .. "/go" } })
      h.says(child, "stored", 10)
      shell("%s", (case[2]:gsub("%%s", h.shell.quote(disk.directory))))
      h.shell.write(disk.parents .. "/go", "")
      h.says(child, "again", 20)
      h.wait(function() return disk:totals().events > 0 end, 10)
      api:config(WORKS)
      local result = child:wait()
      assert.equal(0, result.status, result.stderr)
      assert.matches("was removed or replaced\n", result.stderr, 1, true)
      h.assert_received(api, tonumber(result.stdout:match "again%s+(%d+)"))
    end)
  end

  it("finds a corrupt database, sets it aside, and goes on", function()
    fill(300)
    shell("sqlite3 %s 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null",
      disk:path "queue.db")
    shell("dd if=/dev/urandom of=%s bs=4096 seek=1 count=20 conv=notrunc "
      .. "2>/dev/null && rm -f %s*", disk:path "queue.db",
      disk:path "queue.db-")
    local result = disk:run(api, [[
      capture(client, 1, 200)
      assert(client:flush(25))
      while client:stats().store.state ~= "open" do
        socket.sleep(0.01)
      end
      capture(client, 201, 210)
      assert(client:persist(25))
      assert(client:flush(25))
    ]])
    assert.equal(0, result.status, result.stderr)
    assert.matches("queue%.db was corrupt; it is queue%.db%.corrupt%-%d+ now",
      result.stderr)
    assert.equal(210, api:count())
    assert.equal(0, disk:totals().events)
    assert.equal("1", h.shell.output(("ls %s | grep -c 'corrupt-[0-9]*$'")
      :format(h.shell.quote(disk.directory))))
  end)

  it("finds one that is no database when it opens it, and goes on", function()
    fill(10)
    shell("rm %s* && head -c 8192 /dev/urandom >%s", disk:path "queue.db-",
      disk:path "queue.db")
    local result = disk:run(api, [[
      capture(client, 1, 20)
      assert(client:persist(25))
      assert(client:stats().store.state == "open")
      assert(client:flush(25))
    ]])
    assert.equal(0, result.status, result.stderr)
    assert.matches("^seerstack: warn: store: [^\n]*queue%.db was corrupt; it "
      .. "is queue%.db%.corrupt%-%d+ now\n$", result.stderr)
    h.assert_received(api, 20)
    assert.equal(0, disk:totals().events)
  end)

  it("survives a bit that is flipped in any page", function()
    fill(300)
    shell("sqlite3 %s 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null",
      disk:path "queue.db")
    local whole = h.shell.read(disk.directory .. "/queue.db")
    for at = 0, #whole - 1, 4096 do
      local place = at + (at / 4096 * 37) % 100
      local changed = string.char((whole:byte(place + 1) + 64) % 256)
      shell("rm -f %s*", disk:path "queue.db")
      h.shell.write(disk.directory .. "/queue.db",
        whole:sub(1, place) .. changed .. whole:sub(place + 2))
      api:reset()
      local result = disk:run(api, [[
        capture(client, 1001, 1050)
        assert(client:flush(25))
      ]], { with = "log_level = 'off'" })
      assert.equal(0, result.status, at .. ": " .. result.stderr)
      local fresh = 0
      for _, event in ipairs(api:events()) do
        fresh = fresh + (event.body:find '"i":10%d%d}' and 1 or 0)
      end
      assert.equal(50, fresh, at)
    end
  end)

  -- What somebody has written into the tables, and how many of 20 events are
  -- sent; the others were of no use.
  local WRITTEN = {
    { "UPDATE event SET kind = -1 WHERE id = 7", 0, "was corrupt" },
    { "UPDATE event SET kind = 4294967297 WHERE id = 7", 19 },
    { "UPDATE event SET uuid = 'abc' WHERE id = 7", 0, "was corrupt" },
    { "UPDATE event SET body = NULL, body = '' WHERE id = 7", 0, "corrupt" },
    { "UPDATE event SET mono = -9223372036854775808, tries = -1, "
        .. "wall = 9223372036854775807, user = 'x' WHERE id = 7", 19 },
    { "UPDATE event SET boot = 1, wall = -9223372036854775808 WHERE id = 7",
      19 },
    { "UPDATE total SET n = 9223372036854775807", 20 },
    { "ALTER TABLE event ADD COLUMN fresh NOT NULL DEFAULT 7", 20 },
    { "INSERT INTO owner VALUES(4611686018427387904), (-5)", 20 },
  }

  for _, case in ipairs(WRITTEN) do
    it("survives " .. case[1], function()
      fill(20)
      disk:sql(case[1], true)
      local result = disk:run(api, [[
        assert(client:persist(25))
        local last = socket.gettime() + 10
        while (client:stats().store.state ~= "open"
          or client:stats().store.delivered < tonumber(arg[1]))
          and socket.gettime() < last do
          socket.sleep(0.01)
        end
        capture(client, 101, 150)
        assert(client:flush(25))
      ]], { args = { case[2] } })
      assert.equal(0, result.status, result.stderr)
      assert.matches(case[3] or "^[^\n]*\n?$", result.stderr)
      assert.equal(case[2] + 50, api:count())
    end)
  end

  it("waits for nobody who is stopped while he is in it", function()
    fill(100)
    local holder = h.start { code = [[
      native.hold_byte(arg[1])
      tell "held"
      socket.sleep(100)
    ]], args = { disk.directory .. "/lock" }, env = h.environment("", "") }
    h.says(holder, "held", 10)
    holder:kill "STOP"
    local result = disk:run(api, [[
      capture(client, 201, 300)
      assert(client:flush(25))
      assert(client:stats().delivered == 100)
    ]])
    assert.equal(0, result.status, result.stderr)
    assert.matches("another process is in it and does not come out",
      result.stderr, 1, true)
    assert.equal(100, api:count())
    holder:kill "CONT"
    holder:finish()
    h.ended_well(disk:drain(api))
    assert.equal(200, api:count())
  end)

  it("stores nothing more while somebody keeps the log from being used "
    .. "again, and then goes on", function()
    fill(10)
    api:config(OUTAGE)
    local reader = h.start {
      commands = ("(echo 'BEGIN; SELECT count(*) FROM event;'; exec sleep 100)"
        .. " | sqlite3 %s\n"):format(disk:path "queue.db"),
    }
    h.says(reader, "10", 10)
    local child = disk:start(api, [[
      local pad, sent = ("x"):rep(20000), 0
      repeat
        for _ = 1, 20 do
          sent = sent + 1
          assert(client.events.capture { name = "a.b",
            data = { i = sent, pad = pad } })
        end
        client:persist(2)
      until client:stats().store.state == "full"
      tell("full " .. sent)
      assert(client:flush(60))
    ]], { open = "max_bytes = 8388608",
      with = "log_level = 'off', max_queue_events = 100000, "
        .. "max_queue_bytes = 2^28", timeout = 90 })
    h.says(child, "full", 60)
    local sent = tonumber(child:stdout():match "full (%d+)")
    assert.equal("", child:stderr())
    assert.is_true(disk:totals().log < 6 * 1048576, disk:totals().log)
    reader:finish()
    api:config(WORKS)
    h.ended_well(child)
    h.ended_well(disk:drain(api, { timeout = 60 }))
    assert.equal(10 + sent, api:count())
  end)

  it("that was full has what stayed in memory, though no event comes",
    function()
      api:config(OUTAGE)
      local child = disk:start(api, [[
        local pad, last = ("x"):rep(20000), 0
        repeat
          last = last + 1
          assert(client.events.capture { name = "a.b",
            data = { i = last, pad = pad } })
          client:persist(0.02)
        until client:stats().store.state == "full"
        tell("full " .. last)
        assert(client:persist(25))
        local store = client:stats().store
        assert(store.state == "open" and store.unsaved == 0)
      ]], { open = "max_bytes = 8388608",
        with = "log_level = 'off', exit_timeout = 0, "
          .. "max_queue_bytes = 2^22", timeout = 60 })
      h.says(child, "full", 40)
      local last = tonumber(child:stdout():match "full (%d+)")
      local removed = h.wait(function()
        return sqlite.purge(disk.directory)
      end, 10)
      h.ended_well(child)
      assert.is_true(removed > 0)
      assert.equal(last - removed, disk:totals().events)
    end)

  it("that is full takes the oldest of nobody's for new ones, if it may",
    function()
      api:config(OUTAGE)
      for n = 1, 3 do
        h.ended_well(disk:start(api, ([[
          local pad = ("x"):rep(10000)
          for i = 1, 400 do
            client.events.capture { name = "a.b",
              data = { i = %d + i, pad = pad } }
          end
          client:persist(10)
        ]]):format(n * 1000), { open = "max_bytes = 8388608",
          with = "exit_timeout = 0, log_level = 'off', "
            .. "overflow = 'drop_oldest'" }))
      end
      local totals = disk:totals()
      assert.is_true(totals.bytes <= 2 * 8388608, totals.bytes)
      assert.equal("3400",
        disk:sql "SELECT max(json_extract(body, '$.data.i')) FROM event")
      assert.is_true(totals.events > 300 and totals.events < 1000)
      assert.equal(tostring(totals.events),
        disk:sql "SELECT count(*) FROM event")
    end)

  it("throws nothing away for new ones that do not fit anyway", function()
    fill(300)
    api:config(OUTAGE)
    h.ended_well(disk:start(api, [[
      assert(client:persist(25))
      assert(client.events.capture { name = "a.b",
        data = { i = 301, pad = ("x"):rep(9000000) } })
      repeat until client:persist(1) == nil
        and client:stats().store.state == "full"
      assert(client:stats().store.displaced == 0)
    ]], { open = "max_bytes = 8388608", with = "exit_timeout = 0, "
      .. "log_level = 'off', overflow = 'drop_oldest', "
      .. "max_event_bytes = 2^24, max_queue_bytes = 2^25" }))
    assert.equal(300, disk:totals().events)
  end)

  it("stores of large events those for which it has room", function()
    api:config(OUTAGE)
    h.ended_well(disk:start(api, [[
      local pad = ("x"):rep(500000)
      for i = 1, 20 do
        assert(client.events.capture { name = "a.b",
          data = { i = i, pad = pad } })
      end
      repeat client:persist(0.02)
      until client:stats().store.state == "full"
    ]], { open = "max_bytes = 8388608", with = "exit_timeout = 0, "
      .. "log_level = 'off', max_queue_bytes = 2^26" }))
    assert.is_true(disk:totals().events >= 12, disk:totals().events)
  end)

  it("goes on with a copy that SQLite's shell has made", function()
    fill(10)
    shell("cd %s && sqlite3 queue.db \"VACUUM INTO 'copy'\" && rm queue.db* "
      .. "&& mv copy queue.db", h.shell.quote(disk.directory))
    api:config(OUTAGE)
    for first = 11, 31, 20 do
      h.ended_well(disk:start(api, [[
        capture(client, tonumber(arg[1]), arg[1] + 19)
        assert(client:persist(25))
        assert(not client:stats().store.error)
      ]], { args = { first }, with = "exit_timeout = 0, log_level = 'off'" }))
    end
    api:config(WORKS)
    h.ended_well(disk:drain(api))
    assert.equal(50, api:count())
    assert.equal("", disk:leftovers())
  end)

  it("drains a large backlog, and the file shrinks", function()
    fill(1)
    disk:sql([[
      WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n
        WHERE i < 20000)
      INSERT INTO event(api, owner, kind, boot, mono, wall, uuid, body)
        SELECT api, owner, kind, boot, mono, wall, randomblob(16),
          json_object('name', 'a.b', 'data', json_object('i', n.i,
            'pad', printf('%.*c', 200, 'x')))
        FROM event, n;
      UPDATE total SET n = 20000]], true)
    api:config { keep = false }
    h.ended_well(disk:drain(api, { timeout = 120 }))
    assert.equal(20000, api:count())
    h.ended_well(disk:drain(api))
    assert.is_true(tonumber(h.shell.output("stat -c %s "
      .. disk:path "queue.db")) < 1048576)
  end)
end)
