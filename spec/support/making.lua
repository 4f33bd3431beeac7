-- Making clients with an option, or not: for the specs of `new`.

local assert = require "luassert"
local seerstack = require "seerstack"
local util = require "spec.support.util"

local making = {}

-- Nothing listens there, and nothing is sent.
making.NOWHERE = "http://127.0.0.1:1"

function making.with(changes)
  return util.merge({
    api_key = "sk_test_options", base_url = making.NOWHERE,
  }, changes)
end

function making.refusal(given)
  local ok, message = pcall(seerstack.new, given)
  assert.is_false(ok)
  assert.is_string(message)
  return message
end

function making.assert_refused(name, value, expected)
  local message = making.refusal(making.with { [name] = value })
  local start = "bad argument #1 to 'new' (option '" .. name .. "': "
  assert.equal(start, message:sub(1, #start))
  if expected then
    assert.equal(start .. expected .. ")", message)
  end
end

function making.assert_accepted(name, value)
  assert.has_no.errors(function()
    seerstack.new(making.with { [name] = value }):close()
  end)
end

return making
