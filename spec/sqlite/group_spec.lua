-- A directory that several users share, by a group. Root alone can become
-- them.

local h = require "spec.helper"

local GROUP = 61500
local ONE, OTHER, STRANGER = 61501, 61502, 61503

-- Runs a program as a user, with groups besides its own.
local function as(user, groups)
  return ([[sh -c 'chmod a+rx "${1%%/*}" && chmod a+r "$1" && exec setpriv \
    --reuid=%d --regid=%d %s -- "$0" "$@"']]):format(user, user,
    groups and "--groups=" .. groups or "--clear-groups")
end

local function can_become()
  return h.shell.run(("setpriv --reuid=%d --regid=%d --clear-groups "
    .. "test -r %s 2>/dev/null"):format(STRANGER, STRANGER,
    h.shell.quote(h.shell.output("realpath "
      .. h.library "seerstack/sqlite")))) == 0
end

describe("a directory of a group", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  local function it_users(title, f)
    it(title, function()
      if not can_become() then
        return pending("not root, or others cannot read the module")
      end
      h.shell.output(("chmod 711 %s && install -d -g %d -m 2770 %s"):format(
        h.shell.quote(disk.parents), GROUP, h.shell.quote(disk.directory)))
      f()
    end)
  end

  local function start(user, groups, code, open, args)
    return disk:start(api, code, { args = args,
      open = open or "group = true", with = "log_level = 'off'",
      prefix = as(user, groups),
    })
  end

  local function assert_files(pattern)
    local list = h.shell.output(("cd %s && stat -c '%%n %%a %%g' . *")
      :format(h.shell.quote(disk.directory)))
    local count = 0
    for line in list:gmatch "[^\n]+" do
      local what = line:sub(1, 2) == ". " and "2770" or pattern
      assert.matches("^%S+ " .. what .. " " .. GROUP .. "$", line)
      count = count + 1
    end
    assert.equal(5, count)
  end

  it_users("is used by all its users, who send what others have left",
    function()
      api:config { fail_status = 503 }
      local one = start(ONE, GROUP, [[
        capture(client, 1, 20)
        assert(client:persist(25))
        tell "stored"
        socket.sleep(100)
      ]])
      h.says(one, "stored", 20)
      local other = start(OTHER, GROUP, [[
        capture(client, 21, 40)
        assert(client:persist(25))
        tell "stored"
        while client:stats().store.delivered < 20 do
          socket.sleep(0.01)
        end
        assert(client:flush(25))
      ]])
      h.says(other, "stored", 20)
      assert_files "660"
      assert.equal(40, disk:totals().events)
      one:kill "KILL"
      one:wait()
      api:config { fail_status = false }
      h.ended_well(other)
      h.assert_received(api, 40)
    end)

  local REFUSED = [[
    capture(client, 1, 1)
    while not client:stats().store.error do
      socket.sleep(0.01)
    end
    assert(client:flush(25)) -- from memory
    local stats = client:stats()
    assert(stats.delivered == 1 and stats.store.state == "failing")
    print(stats.store.error)
  ]]

  it_users("refuses a stranger, whose events go on in memory", function()
    local result = h.ended_well(start(STRANGER, nil, REFUSED))
    assert.equal(disk.directory .. ": Permission denied\n", result.stdout)
    h.assert_received(api, 1)
  end)

  it_users("says to a stranger what he may not do", function()
    local function refused(directory)
      disk.directory = directory
      return h.ended_well(start(STRANGER, nil, REFUSED)).stdout
    end
    local directory = disk.directory
    local result = h.ended_well(start(STRANGER, nil, [[
      print(select(2, require "seerstack.sqlite".totals(arg[1])))
    ]], nil, { directory }))
    assert.equal(directory .. ": Permission denied\n", result.stdout)
    assert.equal(disk.parents .. "/other: Permission denied\n",
      refused(disk.parents .. "/other"))
    h.shell.output(("cd %s && touch lock queue.db && chmod 777 . && "
      .. "chmod 666 lock && chmod 600 queue.db")
      :format(h.shell.quote(directory)))
    assert.equal(directory .. "/queue.db: Permission denied\n",
      refused(directory))
  end)

  it_users("says so to one who may not look into it any more, and keeps the "
    .. "rows", function()
    local directory = h.shell.quote(disk.directory)
    api:config { fail_status = 503 }
    local child = start(ONE, GROUP, [[
      capture(client, 1, 20)
      assert(client:persist(25))
      tell "stored"
      local last, store = 20, nil
      repeat
        last = last + 1
        capture(client, last, last)
        client:persist(0.02)
        store = client:stats().store
      until store.state == "failing"
      print(store.error)
      tell("failing", last)
      assert(client:flush(25))
      assert(client:persist(25))
    ]])
    h.says(child, "stored", 20)
    h.shell.output("chmod 0 " .. directory)
    h.says(child, "failing", 20)
    h.shell.output("chmod 2770 " .. directory)
    api:config { fail_status = false }
    local result = h.ended_well(child)
    assert.matches(disk.directory .. ": Permission denied\n", result.stdout,
      1, true)
    h.assert_received(api, tonumber(result.stdout:match "failing%s+(%d+)"))
    assert.equal("", disk:leftovers())
  end)

  it_users("is for one user alone if that makes the files without `group`",
    function()
      h.ended_well(start(ONE, GROUP, [[
        capture(client, 2, 2)
        assert(client:flush(25))
      ]], "group = false"))
      assert_files "600"
      local result = h.ended_well(start(OTHER, GROUP, REFUSED))
      assert.equal(disk.directory .. ": Permission denied\n", result.stdout)
      assert.equal(2, api:count())
    end)
end)
