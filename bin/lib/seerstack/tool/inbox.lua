-- What has arrived, and what the next arrival is answered: the API as
-- `seerstack listen` plays it. It knows no socket and no clock; the caller has
-- both.

local judge = require "seerstack.tool.judge"
local mask = require "seerstack.tool.mask"

local inbox = {}
inbox.__index = inbox

local KEPT = 1000             -- arrivals
local KEPT_BYTES = 8 * 1024 ^ 2
local WINDOW = 60             -- seconds of the rate limit

local SECRET = {
  authorization = true, cookie = true, ["proxy-authorization"] = true,
}

-- `key`: the only one that is good; nil: any. `rate_limit`: requests within
-- 60 s; nil: no limit.
function inbox.new(key, rate_limit)
  return setmetatable({
    key = key, rate_limit = rate_limit, behaviour = {},
    entries = {}, first = 1, last = 0, bytes = 0, attempts = {},
    times = {}, oldest = 1, newest = 0,
  }, inbox)
end

local function masked(fields)
  local list = {}
  for i, field in ipairs(fields) do
    local name, value = field[1], field[2]
    if SECRET[name:lower()] then
      local scheme, rest = value:match "^(%a+ )(.*)$"
      value = (scheme or "") .. mask(rest or value)
    end
    list[i] = { name, value }
  end
  return list
end

-- Counts a request in the window; if there is no room, returns the seconds
-- until there is.
local function over_limit(self, now)
  local times = self.times
  while self.oldest <= self.newest
    and times[self.oldest] <= now - WINDOW do
    times[self.oldest] = nil
    self.oldest = self.oldest + 1
  end
  if self.newest - self.oldest + 1 >= self.rate_limit then
    return (times[self.oldest] or now) + WINDOW - now
  end
  self.newest = self.newest + 1
  times[self.newest] = now
end

-- Takes one off the failures that were asked for.
local function must_fail(asked)
  if not asked.fail_status then
    return false
  elseif not asked.fail_count then
    return true
  end
  asked.fail_count = asked.fail_count - 1
  if asked.fail_count < 0 then
    asked.fail_status, asked.fail_count, asked.fail_headers = nil, nil, nil
  end
  return asked.fail_count ~= nil
end

-- The status, the message if it is none of success, and further headers.
local function answer(self, request, now)
  local asked = self.behaviour
  if must_fail(asked) then
    return asked.fail_status, "Failure asked for", asked.fail_headers
  end
  local status, problem = judge.envelope({
    method = request.method, path = request.path,
    authorization = request.headers.authorization,
    content_type = request.headers["content-type"],
  }, self.key)
  if status then
    return status, problem, status == 405 and { Allow = "POST" } or nil
  end
  local seconds = self.rate_limit and over_limit(self, now)
  if seconds then
    return 429, "Rate limit exceeded",
      { ["Retry-After"] = math.max(1, math.ceil(seconds)) }
  end
  status, problem = judge.body(request.path, request.body)
  return status or 200, problem
end

-- Which attempt of its Idempotency-Key a request is, from 1.
local function count_attempt(self, key)
  if not key then
    return 1
  end
  self.attempts[key] = (self.attempts[key] or 0) + 1
  return self.attempts[key]
end

local function size_of(entry)
  return #entry.body + 1000
end

local function forget_oldest(self)
  local entry = self.entries[self.first]
  self.entries[self.first] = nil
  self.first = self.first + 1
  self.bytes = self.bytes - size_of(entry)
  if entry.key and self.attempts[entry.key] == entry.attempt then
    self.attempts[entry.key] = nil
  end
end

-- Judges a request and keeps it. Returns what is kept, and the further headers
-- of the answer.
function inbox:take(request, now)
  local status, problem, headers = answer(self, request, now)
  local key = request.headers["idempotency-key"]
  self.last = self.last + 1
  local entry = {
    seq = self.last, time = now, method = request.method,
    path = request.path, query = request.query, status = status,
    error = problem, key = key, attempt = count_attempt(self, key),
    headers = masked(request.fields), body = request.body,
    mute = self.behaviour.mute,
  }
  self.entries[self.last] = entry
  self.bytes = self.bytes + size_of(entry)
  while self.last - self.first >= KEPT or self.bytes > KEPT_BYTES do
    forget_oldest(self)
  end
  return entry, headers
end

-- Those kept whose number is greater, in order.
function inbox:since(seq)
  local list = {}
  for i = math.max(seq + 1, self.first), self.last do
    list[#list + 1] = self.entries[i]
  end
  return list
end

function inbox:clear()
  while self.first <= self.last do
    forget_oldest(self)
  end
end

local function is_count(value)
  return type(value) == "number" and value >= 1 and value <= 1e6
    and value % 1 == 0
end

local CHECKS = {
  fail_status = function(value)
    return is_count(value) and value >= 200 and value <= 599
  end,
  fail_count = is_count,
  fail_headers = function(value)
    for name, text in pairs(type(value) == "table" and value or { false }) do
      if type(name) ~= "string" or name:find "[^%w-]"
        or type(text) ~= "string" or text:find "%c" then
        return false
      end
    end
    return true
  end,
  delay = function(value)
    return type(value) == "number" and value > 0 and value <= 600
  end,
  mute = function(value) return value == true end,
}

-- Sets how it behaves from now on: what is not named is as it should be, and
-- so is what is false. Returns nil and a message if a value is wrong.
function inbox:behave(wanted)
  local checked = {}
  for name, value in pairs(wanted) do
    if not CHECKS[name] or value and not CHECKS[name](value) then
      return nil, tostring(name) .. ": wrong"
    end
    checked[name] = is_count(value) and math.floor(value) or value or nil
  end
  self.behaviour = checked
  return true
end

return inbox
