-- A game that sends to the relay. Nothing in here is secret: what is in the
-- game's files, its players can read.

local seerstack = require "seerstack"

local client = seerstack.new {
  base_url = "https://relay.example.com:8443/events",
  api_key = "the relay's secret", -- never the API's key; any text for none
  rate_limit = 300,               -- a minute; the relay takes twice as many
  max_event_bytes = 16384,        -- as much as the relay takes
  exit_timeout = 0.9,             -- seconds that a player may have to wait
}

client.users.identify { user_id = "player-1", name = "Ada" }
client.events.capture {
  name = "level.finished",
  user_id = "player-1",
  data = { level = 1, seconds = 42.5 },
}
