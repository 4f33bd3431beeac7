package.path = "bin/lib/?.lua;" .. package.path
local json = require "seerstack.tool.json"
local seerstack = require "seerstack"

local jit = rawget(_G, "jit")
local has_integers = rawget(math, "type") ~= nil -- from Lua 5.3 on

describe("JSON of the command line and of files", function()
  local client

  before_each(function() client = seerstack.new { test_mode = true } end)
  after_each(function() client:close() end)

  -- What the SDK makes of what was decoded.
  local function again(text)
    local ok, value = json.decode(text)
    assert(ok, value)
    assert(client.events.capture { name = "a", data = { x = value } })
    return client:captured()[1].json:match '"data":{"x":(.*)}}$'
  end

  local function assert_refused(problem, text)
    local ok, message = json.decode(text)
    assert.is_false(ok)
    assert.equal(problem, message)
  end

  it("is sent as it stood", function()
    for _, text in ipairs {
      "0", "-0.0", "1", "-17", "1.5", "1e+300", "9007199254740991", '""',
      '"a\\"\\\\\\n\\u0001"', "true", "false", "null", "{}", "[]", "[[]]",
      "[1,null,{}]", '{"a":[]}', '"\195\164\226\130\172\240\159\152\128"',
    } do
      assert.equal(text, again(text))
    end
    assert.equal('"\195\164\226\130\172\240\159\152\128/"',
      again ' "\\u00e4\\u20AC\\ud83d\\ude00\\/" ')
    assert.equal("[1,2]", again "\t[ 1 ,\r\n 2 ] ")
  end)

  it("keeps integers of 64 bits, or refuses them", function()
    for text, where in pairs {
      ["9223372036854775807"] = has_integers or jit ~= nil,
      ["-9223372036854775808"] = has_integers,
      ["18446744073709551615"] = jit ~= nil,
      ["9007199254740993"] = has_integers or jit ~= nil,
      ["18446744073709551616"] = false,
    } do
      if where then
        assert.equal(text, again(text))
      else
        assert_refused(text
          .. " is an integer that this Lua cannot hold at byte 1", text)
      end
    end
  end)

  it("is refused with the place where it is wrong", function()
    for text, problem in pairs {
      [""] = "no value at byte 1",
      ["01"] = "no value at byte 1",
      ["1.e"] = "something after the end at byte 2",
      ["+1"] = "no value at byte 1",
      ["nul"] = "no value at byte 1",
      ['"a'] = "a string without its end at byte 1",
      ['"\n"'] = "a control character at byte 2",
      ['"\\x"'] = "a wrong escape at byte 2",
      ['"\\u12"'] = "a wrong \\u at byte 3",
      ['"\\ud83d"'] = "half of a surrogate pair at byte 3",
      ['"\\ude00\\ude00"'] = "half of a surrogate pair at byte 3",
      ["[1 2]"] = "no ',' or ']' at byte 4",
      ["[1,]"] = "no value at byte 4",
      ["{1:2}"] = "no name of a field at byte 2",
      ['{"a" 2}'] = "no ':' at byte 6",
      ['{"a":1,"a":2}'] = "a second field 'a' at byte 8",
      ["-1e999"] = "-1e999 is too large at byte 1",
      [("["):rep(101)] = "more than 100 levels at byte 101",
    } do
      assert_refused(problem, text)
    end
  end)
end)
