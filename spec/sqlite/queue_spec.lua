local cjson = require "cjson"
local h = require "spec.helper"
local script = require "spec.support.script"

describe("seerstack queue", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local function queue(...)
    return h.tool.ask(api, { "queue", disk.directory, ... })
  end

  local function fill()
    api:config { fail_status = 503 }
    h.ended_well(disk:start(api, [[
      capture(client, 1, 600)
      assert(client.users.identify { user_id = "u", name = "N" })
      assert(client:persist(25))
    ]], { with = "exit_timeout = 0, log_level = 'off'" }))
    api:config { fail_status = false }
  end

  it("counts what is there", function()
    fill()
    local text = h.ended_well(queue()).stdout
    assert.matches("^events +601\nof nobody's +601\n"
      .. "oldest of these +%d+ s\nprocesses +0\nfiles +%d+ bytes\n"
      .. "log +%d+ bytes\n$", text)
    local child = disk:hold(api, 1)
    local totals = cjson.decode(h.ended_well(queue "--json").stdout)
    child:finish()
    assert.equal(1, totals.owners)
    assert.is_true(totals.bytes > totals.log and totals.log > 0)
  end)

  it("exports rows that import takes, and forgets them when told to",
    function()
      fill()
      local lines = h.ended_well(queue "--export").stdout
      assert.equal(600, select(2, lines:gsub("\n", "")))
      local path = disk.parents .. "/left.jsonl"
      h.shell.write(path, lines)
      h.ended_well(h.tool.ask(api, { "import", path, "--rate-limit",
        "1000000" }, { timeout = 60 }))
      h.assert_received(api, 600)
      assert.equal('{"user_id":"u","name":"N"}\n',
        h.ended_well(queue("--export", "--identify")).stdout)
      assert.equal("601 removed\n", h.ended_well(queue "--purge").stdout)
      assert.equal(0, disk:totals().events)
    end)

  it("sends what the present key may send", function()
    fill()
    assert.equal("601 delivered, 0 rejected, 0 dropped, 0 left\n",
      h.ended_well(queue "--drain").stdout)
    assert.equal(601, api:count())
  end)

  -- Where its processes died, it was another boot.
  it("sends what is in the files of another machine", function()
    api:config { fail_status = 503 }
    local child = disk:hold(api, 50)
    child:kill "KILL"
    child:wait()
    disk:sql("UPDATE event SET boot = boot + 1", true)
    local copy = h.disks.new(disk.parents .. "/it's a copy; $HOME %s")
    h.shell.run(("mkdir -p %s && cp %s* %s"):format(copy:path "",
      disk:path "queue.db", copy:path ""))
    api:config { fail_status = false }
    assert.equal("50 delivered, 0 rejected, 0 dropped, 0 left\n",
      h.ended_well(h.tool.ask(api, { "queue", copy.directory, "--drain" }))
        .stdout)
    h.assert_received(api, 50)
  end)

  it("takes a directory's name for no URI of SQLite's", function()
    disk.directory = disk.parents .. "/file:x?mode=ro"
    fill()
    local cpath = (";" .. package.cpath):gsub(";build/",
      ";" .. h.host.root .. "/build/")
    local text = h.shell.output(h.shell.join { "cd", disk.parents } .. " && "
      .. h.shell.join { "env", "LUA_CPATH=" .. cpath, script.interpreter,
        h.host.root .. "/bin/seerstack", "queue", "file:x?mode=ro" })
    assert.matches("^events +601\n", text)
  end)

  it("says what is wrong", function()
    local result = queue()
    assert.equal(2, result.status)
    assert.matches("^seerstack: [^\n]*No such file or directory\n$",
      result.stderr)
    h.shell.run("mkdir " .. h.shell.quote(disk.directory))
    result = queue()
    assert.equal("seerstack: there is no queue.db in it\n", result.stderr)
    assert.equal("", h.shell.output("ls " .. h.shell.quote(disk.directory)))
  end)
end)
