-- `seerstack send`: one event, and what the API says of it.

local client = require "seerstack.tool.client"
local fail = require "seerstack.tool.fail"
local fields = require "seerstack.tool.fields"

local send = {
  summary = "record an event, and wait for the answer",
  usage = "send NAME [-u USER] [FIELD=TEXT | FIELD:=JSON]... [-d JSON]",
  help = [[
Records an event. The fields are its data:
  seerstack send deploy.done -u ci version=1.4.2 seconds:=42
  seerstack send deploy.done -d @deploy.json]],
  options = {
    { "user", short = "u", value = "ID", about = "the user's id" },
    fields.DATA,
    { "timestamp", value = "TIME", about = "when it happened, ISO 8601; now" },
    client.URL, client.TIMEOUT, client.JSON,
  },
}

function send.run(given, words)
  local name = words[1] or fail.usage "send: which event? A name is missing"
  local data = fields.collect(given.data, words)
  local made = client.new(given)
  client.send(name, given, function()
    return made.events.capture({
      name = name, user_id = given.user, timestamp = given.timestamp,
      data = next(data) ~= nil and data or nil,
    }, { wait = true })
  end)
end

return send
