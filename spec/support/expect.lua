-- What many specs expect of a call.

local assert = require "luassert"
local cjson = require "cjson"
local script = require "spec.support.script"
local slow = require "spec.support.slow"

local expect = {}

-- That it returns nil, a message, and an error of that name which says the
-- same.
function expect.failure(name, message, ...)
  local result, text, err = ...
  assert.equal(3, select("#", ...))
  assert.is_nil(result)
  assert.equal(message, text)
  assert.equal(name, err.name)
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
end

-- That f(...) raises.
function expect.raises(message, f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(message, text)
end

-- That a program has ended well and has said nothing on its standard error;
-- returns its result.
function expect.ended_well(result)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result
end

-- That a program has ended within so many seconds. Where it has not, it is
-- granted some times what one takes that does nothing: the machine is busy.
function expect.in_time(result, seconds)
  if result.seconds >= seconds * slow then
    local idle = script.run { code = 'require "seerstack"' }.seconds
    assert.is_true(result.seconds < seconds * slow + 10 * idle,
      ("%g s, and %g s without doing anything"):format(result.seconds, idle))
  end
end

-- That a stand-in has got each of the events 1 to `count`, whose numbers are
-- in data.i, once, and each under a key of its own.
function expect.received(standin, count)
  local numbers, keys = {}, {}
  local events = standin:events()
  for _, event in ipairs(events) do
    local number = cjson.decode(event.body).data.i
    local key = event.headers["idempotency-key"]
    assert.is_nil(numbers[number], "received twice")
    assert.is_nil(keys[key], "a key was used twice")
    numbers[number], keys[key] = true, true
  end
  for i = 1, count do
    assert.is_true(numbers[i], i .. " of " .. count)
  end
  assert.equal(count, #events)
  assert.equal(count, standin:count())
end

return expect
