-- The server of Minetest with the mod of the example. A real client joins it
-- on a virtual screen; what a client does not do by itself is done by a second
-- mod, which calls what mods have registered, as the engine does.

local cjson = require "cjson"
local h = require "spec.helper"

local DRIVER = [[
local player = {
  get_player_name = function() return "ada" end,
  is_player = function() return true end,
}
local function joins()
  for _, f in ipairs(minetest.registered_on_joinplayers) do
    pcall(f, player, nil)
  end
end
local function says(text)
  for _, f in ipairs(minetest.registered_on_chat_messages) do
    f("ada", text)
  end
end
local function leaves()
  for _, f in ipairs(minetest.registered_on_leaveplayers) do
    pcall(f, player, true)
  end
end
minetest.after(0, function()
  --[=[code]=]
  minetest.log("error", "driver: done")
end)
]]

-- Since Debian 13 Minetest is called Luanti, and has its game for tests
-- elsewhere.
local LUANTI = "/usr/libexec/luanti/luantiserver"
local SERVER = h.shell.run("test -x " .. LUANTI) == 0 and LUANTI
  or "/usr/lib/minetest/minetestserver"

describe("the server of Minetest", function()
  local api = h.own_standin({ key = h.host.key() }, h.host.clean_up)

  -- Options: env, trusted (false: nobody is), cpath.
  local function run(code, options)
    options = options or {}
    local directory = h.host.directory "minetest"
    local mods = directory .. "/world/worldmods/"
    assert.equal(0, h.shell.run(h.shell.join {
      "mkdir", "-p", mods .. "seerstack", mods .. "driver" }))
    for _, file in ipairs { "init.lua", "mod.conf" } do
      h.host.copy("minetest/seerstack/" .. file, mods .. "seerstack")
    end
    h.shell.write(mods .. "driver/mod.conf",
      "name = driver\ndepends = seerstack\n")
    h.shell.write(mods .. "driver/init.lua",
      h.host.replace(DRIVER, { ["--[=[code]=]"] = code }))
    h.shell.write(directory .. "/world/world.mt",
      "gameid = devtest\nbackend = dummy\nplayer_backend = dummy\n"
        .. "auth_backend = files\n")
    h.shell.write(directory .. "/minetest.conf", "name = admin\n"
      .. (options.trusted == false and ""
        or "secure.trusted_mods = seerstack\n"))
    local port = h.host.port()
    local started = h.host.start {
      command = h.shell.join { SERVER,
        "--config", directory .. "/minetest.conf", "--gameid", "devtest",
        "--world", directory .. "/world", "--logfile", "",
        "--port", tostring(port) },
      directory = directory,
      env = h.merge({
        HOME = directory, SEERSTACK_API_KEY = api.key,
        MINETEST_GAME_PATH = "/usr/share/luanti/autopkgtest/games",
        SEERSTACK_BASE_URL = api.url,
        LUA_CPATH = options.cpath
          or h.host.cpath(directory, "luajit") .. ";;",
      }, options.env),
    }
    started.port = port
    h.wait(function()
      return started:done() or started:stderr():find "driver: done"
    end, 30)
    return started
  end

  -- The names of the events, each with its text, and which must differ in
  -- their keys.
  local function arrived()
    local found, keys = {}, {}
    for _, event in ipairs(api:events()) do
      local key = event.headers["idempotency-key"]
      assert.is_nil(keys[key], "twice")
      keys[key] = true
      local body = cjson.decode(event.body)
      found[body.name] = (found[body.name] or 0) + 1
    end
    return found
  end

  local PLAY = "joins() for i = 1, 50 do says('hello ' .. i) end leaves() "
  local ALL = {
    ["player.joined"] = 1, ["player.left"] = 1, ["chat.sent"] = 50,
    ["server.stopped"] = 1,
  }

  for _, signal in ipairs { "TERM", "INT" } do
    it("delivers all at SIG" .. signal, function()
      local started = run(PLAY)
      started:kill(signal)
      local result = started:wait(30)
      assert.equal(0, result.status, result.stderr)
      assert.same(ALL, arrived())
    end)
  end

  it("delivers all at /shutdown, when the API is slow", function()
    api:config { delay = 1 }
    local started = run("joins() says 'hello' leaves() "
      .. "minetest.registered_chatcommands.shutdown.func('admin', '')")
    local result = started:wait(30)
    assert.equal(0, result.status, result.stderr)
    assert.same({
      ["player.joined"] = 1, ["player.left"] = 1, ["chat.sent"] = 1,
      ["server.stopped"] = 1,
    }, arrived())
  end)

  it("hears of a real client that joins", function()
    local screen = h.start {
      timeout = 120,
      commands = "exec Xvfb -displayfd 1 -screen 0 640x480x24 -nolisten tcp\n",
    }
    local display = h.wait(function()
      assert(not screen:done(), screen:stderr())
      return screen:stdout():match("^(%d+)\n")
    end, 20, 0.02, "the X server")
    local started = run ""
    local directory = h.host.directory "minetest-client"
    local player = h.host.start {
      command = h.shell.join { "/usr/games/minetest", "--address",
        "127.0.0.1", "--port", tostring(started.port), "--name", "ada",
        "--password", "secret", "--go" },
      directory = directory,
      env = {
        HOME = directory, DISPLAY = ":" .. display,
        LIBGL_ALWAYS_SOFTWARE = "1", ALSOFT_DRIVERS = "null",
      },
    }
    h.wait(function()
      assert(not player:done(), player:stderr())
      return api:count() == 1
    end, 60)
    started:kill "TERM"
    assert.equal(0, started:wait(30).status)
    player:kill "KILL"
    screen:kill "KILL"
    screen:wait(10)
    local body = cjson.decode(api:events()[1].body)
    body.timestamp = nil
    assert.same({
      name = "player.joined", user_id = "ada", data = { first = true },
    }, body)
    -- A server that ends tells no mod that its players leave, but hears of a
    -- client that has gone before.
    local all = arrived()
    all["player.left"] = nil
    assert.same({ ["player.joined"] = 1, ["server.stopped"] = 1 }, all)
  end)

  it("says who has joined and what was said by whom", function()
    local started = run "joins() says 'hello'"
    h.wait(function() return api:count() == 2 end, 20)
    local bodies = {}
    for _, event in ipairs(api:events()) do
      local body = cjson.decode(event.body)
      bodies[body.name] = body
    end
    assert.equal("ada", bodies["player.joined"].user_id)
    assert.same({ first = true }, bodies["player.joined"].data)
    assert.equal("ada", bodies["chat.sent"].user_id)
    assert.same({ length = 5 }, bodies["chat.sent"].data)
    started:kill "TERM"
    assert.equal(0, started:wait(30).status)
  end)

  it("delivers what was captured before an error of a mod", function()
    local started = run(PLAY .. "error 'broken'")
    local result = started:wait(30)
    assert.not_equal(0, result.status)
    assert.matches("broken", result.stderr)
    local found = arrived()
    found["server.stopped"] = nil
    assert.same({
      ["player.joined"] = 1, ["player.left"] = 1, ["chat.sent"] = 50,
    }, found)
  end)

  -- Whatever is missing, the server runs until it is told to stop.
  local function assert_off(reason, options)
    local started = run("joins() says 'hello'", options)
    started:kill "TERM"
    local result = started:wait(30)
    assert.equal(0, result.status, result.stderr)
    local _, count = result.stderr:gsub("analytics are off: ", "")
    assert.equal(1, count, result.stderr)
    assert.matches(reason, result.stderr, 1, true)
    assert.equal(0, api:count())
  end

  it("comes up without a key", function()
    assert_off("SEERSTACK_API_KEY is missing",
      { env = { SEERSTACK_API_KEY = false } })
  end)

  it("comes up without the module", function()
    assert_off("module 'seerstack' not found", { cpath = "/nowhere/?.so" })
  end)

  it("comes up where the mod is not trusted", function()
    assert_off("secure.trusted_mods", { trusted = false })
  end)
end)
