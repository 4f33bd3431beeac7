-- Attacks on a client from finalizers: whatever a call of it allocates, the
-- collector may run then, and with it anybody's finalizer.

local collecting = require "spec.support.collecting"
local exchange = require "spec.support.exchange"

local jit = rawget(_G, "jit")

local deep = { 1 }
for i = 1, 30 do
  deep = { deep, k = i, [i + 0.5] = { "f" } }
end
if jit then
  deep[3] = require "ffi".new("int64_t", 7)
  deep[4] = { 1, 2, require "ffi".new("uint64_t", 7), 4 }
end

-- The future that is being asked.
local asked

local function ask(future)
  asked = future
  future:done()
  tostring(future)
  return future:get(10)
end

-- What a program does with a client while finalizers run.
local CALLS = {
  capture = function(client)
    return client.events.capture {
      name = "x", data = { deep = deep }, user_id = 7, other = deep,
    }
  end,
  capture_special = function(client)
    return client.events.capture({ name = "x" }, {
      headers = { A = "b" }, query = { a = 1 },
      idempotency_key = "k", extra_body = { data = { a = deep } },
    })
  end,
  capture_refused = function(client)
    return client.events.capture { name = "x", data = { a = { print } } }
  end,
  identify = function(client)
    return client.users.identify {
      user_id = "u", email = "e", attributes = deep,
    }
  end,
  wait = function(client)
    return client.events.capture({ name = "x" }, { wait = true })
  end,
  refused = function(client)
    return client:post("/none", { deep }, { wait = true, max_retries = 0 })
  end,
  future = function(client)
    return ask(assert(client.events.capture({ name = "x" },
      { future = true })))
  end,
  future_failed = function(client)
    return ask(assert(client:post("/none", { deep },
      { future = true, max_retries = 0 })))
  end,
  with_options = function(client)
    local other = client:with_options {
      headers = { A = "b" }, query = { c = "d" },
      proxy = false, default_data = { a = deep },
    }
    return other.events.capture { name = "x" }
  end,
  callbacks = function(client)
    client.events.capture { name = "x", timestamp = "no time" }
    client:flush(10)
    return client:poll()
  end,
  stats = function(client)
    return client:stats(), tostring(client), client:poll(), client.events
  end,
  close = function(client) return client:close(10) end,
  pump = function(client) return client:pump(0) end,
  captured = function(client)
    client.events.capture { name = "x", data = deep }
    return client:captured()
  end,
}

local OPTIONS = {
  { logger = function() end, on_error = function() end },
  {
    before_send = function(event)
      event.more = { {} }
      return event
    end,
    logger = function() error "odd" end,
    on_error = function() error {} end,
    default_data = { a = { 1 } },
  },
  { test_mode = true, default_data = { a = 1 } },
  { enabled = false },
  { sample = 0 },
  { sample = { x = 0.5 } },
  { thread = false },
}

-- What a finalizer may come to do with it.
local DEEDS = {
  finalizes = function(client) getmetatable(client).__gc(client) end,
  closes = function(client) client:close(0) end,
  captures = function(client)
    client.events.capture({ name = "gc", data = { deep } },
      { future = true })
  end,
  abandons = function()
    if asked then
      getmetatable(asked).__gc(asked)
    end
  end,
  polls = function(client)
    client:poll()
    client:captured()
    collectgarbage()
  end,
}

-- The deed is done at the n-th step of the collector in the call; true
-- when there was one. Whatever the call returns or raises, the process and
-- the counts of others must be well.
local function attack(make, call, deed, n)
  local client, steps = make(), 0
  local stop = collecting.at_each_step(function()
    steps = steps + 1
    if steps == n then
      deed(client)
    end
  end)
  pcall(call, client)
  stop()
  asked = nil
  if pcall(client.stats, client) and client:stats() then
    exchange.adds_up(client)
  end
  client:close(0)
  return steps >= n
end

-- Instrumented code takes its time.
local MOSTS = { asan = 40, tsan = 40, valgrind = 4 }
local MOST = MOSTS[os.getenv "SANITIZER" or "none"] or 150


local function options_of(given)
  local options = {
    api_key = os.getenv "SEERSTACK_API_KEY", log_level = "off",
  }
  for name, value in pairs(given) do
    options[name] = value
  end
  return options
end

-- Does a deed at each step of each call, with each set of options; how often
-- that was.
return function(name)
  local total = 0
  for _, given in ipairs(OPTIONS) do
    local function make()
      return (exchange.client(os.getenv "SEERSTACK_BASE_URL",
        options_of(given)))
    end
    for _, call in pairs(CALLS) do
      local n = 1
      while n <= MOST and attack(make, call, DEEDS[name], n) do
        n = n + (n < 30 and 1 or 7)
        total = total + 1
      end
    end
  end
  -- Those that are well are as well as ever.
  local client = exchange.client(os.getenv "SEERSTACK_BASE_URL",
    options_of {})
  assert(client.events.capture({ name = "x" }, { wait = true }).success)
  return total
end
