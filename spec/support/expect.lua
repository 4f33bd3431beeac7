-- What many specs expect of a call.

local assert = require "luassert"

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
-- returns what it has printed.
function expect.output(result)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

return expect
