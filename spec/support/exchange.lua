-- A client and a scripted server that talk to each other. The sender works
-- while the spec serves: capture first, serve after, and look at the
-- requests and the client's counts.

local cjson = require "cjson"
local script = require "spec.support.script"
local seerstack = require "seerstack"
local server = require "spec.support.server"
local socket = require "socket"
local util = require "spec.support.util"

local exchange = {}
exchange.__index = exchange
exchange.__name = "support.exchange"

local SUCCESS = '{"success":true}'

-- Small delays, no pacing, and nothing to wait for at exit; to read the
-- system's authorities takes memcheck seconds.
local DEFAULTS = {
  initial_retry_delay = 0.02,
  max_retry_delay = 0.1,
  rate_limit = false,
  exit_timeout = 0,
  connect_timeout = 10 * util.slow,
}

local keys = 0

-- A key that no client had before: with it comes a new endpoint.
function exchange.key()
  keys = keys + 1
  return ("sk_test_%d_%.0f"):format(keys, socket.gettime() * 1e6)
end

-- A client of `url` with short delays and a new key, which tells nothing
-- unless it has a logger or a log_level; and its key.
function exchange.client(url, options)
  local all = util.merge({ api_key = exchange.key(), base_url = url },
    DEFAULTS, options)
  if not all.logger then
    all.log_level = all.log_level or "off"
  end
  return seerstack.new(all), all.api_key
end

function exchange.open(options)
  local self = setmetatable({ server = server.new() }, exchange)
  self.requests, self.url = self.server.requests, self.server.url
  self.client, self.key = exchange.client(self.url, options)
  return self
end

-- Closes it and opens it anew.
function exchange:reopen(options)
  self:close()
  for name, value in pairs(exchange.open(options)) do
    self[name] = value
  end
end

-- One more client of the server, with a key of its own unless one is given.
function exchange:new(options)
  return (exchange.client(self.url, options))
end

-- The same; from here on it is the exchange's own.
function exchange:use(options)
  self.client = self:new(options)
  return self.client
end

-- What a handler returns for a request that goes well.
function exchange.ok()
  return 200, nil, SUCCESS
end

-- A handler for a request that is never answered.
function exchange.hold()
  return "hold"
end

-- The headers of a redirect.
function exchange.location(url)
  return { Location = url }
end

-- Returns what a list has, as a handler does.
function exchange.answer(list)
  return list[1], list[2], list[3], list[4], list[5]
end

-- A handler that gives each of some answers, lists of what a handler may
-- return, to one request after the other, and 200 from then on.
function exchange.sequence(answers)
  local number = 0
  return function()
    number = number + 1
    if not answers[number] then
      return exchange.ok()
    end
    return exchange.answer(answers[number])
  end
end

-- Captures an event, which must be accepted.
function exchange:capture(name, data)
  return assert(self.client.events.capture { name = name, data = data })
end

function exchange:capture_many(count, prefix)
  for i = 1, count do
    self:capture((prefix or "n") .. i)
  end
end

function exchange:identify(user, name, options)
  return assert(self.client.users.identify({ user_id = user, name = name },
    options))
end

-- The future of an event that is captured, "a.b" by default.
function exchange:ask(name, options)
  return assert(self.client.events.capture({ name = name or "a.b" },
    util.merge({ future = true }, options)))
end

-- Serves until the condition holds; raises when it does not in time.
function exchange:serve(handler, until_, seconds)
  local served = self.server:serve {
    handler = handler or exchange.ok,
    until_ = until_,
    deadline = seconds or 10,
  }
  if not served then
    error(("served in vain: %d requests, %s"):format(#self.requests,
      cjson.encode(self.client:stats())), 2)
  end
end

-- Serves until so many requests have come since the beginning.
function exchange:serve_requests(count, handler, seconds)
  self:serve(handler, function() return #self.requests >= count end, seconds)
end

-- Serves until nothing is pending.
function exchange:settle(handler, seconds)
  self:serve(handler, function()
    return self.client:stats().pending == 0
  end, seconds)
  return exchange.adds_up(self.client)
end

-- Serves until a future is done, calling `meanwhile`, if given, all the time,
-- and returns what the future gives.
function exchange:get(future, handler, meanwhile)
  self:serve(handler, function()
    if meanwhile then
      meanwhile()
    end
    return future:done()
  end)
  return future:get(0)
end

-- Serves for a time in which `condition` must hold throughout.
function exchange:serve_while(condition, handler, seconds)
  local deadline, broken = socket.gettime() + seconds, false
  self:serve(handler, function()
    broken = broken or not condition()
    return broken or socket.gettime() >= deadline
  end, seconds + 10)
  if broken then
    error(("it did not last: %d requests, %s"):format(#self.requests,
      cjson.encode(self.client:stats())), 2)
  end
end

-- Runs a program, its text or its options, with the server's URL and the
-- client's key in its environment, and serves it until it has ended, which
-- must be well.
function exchange:child(options, handler)
  options = type(options) == "table" and options or { code = options }
  local child = script.start {
    code = options.code, timeout = options.timeout,
    env = script.environment(self.url, self.key, options.env),
  }
  self:serve(handler, function() return child:done() end,
    options.timeout or 30)
  local result = child:wait()
  if result.status ~= 0 then
    error(("the program ended with %d: %s"):format(result.status,
      result.stderr), 2)
  end
  return result
end

function exchange:paused()
  return self.client:stats().retry_at ~= nil
end

-- The counts of a client, which must be consistent.
function exchange.adds_up(client)
  local stats, dropped = client:stats(), 0
  for _, count in pairs(stats.dropped_by) do
    dropped = dropped + count
  end
  if stats.dropped ~= dropped or stats.accepted
    ~= stats.delivered + stats.rejected + stats.dropped + stats.pending
      + stats.stored then
    error("the counts do not add up: " .. cjson.encode(stats), 2)
  end
  return stats
end

function exchange.body_of(request)
  return cjson.decode(request.body)
end

-- The request line, and the other lines of a request's head in alphabetical
-- order.
function exchange.head_of(request)
  local first, rest = request.head:match("^(.-)\r\n(.*)\r\n\r\n$")
  local lines = {}
  for line in (rest .. "\r\n"):gmatch("(.-)\r\n") do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  return first, lines
end

-- The names of the events in some requests, all of them by default.
function exchange:names(requests)
  local names = {}
  for i, request in ipairs(requests or self.requests) do
    names[i] = exchange.body_of(request).name
  end
  return names
end

-- What is queued is lost, and nothing is said of it.
function exchange:close()
  self.server:close()
  self.client:close(0)
end

return exchange
