-- The events of the game. Copy this file into the game's directory, and
-- beside it seerstack.so, built with `make LUA=luajit`, and cjson.so where
-- the system has no lua-cjson.

-- All that is in here, players can read. So a game never contains the API's
-- key: it sends to a relay of yours, which has it, see examples/relay. The
-- environment leads to another server while you try it out.
local OPTIONS = {
  base_url = os.getenv "SEERSTACK_BASE_URL"
    or "https://relay.example.com:8443/events",
  api_key = os.getenv "SEERSTACK_API_KEY"
    or "the relay's secret", -- any text if it has none
  rate_limit = 300,               -- events a minute, of this player
  exit_timeout = 0.9,             -- seconds that quitting may take longer
}

-- With seerstack/sqlite.so in the game's directory as well, what the player
-- does without a network is kept beside the saved games, and sent when the
-- game is played with one.
local has_store, sqlite = pcall(require, "seerstack.sqlite")
if has_store then
  love.filesystem.createDirectory "events"
  OPTIONS.store = sqlite.open {
    directory = love.filesystem.getSaveDirectory() .. "/events",
  }
end

-- The game starts whatever is missing: the module, lua-cjson.
local ok, client = pcall(function()
  return require "seerstack".new(OPTIONS)
end)
if not ok then
  print("analytics are off: " .. client)
end

-- A player is a random number that stays with the saved games.
local function player_id()
  local id = love.filesystem.read "player"
  if not id then
    id = ("player-%08x%08x"):format(love.math.random(0, 2^32 - 1),
      love.math.random(0, 2^32 - 1))
    love.filesystem.write("player", id)
  end
  return id
end

local player = player_id()
local analytics = {}

-- Costs some microseconds and never waits: call it in any frame. Returns
-- true, or nil and a message when the event cannot be taken.
function analytics.capture(name, data)
  if not ok then
    return nil, client
  end
  return client.events.capture { name = name, user_id = player, data = data }
end

return analytics
