local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local assert_written = h.bodies.assert_written
local MAXINTEGER = rawget(math, "maxinteger") -- nil before Lua 5.3
local MININTEGER = rawget(math, "mininteger")

local INVALID = "\239\191\189" -- U+FFFD

describe("a string", function()
  it("is quoted, with the escapes that JSON demands", function()
    assert_written {
      "", '""', "plain text", '"plain text"',
      'a"b\\c/d', [["a\"b\\c/d"]],
      "\8\9\10\12\13", [["\b\t\n\f\r"]],
      "\0\1\31\127", '"\\u0000\\u0001\\u001f\127"',
      "eight by" .. "\0" .. "tes and on", [["eight by\u0000tes and on"]],
    }
  end)

  it("finds what is to be escaped at every place", function()
    local values, expected = {}, {}
    for length = 0, 20 do
      for _, byte in ipairs { '"', "\\", "\31" } do
        local before, after = ("a"):rep(length), ("~"):rep(20 - length)
        local escaped = byte == "\31" and "\\u001f" or "\\" .. byte
        values[#values + 1] = before .. byte .. after
        expected[#expected + 1] = '"' .. before .. escaped .. after .. '"'
      end
    end
    assert.same(expected, h.bodies.values(values))
  end)

  it("of valid UTF-8 is sent as it is", function()
    for _, text in ipairs {
      "\194\128", "\223\191", "\224\160\128", "\237\159\191", "\238\128\128",
      "\239\191\191", "\240\144\128\128", "\244\143\191\191",
      "\226\128\168 \226\128\169", "Gr\195\188\195\159e, \230\188\162\229"
        .. "\173\151 \240\159\152\128 and ASCII that goes on",
    } do
      assert.equal('"' .. text .. '"', h.bodies.value(text))
    end
  end)

  it("has U+FFFD for every sequence that is not UTF-8", function()
    assert_written {
      "\255", '"' .. INVALID .. '"',
      "a\128b", '"a' .. INVALID .. 'b"',
      "\195", '"' .. INVALID .. '"',
      "\195\"", '"' .. INVALID .. '\\""',
      "\226\130", '"' .. INVALID .. '"', -- cut off: one
      "\240\159\152x", '"' .. INVALID .. 'x"',
      "\192\128", '"' .. INVALID:rep(2) .. '"', -- overlong
      "\224\159\191", '"' .. INVALID:rep(3) .. '"',
      "\240\143\191\191", '"' .. INVALID:rep(4) .. '"',
      "\237\160\128", '"' .. INVALID:rep(3) .. '"', -- a surrogate
      "\244\144\128\128", '"' .. INVALID:rep(4) .. '"', -- past U+10FFFF
      "\248\136\128\128\128", '"' .. INVALID:rep(5) .. '"',
    }
  end)

  it("becomes valid UTF-8 whatever its bytes are", function()
    local values = {}
    for byte = 0, 255 do
      values[#values + 1] = string.char(byte)
      values[#values + 1] = "text \226\130" .. string.char(byte) .. " text"
    end
    for _, text in ipairs(h.bodies.values(values)) do
      local rest = text:gsub("[\194-\223][\128-\191]", "")
        :gsub("[\224-\239][\128-\191][\128-\191]", "")
      assert.is_nil(rest:find "[\128-\255]")
      assert.is_nil(rest:find "%c" and rest:find "[^\127%C]")
      cjson.decode("[" .. text .. "]")
    end
  end)

  it("is no number because it looks like one", function()
    assert_written { "12", '"12"', "1e5", '"1e5"' }
  end)
end)

describe("booleans and null", function()
  it("are true, false and null", function()
    assert_written {
      true, "true", false, "false", seerstack.null, "null",
      cjson.null, "null",
    }
  end)
end)

describe("a table", function()
  it("with the keys 1..n is an array", function()
    assert_written {
      { 1 }, "[1]", { 1, "b", true, { 2 } }, '[1,"b",true,[2]]',
      { { {} } }, "[[{}]]",
    }
  end)

  it("with the keys 1..n is an array in whatever order they come", function()
    local backwards, mixed = {}, { [3] = "c", [2] = "b", [1] = "a" }
    for i = 40, 1, -1 do
      backwards[i] = i
    end
    mixed[4] = { x = 1 }
    assert_written {
      backwards, cjson.encode(backwards), mixed, '["a","b","c",{"x":1}]',
    }
  end)

  it("that is empty is {}", function()
    assert_written { {}, "{}", { {} }, "[{}]" }
  end)

  it("with other keys is an object", function()
    assert_written {
      { a = 1 }, '{"a":1}', { [0] = 1 }, '{"0":1}', { [2] = 1 }, '{"2":1}',
      { [-1] = 1 }, '{"-1":1}', { [1.5] = 1 }, '{"1.5":1}',
      { [""] = 1 }, '{"":1}', { ["a\0\"b"] = 1 }, [[{"a\u0000\"b":1}]],
      { ["\255"] = 1 }, '{"' .. INVALID .. '":1}', { ["1"] = 1 }, '{"1":1}',
      { [1e300] = 1 }, '{"1e+300":1}', { [2 ^ 53] = 1 },
      '{"9007199254740992":1}', { [0.1 + 0.2] = 1 },
      '{"0.30000000000000004":1}',
    }
  end)

  it("with keys of both kinds is an object", function()
    for _, value in ipairs {
      { 10, 20, 30, x = 40 }, { { 1 }, { 2 }, x = { 3 } },
      { 10, 20, [4] = 40 }, { { 10 }, 20, [4] = 40, [3.5] = 35 },
    } do
      local expected = {}
      for k, v in pairs(value) do
        expected[tostring(k)] = v
      end
      local text = h.bodies.value(value)
      assert.equal("{", text:sub(1, 1))
      assert.same(expected, cjson.decode(text))
    end
  end)

  it("keeps its number keys, which are not made strings in place", function()
    local value = {}
    for i = 2, 100 do
      value[i] = i
    end
    local decoded = cjson.decode(h.bodies.value(value))
    local count = 0
    for k, v in pairs(decoded) do
      assert.equal(tonumber(k), v)
      count = count + 1
    end
    assert.equal(99, count)
    for k in pairs(value) do
      assert.equal("number", type(k))
    end
  end)

  it("is read by raw access: its metamethods are not called", function()
    local function never() error("a metamethod was called") end
    local mt = {
      __index = never, __newindex = never, __len = never, __pairs = never,
      __ipairs = never, __tostring = never, __call = never, __eq = never,
      __name = "other",
    }
    assert_written {
      setmetatable({ a = 1 }, mt), '{"a":1}', setmetatable({ 1, 2 }, mt),
      "[1,2]", setmetatable({}, mt), "{}",
    }
  end)

  it("may occur twice", function()
    local address = { city = "Arlington" }
    assert.equal('[{"city":"Arlington"},{"city":"Arlington"}]',
      h.bodies.value { address, address })
  end)
end)

describe("a key", function()
  it("may be a number or a string, but not both with one text", function()
    assert.equal('data: the keys 1 and "1" collide',
      h.bodies.problem { [1] = 1, ["1"] = 2 })
    assert.equal('data.a: the keys -7 and "-7" collide',
      h.bodies.problem { a = { [-7] = 1, ["-7"] = 2 } })
    assert.equal('data[2]: the keys 1.5 and "1.5" collide',
      h.bodies.problem { 1, { [1.5] = 1, ["1.5"] = 2 } })
    assert.equal('data: the keys 1e+300 and "1e+300" collide',
      h.bodies.problem { [1e300] = 1, ["1e+300"] = 2 })
    assert.equal('data: the keys 0.30000000000000004 and '
      .. '"0.30000000000000004" collide',
      h.bodies.problem { [0.1 + 0.2] = 1, ["0.30000000000000004"] = 2 })
  end)

  it("collides with no other text of the same number", function()
    local value = {
      [0] = "a", [1] = "b", ["-0"] = "c", ["01"] = "d", ["1.0"] = "e",
      ["1e0"] = "f", ["+1"] = "g", [" 1"] = "h", ["0x1"] = "i", ["-"] = "j",
      [1.5] = "k", ["1,5"] = "l", ["1.50"] = "m", ["15e-1"] = "n",
      ["1.5\0"] = "o", ["99999999999999999999999999"] = "p",
      ["9223372036854775808"] = "q", [2 ^ 63] = "r", ["1."] = "s",
    }
    local expected, found = {}, {}
    for _, letter in pairs(value) do
      expected[#expected + 1] = letter
    end
    for letter in h.bodies.value(value):gmatch ':"(%l)"' do
      found[#found + 1] = letter
    end
    table.sort(expected)
    table.sort(found)
    assert.same(expected, found)
  end)

  if MAXINTEGER then
    it("collides as an integer of 64 bits too", function()
      assert.equal('data: the keys 9223372036854775807 and '
        .. '"9223372036854775807" collide', h.bodies.problem {
          [MAXINTEGER] = 1, ["9223372036854775807"] = 2,
        })
      assert.equal('data: the keys -9223372036854775808 and '
        .. '"-9223372036854775808" collide', h.bodies.problem {
          [MININTEGER] = 1, ["-9223372036854775808"] = 2,
        })
    end)
  end

  it("may be no UTF-8, unless it is then the same as another", function()
    local function problem(path)
      return path .. ': collides with another key, for what is not UTF-8 is '
        .. "replaced"
    end
    assert.equal(problem('data["a' .. INVALID .. '"]'),
      h.bodies.problem { ["a\255"] = 1, ["a\254"] = 2 })
    assert.equal(problem('data.b[2]["' .. INVALID .. '"]'),
      h.bodies.problem { b = { 1, { ["\255"] = {}, x = 1, ["\192"] = 2 } } })
    assert.equal(problem('data["' .. INVALID .. '"]'),
      h.bodies.problem { [INVALID] = 1, ["\255"] = 2, y = { ["\255"] = 1 } })
    assert.equal(problem('["' .. INVALID .. '\\n"]'), (h.bodies.refused {
      name = "x", ["\255\n"] = 1, ["\254\n"] = 2,
    }))
    assert.equal('{"' .. INVALID .. '":{"' .. INVALID .. '":1}}',
      h.bodies.value { ["\255"] = { ["\254"] = 1 } })
    local many = {}
    for i = 128, 191 do -- each alone replaced by one
      many[string.char(i):rep(i)] = { ["\255" .. i] = i }
    end
    local _, count = h.bodies.value(many):gsub(INVALID .. "%d", "")
    assert.equal(64, count)
  end)

  it("cannot be infinite", function()
    assert.equal("data.x: inf cannot be a key",
      h.bodies.problem { x = { [1 / 0] = 1 } })
    assert.equal("data: -inf cannot be a key",
      h.bodies.problem { [-1 / 0] = 1 })
  end)

  it("cannot be of another type", function()
    assert.equal("data: a boolean cannot be a key",
      h.bodies.problem { [true] = 1 })
    assert.equal("data.list[1]: a table cannot be a key",
      h.bodies.problem { list = { { [{}] = 1 } } })
    assert.equal("data: a function cannot be a key",
      h.bodies.problem { [print] = 1 })
    assert.equal("data: a userdata cannot be a key",
      h.bodies.problem { [seerstack.null] = 1 })
  end)
end)
