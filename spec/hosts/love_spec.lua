local cjson = require "cjson"
local h = require "spec.helper"
local socket = require "socket"
local sqlite = require "seerstack.sqlite"

-- Appended to the example's main.lua: runs code of the spec in a frame.
-- `frame` counts from 1, over restarts too.
local HARNESS = [=[

local directory = os.getenv "SPEC_DIRECTORY"
local frame, update = 0, love.update
local function save(name, text)
  local file = assert(io.open(directory .. "/" .. name, "w"))
  file:write(text)
  file:close()
end
local life = io.open(directory .. "/life")
if life then
  frame = tonumber(life:read "*a")
  life:close()
end
-- Ends this life of the game; the next one goes on counting.
local function quit(how)
  save("life", tostring(frame))
  love.event.quit(how)
end
-- Milliseconds: the median, 90 %, 99 %, 99.9 %, and the slowest.
local function describe(seconds)
  table.sort(seconds)
  local parts = {}
  for _, share in ipairs { 0.5, 0.9, 0.99, 0.999, 1 } do
    local one = seconds[math.ceil(share * #seconds)] or 0
    parts[#parts + 1] = ("%.3f"):format(one * 1000)
  end
  return table.concat(parts, " ")
end
local frames, captures, last = {}, {}, nil
local function capture(name, data)
  local begun = love.timer.getTime()
  assert(analytics.capture(name, data))
  captures[#captures + 1] = love.timer.getTime() - begun
end
local function describe_all()
  save("frames", describe(frames))
  save("captures", describe(captures))
end
local function finish()
  describe_all()
  quit()
end
function love.update(dt)
  local now = love.timer.getTime()
  frames[#frames + 1] = last and now - last
  last = now
  frame = frame + 1
  update(dt)
  --[[code]]
end
]=]

local server, screen, display

setup(function()
  server = h.start_standin { keepalive_timeout = 600 }
  screen = h.start {
    timeout = 600,
    commands = "exec Xvfb -displayfd 1 -screen 0 800x600x24 -nolisten tcp\n",
  }
  display = h.wait(function()
    assert(not screen:done(), screen:stderr())
    return screen:stdout():match("^(%d+)\n")
  end, 20, 0.02, "the X server")
end)

teardown(function()
  server:stop()
  screen:kill("KILL")
  screen:wait(10)
end)

-- Starts the example's game with `code` in each frame. Options: url, env,
-- changes (of analytics.lua), command, bare (without the module), store (with
-- that of stores), home (of a game that was played before).
local function play(code, options)
  options = options or {}
  local directory = options.home or h.host.directory "love"
  local files = directory .. "/game"
  assert(h.shell.run(h.shell.join { "mkdir", "-p", files }) == 0)
  h.host.copy("love/analytics.lua", files, options.changes)
  h.host.copy("love/conf.lua", files,
    { ["t.window.vsync = 1"] = "t.window.vsync = 0" })
  local main = h.host.copy("love/main.lua", files)
  h.shell.write(main, h.shell.read(main)
    .. h.host.replace(HARNESS, { ["--[[code]]"] = code })
      :gsub("%f[%u]URL%f[%U]", ("%q"):format(server.url))
      :gsub("%f[%u]KEY%f[%U]", ("%q"):format(server.key)))
  assert(options.bare or h.shell.run(h.shell.join { "cp",
    h.host.root .. "/build/luajit/seerstack.so", files }) == 0)
  assert(not options.store or h.shell.run(h.shell.join { "install", "-D",
    h.host.root .. "/build/luajit/seerstack/sqlite.so",
    files .. "/seerstack/sqlite.so" }) == 0)
  local env = h.merge({
    SEERSTACK_BASE_URL = options.url or server.url,
    SEERSTACK_API_KEY = server.key,
    DISPLAY = ":" .. display, SPEC_DIRECTORY = directory,
    XDG_DATA_HOME = directory, XDG_RUNTIME_DIR = directory, HOME = directory,
    ALSOFT_DRIVERS = "null", LUA_PATH = false, LUA_CPATH = false,
  }, options.env)
  local game = h.host.start {
    command = options.command or "love game", directory = directory,
    env = env, timeout = 400, -- 10,000 frames on a slow machine
  }
  game.home = directory
  return game
end

-- What a game has saved in its directory.
local function saved(game, name)
  return h.shell.read(game.home .. "/" .. name)
end

local UNLIMITED = {
  ["rate_limit = 300"] = "rate_limit = false",
  ["exit_timeout = 0.9"] = "exit_timeout = 20",
}

-- The `data.i` of the events with a name, each of which must be there once.
local function count_distinct(name, events)
  local seen, distinct = {}, 0
  for _, event in ipairs(events) do
    local body = cjson.decode(event.body)
    if body.name == name then
      assert.is_nil(seen[body.data.i], "twice")
      seen[body.data.i] = true
      distinct = distinct + 1
    end
  end
  return distinct
end

describe("a game without the module", function()
  after_each(h.host.clean_up)

  it("runs, tells that analytics are off, and why at each event", function()
    server:reset()
    local result = play([[
      if frame == 10 then
        local ok, message = analytics.capture("a.b")
        save("result", tostring(ok) .. " " .. message)
        quit()
      end
    ]], { bare = true })
    local ended = result:wait()
    assert.equal(0, ended.status, ended.stderr)
    assert.matches("^nil .*module 'seerstack' not found",
      saved(result, "result"))
    assert.matches("analytics are off: ", ended.stdout, 1, true)
    assert.equal(0, server:count())
  end)
end)

describe("a game of 10,000 frames that captures an event in each", function()
  local FRAMES = 10000
  local events, games = {}, {}

  -- Side by side, so that all have the same machine.
  setup(function()
    server:reset()
    local function start(name, code)
      games[name] = play(code:gsub("FRAMES", FRAMES):gsub("NAME", name),
        { changes = UNLIMITED })
    end
    start("without", "if frame == FRAMES then finish() end")
    start("quit", [[
      capture("NAME", { i = frame })
      if frame == FRAMES then finish() end
    ]])
    start("restart", [[
      capture("NAME", { i = frame })
      if frame == FRAMES / 2 then
        quit "restart"
      elseif frame == FRAMES then
        finish()
      end
    ]])
    start("exit", [[
      capture("NAME", { i = frame })
      if frame == FRAMES then
        describe_all()
        os.exit(3)
      end
    ]])
    for name, game in pairs(games) do
      games[name].result = game:wait()
      games[name].frames = saved(game, "frames")
      games[name].captures = saved(game, "captures")
    end
    events = server:events()
    h.host.clean_up()
  end)

  local function check(name, status)
    assert.not_matches("seerstack", games[name].result.stderr, 1, true)
    assert.equal(status, games[name].result.status)
    assert.equal(FRAMES, count_distinct(name, events))
  end

  it("delivers all that left by love.event.quit", function()
    check("quit", 0)
  end)

  it("delivers all of both lives after quit(\"restart\")", function()
    check("restart", 0)
  end)

  it("delivers all that left by os.exit", function()
    check("exit", 3)
  end)

  -- The medians of a run differ by some percent; what waits for the network
  -- or for a disk would make them differ by a factor.
  it("has the frames of one that captures nothing", function()
    local function numbers(text)
      local list = {}
      for number in text:gmatch("%S+") do
        list[#list + 1] = tonumber(number)
      end
      return list
    end
    local without, with = games.without.frames, games.quit.frames
    print("LÖVE, ms (median, 90 %, 99 %, 99.9 %, slowest):"
      .. "\n  frames without " .. without .. "\n  frames with    " .. with
      .. "\n  captures       " .. games.quit.captures)
    without, with = numbers(without), numbers(with)
    assert.is_true(with[1] < 1.5 * without[1])
    assert.is_true(with[3] < 3 * without[3])
    assert.is_true(numbers(games.quit.captures)[1] < 0.1 * without[1])
  end)
end)

describe("a game", function()
  before_each(function()
    server:reset()
  end)

  after_each(h.host.clean_up)

  -- `name` was captured `count` times and arrived as often.
  local function assert_received(count, name)
    assert.equal(count, count_distinct(name or "n", server:events()))
  end

  local function line_of(game, line)
    h.wait(function()
      assert(not game:done(), game:stderr())
      return game:stdout():find(line, 1, true)
    end, 30, 0.02, line)
  end

  it("runs as the example stands, and its player stays the same", function()
    local game = play([[
      if frame == 10 then
        love.mousepressed(ball.x, ball.y)
        quit "restart"
      elseif frame == 20 then
        love.keypressed "escape"
      end
    ]], { changes = { ["exit_timeout = 0.9"] = "exit_timeout = 20" } })
    assert.equal(0, game:wait().status)
    assert.equal("", game:stderr())
    local names, players = {}, {}
    for _, event in ipairs(server:events()) do
      local body = cjson.decode(event.body)
      names[#names + 1] = body.name
      players[body.user_id] = true
    end
    table.sort(names)
    assert.same({ "ball.caught", "game.left", "game.left", "game.started",
      "game.started" }, names)
    assert.matches("^player%-%x+$", (next(players)))
    assert.is_nil(next(players, (next(players))))
  end)

  -- SDL makes both of them what closing the window is.
  for _, signal in ipairs { "TERM", "INT" } do
    it("delivers all when it is ended by SIG" .. signal, function()
      local game = play([[
        if frame <= 100 then
          capture("n", { i = frame })
        elseif frame == 101 then
          print "captured"
          io.stdout:flush()
        end
      ]], { changes = UNLIMITED })
      line_of(game, "captured")
      game:kill(signal)
      assert.equal(0, game:wait().status)
      assert_received(100)
    end)
  end

  it("delivers all when it failed, and its blue screen is closed", function()
    local game = play([[
      capture("n", { i = frame })
      if frame == 100 then
        print "failing"
        io.stdout:flush()
        error "the game's own"
      end
    ]], { changes = UNLIMITED })
    line_of(game, "failing")
    game:kill "TERM"
    local result = game:wait()
    assert.matches("the game's own", result.stdout)
    assert.equal(1, result.status)
    assert_received(100)
  end)

  it("delivers without a thread, when it pumps once a frame", function()
    local game = play([[
      if frame == 1 then
        local options = { thread = false, rate_limit = false, api_key = KEY,
          base_url = URL, exit_timeout = 20 }
        pumped = require "seerstack".new(options)
      end
      if frame <= 1000 then
        assert(pumped.events.capture { name = "n", data = { i = frame } })
      end
      local left = pumped:pump()
      if frame > 1000 and left == 0 then
        assert(pumped:stats().sender == "none")
        finish()
      end
    ]], { changes = { ["api_key ="] = "enabled = false, api_key =" } })
    assert.equal(0, game:wait().status)
    assert_received(1000)
  end)

  it("delivers what its love.threads capture", function()
    local game = play([[
      if frame == 1 then
        threads = {}
        for i = 1, 4 do
          threads[i] = love.thread.newThread [==[
            local number, url, key = ...
            require "love.timer"
            local client = require "seerstack".new {
              base_url = url, api_key = key, rate_limit = false,
              thread = number > 2, exit_timeout = 20,
            }
            for i = 1, 200 do
              assert(client.events.capture {
                name = "thread" .. number, data = { i = i },
              })
              if i % 50 == 0 then assert(client:flush(20)) end
            end
          ]==]
          threads[i]:start(i, URL, KEY)
        end
      end
      local running = 0
      for _, thread in ipairs(threads) do
        assert(not thread:getError(), thread:getError())
        running = running + (thread:isRunning() and 1 or 0)
      end
      if running == 0 then finish() end
    ]])
    assert.equal(0, game:wait().status)
    for number = 1, 4 do
      assert_received(200, "thread" .. number)
    end
  end)

  -- Without a network: the proxy is not there.
  local OFFLINE = { http_proxy = "http://127.0.0.1:1" }

  local function captures(first, last)
    return ([[
      lives = lives or frame
      if frame - lives < 10 then
        for i = 1, 10 do
          capture("n", { i = %d + 10 * (frame - lives) + i })
        end
      end
      if frame - lives == 10 then %s end
    ]]):format(first, last)
  end

  it("that is played offline has its events sent when it is played online",
    function()
      local changes = { ["rate_limit = 300"] = "rate_limit = false" }
      local first = play(captures(0, "quit()"),
        { store = true, env = OFFLINE, changes = changes })
      assert.equal(0, first:wait().status)
      assert.not_matches("not delivered", first:stderr(), 1, true)
      local second = play(captures(100, [[
        print "captured"
        io.stdout:flush()
      ]]), { store = true, env = OFFLINE, home = first.home,
        changes = changes })
      line_of(second, "captured")
      h.wait(function()
        return (sqlite.totals(h.shell.output("find " .. h.shell.quote(
          first.home) .. " -type d -name events")) or { events = 0 }).events
          >= 203
      end, 20)
      second:kill "KILL"
      second:wait()
      assert.equal(0, server:count())
      local third = play("", { store = true, home = first.home,
        changes = changes })
      h.wait(function() return server:count() >= 203 end, 30)
      third:kill "TERM"
      assert.equal(0, third:wait().status)
      assert_received(200)
    end)

  describe("quits within its exit_timeout and says what is lost", function()
    local sockets

    before_each(function()
      sockets = {}
    end)

    after_each(function()
      for _, one in ipairs(sockets) do
        one:close()
      end
    end)

    local function keep(one)
      sockets[#sockets + 1] = one
      return one
    end

    local function url_of(bound)
      local _, port = bound:getsockname()
      return "http://127.0.0.1:" .. port, port
    end

    -- Seconds from love.event.quit to the end of the process, with 202
    -- events left. LÖVE's own part is in it.
    local function seconds_to_quit(url)
      local game = play([[
        if frame == 60 then
          for i = 1, 200 do capture("n", { i = i }) end
          save("quitting", ("%.6f"):format(require "socket".gettime()))
          quit()
        end
      ]], {
        url = url,
        command = "bash -c 'love game; echo $EPOCHREALTIME >ended'",
        env = { LC_ALL = "C" },
      })
      assert.matches("error: 202 events were not delivered before exit",
        game:wait().stderr)
      return tonumber(saved(game, "ended")) - tonumber(saved(game, "quitting"))
    end

    -- By default an exit may take 10 s: what ends in half of that was ended by
    -- the example's exit_timeout of 0.9 s. How long LÖVE and the machine take
    -- beside it is shown.
    local function check(url)
      local seconds = seconds_to_quit(url)
      print(("LÖVE quits in %.3f s"):format(seconds))
      assert.is_true(seconds < 5)
    end

    it("when the API refuses connections", function()
      local bound = keep(assert(socket.tcp()))
      assert(bound:bind("127.0.0.1", 0))
      check((url_of(bound)))
    end)

    it("when the API takes connections and never answers", function()
      check((url_of(keep(assert(socket.bind("127.0.0.1", 0, 128))))))
    end)

    it("when the network swallows all packets", function()
      -- A queue of one connection that nobody accepts: the system drops the
      -- packets of all further ones.
      local url, port = url_of(keep(assert(socket.bind("127.0.0.1", 0, 0))))
      keep(assert(socket.connect("127.0.0.1", port)))
      local second = keep(socket.tcp())
      second:settimeout(0.1)
      assert.same({ nil, "timeout" }, { second:connect("127.0.0.1", port) })
      check(url)
    end)
  end)
end)
