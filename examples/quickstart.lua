-- The whole interface on one page. `make quickstart` runs it against the API
-- that `seerstack listen` plays; where SEERSTACK_API_KEY is set, the service.

local seerstack = require "seerstack"

local client = seerstack.new {
  api_key = os.getenv "SEERSTACK_API_KEY", -- the default; may be left out
}

-- Neither call waits: the events go out in the background.
client.events.capture {
  name = "user.signup",
  user_id = "user_123",
  data = { plan = "pro" },
}
client.users.identify {
  user_id = "user_123",
  email = "jane@example.com",
  name = "Jane Doe",
}

-- What is not delivered yet is delivered at exit. `close` is for those who
-- want to know.
assert(client:close())
