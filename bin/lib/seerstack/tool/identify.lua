-- `seerstack identify`: what is known of a user.

local client = require "seerstack.tool.client"
local fail = require "seerstack.tool.fail"
local fields = require "seerstack.tool.fields"

local identify = {
  summary = "attach traits to a user, and wait for the answer",
  usage = "identify USER [FIELD=TEXT | FIELD:=JSON]... [-d JSON]",
  help = [[
Attaches traits to a user. `email` and `name` are the API's own; all others,
and what -d gives, are attributes:
  seerstack identify user_123 email=jane@example.com plan=pro seats:=5]],
  options = { fields.DATA, client.URL, client.TIMEOUT, client.JSON },
}

function identify.run(given, words)
  local user = words[1] or fail.usage "identify: whom? An id is missing"
  local attributes = fields.collect(given.data, words)
  local email, name = attributes.email, attributes.name
  attributes.email, attributes.name = nil, nil
  local made = client.new(given)
  client.send(user, given, function()
    return made.users.identify({
      user_id = user, email = email, name = name,
      attributes = next(attributes) ~= nil and attributes or nil,
    }, { wait = true })
  end)
end

return identify
