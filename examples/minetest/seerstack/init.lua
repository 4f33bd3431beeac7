-- Events of a Minetest server. Copy this folder to the world's worldmods/, and
-- put `secure.trusted_mods = seerstack` into minetest.conf: only a mod that is
-- trusted may load a C module.

local insecure = minetest.request_insecure_environment()

-- The server starts whatever is missing: the key, the module, lua-cjson. The
-- key is in the server's environment.
local on, client = pcall(function()
  if not insecure then
    error("minetest.conf needs secure.trusted_mods = seerstack", 0)
  end
  return insecure.require "seerstack".new {}
end)
if not on then
  minetest.log("error", "analytics are off: " .. tostring(client))
  return
end

local function capture(name, player, data)
  client.events.capture {
    name = name, user_id = player and player:get_player_name(), data = data,
  }
end

minetest.register_on_joinplayer(function(player, last_login)
  capture("player.joined", player, { first = last_login == nil })
end)

minetest.register_on_leaveplayer(function(player, timed_out)
  capture("player.left", player, { timed_out = timed_out == true })
end)

minetest.register_on_dieplayer(function(player)
  capture("player.died", player)
end)

-- What players say is nobody else's business; that they do is counted.
minetest.register_on_chat_message(function(name, message)
  client.events.capture {
    name = "chat.sent", user_id = name, data = { length = #message },
  }
end)

-- What is not sent yet goes out after this, in at most `exit_timeout`.
minetest.register_on_shutdown(function()
  capture("server.stopped", nil, { uptime = minetest.get_server_uptime() })
end)
