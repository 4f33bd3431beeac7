-- Events of Neovim. Copy this file to ~/.config/nvim/plugin/, and
-- seerstack.so, built with `make LUA=luajit`, to ~/.config/nvim/lua/. The key
-- is in the environment, SEERSTACK_API_KEY; a plugin for others must not have
-- it and sends to a relay, see examples/relay.

local seerstack = require "seerstack"

seerstack.configure {
  exit_timeout = 2, -- seconds that leaving Neovim may take longer
  logger = function(level, message)
    vim.notify("seerstack: " .. message, vim.log.levels[level:upper()])
  end,
}

-- The logger is called from here, where it may use all of Neovim.
local timer = vim.loop.new_timer()
timer:start(1000, 1000, vim.schedule_wrap(seerstack.poll))

local function tell(message)
  vim.notify("seerstack: " .. message, vim.log.levels.WARN)
end

-- Asks until there is an answer, and lets Neovim go on meanwhile.
local function when_done(future, callback)
  if future:done() then
    callback(future:get())
  else
    vim.defer_fn(function() when_done(future, callback) end, 20)
  end
end

-- :Seerstack name [text]    queues an event, and goes on
-- :Seerstack! name [text]   tells when it has arrived, or why not
local function command(arguments)
  local name, text = arguments.args:match "^(%S+)%s*(.-)$"
  local event = { name = name, data = { text = text } }
  local result, message = seerstack.capture(event,
    { future = arguments.bang })
  if not result then
    tell(message)
  elseif arguments.bang then
    when_done(result, function(response, problem)
      tell(response and name .. " has arrived" or problem)
    end)
  end
end

vim.api.nvim_create_user_command("Seerstack", command,
  { nargs = "+", bang = true })

vim.api.nvim_create_autocmd("BufWritePost", {
  callback = function()
    seerstack.capture {
      name = "file.saved", data = { filetype = vim.bo.filetype },
    }
  end,
})
