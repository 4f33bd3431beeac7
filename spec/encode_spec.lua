local bodies = require "spec.support.bodies"
local cjson = require "cjson"
local script = require "spec.support.script"
local seerstack = require "seerstack"
local shell = require "dev.shell"

local load = rawget(_G, "loadstring") or load
local jit = rawget(_G, "jit")
local upvalueid = rawget(debug, "upvalueid")
local MAXINTEGER = rawget(math, "maxinteger") -- nil before Lua 5.3
local MININTEGER = rawget(math, "mininteger")

local INVALID = "\239\191\189" -- U+FFFD

-- { value, text, value, text... }
local function assert_written(pairs_)
  local values, expected = {}, {}
  for i = 1, #pairs_, 2 do
    values[#values + 1] = pairs_[i]
    expected[#expected + 1] = pairs_[i + 1]
  end
  assert.same(expected, bodies.values(values))
end

local function nested(levels)
  local outermost = {}
  local table_ = outermost
  for _ = 2, levels do
    table_.a = {}
    table_ = table_.a
  end
  return outermost
end

local function seconds(f)
  local start = os.clock()
  f()
  return os.clock() - start
end

local function run(code, env)
  local result = script.run { code = code, env = env }
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

describe("a number", function()
  it("with an integral value has all its digits and no point", function()
    assert_written {
      0, "0", 7, "7", 10, "10", 99, "99", 100, "100", -1, "-1",
      12345678, "12345678", 1e15, "1000000000000000",
      100000000000001, "100000000000001", -2 ^ 31, "-2147483648",
      1700000000123456, "1700000000123456",
      2 ^ 53, "9007199254740992", -2 ^ 53, "-9007199254740992",
    }
  end)

  it("that is minus zero is 0", function()
    assert_written { -0.0, "0", 0 / -1, "0" }
  end)

  it("has the fewest digits that read back", function()
    assert_written {
      0.1, "0.1", 0.5, "0.5", -2.25, "-2.25", 19.99, "19.99",
      3.14159, "3.14159", 0.00001, "0.00001", 1700000000.123,
      "1700000000.123", 123456789.125, "123456789.125",
      0.1 + 0.2, "0.30000000000000004", 1 / 3, "0.3333333333333333",
      2 / 3, "0.6666666666666666", 1e100, "1e+100", -1e-7, "-1e-07",
      1.7976931348623157e308, "1.7976931348623157e+308",
      2.2250738585072014e-308, "2.2250738585072014e-308",
      4503599627370495.5, "4503599627370495.5",
    }
  end)

  it("reads back as the same, whatever it is", function()
    local numbers = {
      5e-324, 2 ^ 63, -2 ^ 63, 2 ^ 64, 2 ^ 53 + 2, 1e22, 1e23, 9.5e-5,
      0.1 + 0.7, 1 - 2 ^ -53, 1 + 2 ^ -52, 123456.789e-9, 1e21, 1e16 + 2,
    }
    for e = -320, 300, 7 do
      numbers[#numbers + 1] = 10 ^ e
      numbers[#numbers + 1] = -(1 / 3) * 10 ^ e
    end
    for i, text in ipairs(bodies.values(numbers)) do
      assert.equal(numbers[i], tonumber(text))
      assert.equal(numbers[i], cjson.decode("[" .. text .. "]")[1])
    end
  end)

  it("that is NaN or infinite is null", function()
    assert_written { 0 / 0, "null", 1 / 0, "null", -1 / 0, "null" }
  end)

  if MAXINTEGER then
    it("that is an integer of Lua 5.3 is exact up to 64 bits", function()
      assert_written {
        MAXINTEGER, "9223372036854775807",
        MININTEGER, "-9223372036854775808",
        9007199254740993, "9007199254740993",
        76561197960287930, "76561197960287930",
      }
    end)

    it("that is a float beyond 2^53 is told from an integer", function()
      assert_written {
        2.0 ^ 60, "1.152921504606847e+18",
        1152921504606846976, "1152921504606846976",
        3.0, "3",
      }
    end)
  else
    it("beyond 2^53 reads back as the same float", function()
      assert_written {
        2 ^ 60, "1.152921504606847e+18", 2 ^ 53 + 2, "9007199254740994",
        -2 ^ 63, "-9.223372036854776e+18",
      }
    end)
  end
end)

if jit then
  describe("C data of LuaJIT", function()
    local ffi = require "ffi"

    local function literal(text)
      return load("return " .. text)()
    end

    it("that is an int64_t or uint64_t is exact", function()
      assert_written {
        literal "9223372036854775807LL", "9223372036854775807",
        literal "-9223372036854775807LL - 1LL", "-9223372036854775808",
        literal "18446744073709551615ULL", "18446744073709551615",
        literal "0LL", "0", ffi.new("const int64_t", -5), "-5",
      }
    end)

    it("that refers to an int64_t is what that holds", function()
      local holder = ffi.new("int64_t[1]", 77)
      assert.equal("77", bodies.value(ffi.cast("int64_t &", holder)))
    end)

    it("of any other type is refused", function()
      ffi.cdef "typedef struct { int64_t x; } encode_spec_plain;"
      for _, value in ipairs {
        ffi.new "encode_spec_plain", ffi.new("int32_t", 1),
        ffi.new("double", 1), ffi.new "int64_t[1]", ffi.cast("void *", 0),
        ffi.typeof "int64_t", ffi.typeof "encode_spec_plain",
        literal "1i", ffi.cast("int64_t *", ffi.new "int64_t[1]"),
      } do
        assert.equal("data.v: a cdata cannot be sent",
          bodies.problem { v = value })
      end
    end)

    it("never has its own __tostring called", function()
      local calls = 0
      ffi.cdef "typedef struct { int64_t x; } encode_spec_meta;"
      local new = ffi.metatype("encode_spec_meta", {
        __tostring = function()
          calls = calls + 1
          return "5LL"
        end,
      })
      assert.equal("data.v: a cdata cannot be sent",
        bodies.problem { v = new(1) })
      assert.equal(0, calls)
    end)

    it("cannot be a key", function()
      assert.equal("data: a cdata cannot be a key",
        bodies.problem { [literal "1LL"] = true })
    end)
  end)
end

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
    assert.same(expected, bodies.values(values))
  end)

  it("of valid UTF-8 is sent as it is", function()
    for _, text in ipairs {
      "\194\128", "\223\191", "\224\160\128", "\237\159\191", "\238\128\128",
      "\239\191\191", "\240\144\128\128", "\244\143\191\191",
      "\226\128\168 \226\128\169", "Gr\195\188\195\159e, \230\188\162\229"
        .. "\173\151 \240\159\152\128 and ASCII that goes on",
    } do
      assert.equal('"' .. text .. '"', bodies.value(text))
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
    for _, text in ipairs(bodies.values(values)) do
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
      local text = bodies.value(value)
      assert.equal("{", text:sub(1, 1))
      assert.same(expected, cjson.decode(text))
    end
  end)

  it("keeps its number keys, which are not made strings in place", function()
    local value = {}
    for i = 2, 100 do
      value[i] = i
    end
    local decoded = cjson.decode(bodies.value(value))
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
      bodies.value { address, address })
  end)
end)

describe("a key", function()
  it("may be a number or a string, but not both with one text", function()
    assert.equal('data: the keys 1 and "1" collide',
      bodies.problem { [1] = 1, ["1"] = 2 })
    assert.equal('data.a: the keys -7 and "-7" collide',
      bodies.problem { a = { [-7] = 1, ["-7"] = 2 } })
    assert.equal('data[2]: the keys 1.5 and "1.5" collide',
      bodies.problem { 1, { [1.5] = 1, ["1.5"] = 2 } })
    assert.equal('data: the keys 1e+300 and "1e+300" collide',
      bodies.problem { [1e300] = 1, ["1e+300"] = 2 })
    assert.equal('data: the keys 0.30000000000000004 and '
      .. '"0.30000000000000004" collide',
      bodies.problem { [0.1 + 0.2] = 1, ["0.30000000000000004"] = 2 })
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
    for letter in bodies.value(value):gmatch ':"(%l)"' do
      found[#found + 1] = letter
    end
    table.sort(expected)
    table.sort(found)
    assert.same(expected, found)
  end)

  if MAXINTEGER then
    it("collides as an integer of 64 bits too", function()
      assert.equal('data: the keys 9223372036854775807 and '
        .. '"9223372036854775807" collide', bodies.problem {
          [MAXINTEGER] = 1, ["9223372036854775807"] = 2,
        })
      assert.equal('data: the keys -9223372036854775808 and '
        .. '"-9223372036854775808" collide', bodies.problem {
          [MININTEGER] = 1, ["-9223372036854775808"] = 2,
        })
    end)
  end

  it("cannot be infinite", function()
    assert.equal("data.x: inf cannot be a key",
      bodies.problem { x = { [1 / 0] = 1 } })
    assert.equal("data: -inf cannot be a key",
      bodies.problem { [-1 / 0] = 1 })
  end)

  it("cannot be of another type", function()
    assert.equal("data: a boolean cannot be a key",
      bodies.problem { [true] = 1 })
    assert.equal("data.list[1]: a table cannot be a key",
      bodies.problem { list = { { [{}] = 1 } } })
    assert.equal("data: a function cannot be a key",
      bodies.problem { [print] = 1 })
    assert.equal("data: a userdata cannot be a key",
      bodies.problem { [seerstack.null] = 1 })
  end)
end)

describe("seerstack.array", function()
  it("returns its argument, which is an array from then on", function()
    local list = {}
    assert.equal(list, seerstack.array(list))
    assert.equal("[]", bodies.value(list))
    list[1] = "a"
    assert.equal('["a"]', bodies.value(list))
    assert.equal(list, seerstack.array(list))
  end)

  it("makes an array as long as the largest index, with null for holes",
    function()
      assert_written {
        seerstack.array { [3] = 3 }, "[null,null,3]",
        seerstack.array { 1, nil, { 2 }, nil, 5 }, "[1,null,[2],null,5]",
      }
    end)

  it("makes a table in which another key is refused, by its name", function()
    local array = seerstack.array
    for key, path in pairs {
      a = "data.list.a", [0] = "data.list[0]", [-1] = "data.list[-1]",
      [1.5] = "data.list[1.5]", ["1"] = 'data.list["1"]',
      [true] = "data.list[boolean]", [2 ^ 70] =
        "data.list[1.1805916207174113e+21]",
    } do
      assert.equal(path .. ": not an index of an array",
        bodies.problem { list = array { 1, [key] = 1 } })
    end
  end)

  it("ends at max_event_bytes with one enormous index", function()
    local list = seerstack.array {}
    list[2 ^ 52] = 1
    assert.is_true(seconds(function()
      assert.equal("event too large: more than 1048576 bytes "
        .. "(max_event_bytes)", bodies.problem { list = list })
    end) < 1)
  end)

  it("raises for what is no table", function()
    for _, value in ipairs { 5, "x", true, seerstack.null } do
      local ok, message = pcall(seerstack.array, value)
      assert.is_false(ok)
      assert.matches("table expected, got", message)
    end
    assert.is_false(pcall(seerstack.array))
  end)

  it("raises for a table that has a metatable already", function()
    local ok, message = pcall(seerstack.array, setmetatable({}, {}))
    assert.is_false(ok)
    assert.matches("the table has a metatable already", message)
  end)
end)

describe("the marks of lua-cjson", function()
  -- Debian's lua-cjson has none: they are put there before the first
  -- require, as OpenResty's has them.
  local function values(code)
    return run([[
      local cjson = require "cjson"
      local array_mt = { __name = "array_mt" }
      local empty_array_mt = { __name = "empty_array_mt" }
      local empty_array = {}
      if debug.upvalueid then
        empty_array = debug.upvalueid(function() return cjson end, 1)
      end
      cjson.array_mt, cjson.empty_array_mt = array_mt, empty_array_mt
      cjson.empty_array = empty_array
      local bodies = require "spec.support.bodies"
      local seerstack = require "seerstack"
    ]] .. code)
  end

  it("make arrays: array_mt, empty_array_mt and empty_array", function()
    assert.equal("[] [null,2] [] [1] {\"a\":1} [] [[]]\n", values [[
      print(table.concat(bodies.values {
        setmetatable({}, array_mt), setmetatable({ [2] = 2 }, array_mt),
        setmetatable({}, empty_array_mt), setmetatable({ 1 }, empty_array_mt),
        setmetatable({ a = 1 }, empty_array_mt), empty_array, { empty_array },
      }, " "))
    ]])
  end)

  it("are marks for seerstack.array too", function()
    assert.equal("true\n", values [[
      local list = setmetatable({}, array_mt)
      print(seerstack.array(list) == list
        and getmetatable(list) == array_mt)
    ]])
  end)

  it("are found again when the module is loaded again", function()
    assert.equal("[] []\n", values [[
      local old = seerstack.array {}
      package.loaded.seerstack = nil
      assert(require "seerstack" ~= seerstack)
      print(table.concat(bodies.values {
        setmetatable({}, array_mt), old,
      }, " "))
    ]])
  end)
end)

describe("a value that JSON has not", function()
  it("is refused, by its path and its type", function()
    assert.equal("data.callback: a function cannot be sent",
      bodies.problem { callback = print })
    assert.equal("data.items[3].callback: a function cannot be sent",
      bodies.problem { items = { 1, {}, { callback = print } } })
    assert.equal("data[1].x: a thread cannot be sent",
      bodies.problem { { x = coroutine.create(function() end) } })
    assert.equal("data.file: a userdata cannot be sent",
      bodies.problem { file = io.stdout })
  end)

  if upvalueid then
    it("is refused also when it is a light userdata", function()
      local light = upvalueid(function() return bodies end, 1)
      assert.equal("data.light: a userdata cannot be sent",
        bodies.problem { light = light })
    end)
  end

  it("has its path shown in a way that can be printed", function()
    assert.equal('data["two words"]["\\u0000\\n' .. INVALID
      .. '"][1]: a function cannot be sent',
      bodies.problem { ["two words"] = { ["\0\n\255"] = { print } } })
    assert.equal('data[""]["1st"].end: a function cannot be sent',
      bodies.problem { [""] = { ["1st"] = { ["end"] = print } } })
    assert.equal("data[-1][1.5]: a function cannot be sent",
      bodies.problem { [-1] = { [1.5] = print } })
  end)

  it("has long names in its path cut, between characters", function()
    local name = ("\195\188"):rep(30)
    assert.equal('data["' .. name:sub(1, 40) .. '"...]: a function cannot '
      .. "be sent", bodies.problem { [name] = print })
    name = "x" .. name
    assert.equal('data["' .. name:sub(1, 39) .. '"...]: a function cannot '
      .. "be sent", bodies.problem { [name] = print })
  end)

  it("has the middle of a long path left out", function()
    assert.equal("data.a.b.c.d.e: a function cannot be sent",
      bodies.problem { a = { b = { c = { d = { e = print } } } } })
    assert.equal("data.a.b.c ... .e.f: a function cannot be sent",
      bodies.problem { a = { b = { c = { d = { e = { f = print } } } } } })
  end)

  it("is refused in an array that began well", function()
    assert.equal("data.list[4]: a function cannot be sent",
      bodies.problem { list = { 1, 2, 3, print } })
  end)
end)

describe("depth and size", function()
  local TOO_LARGE =
    "event too large: more than 1048576 bytes (max_event_bytes)"

  it("may be 100 levels of tables, data being the first", function()
    local event = { name = "x", timestamp = "t", data = nested(100) }
    assert.equal('{"name":"x","timestamp":"t","data":'
      .. ('{"a":'):rep(99) .. "{}" .. ("}"):rep(100), bodies.one(event))
  end)

  it("may not be 101 levels", function()
    assert.equal("data.a.a.a ... .a.a: more than 100 levels of tables",
      bodies.problem(nested(101)))
  end)

  it("ends every cycle", function()
    local object, list = {}, {}
    object.a = object
    list[1] = list
    assert.equal("data.a.a.a ... .a.a: more than 100 levels of tables",
      bodies.problem(object))
    assert.equal(
      "data.l[1][1] ... [1][1]: more than 100 levels of tables",
      bodies.problem { l = list })
  end)

  it("ends tables that are shared exponentially, and soon", function()
    local bombs = {}
    for i, grow in ipairs {
      function(t) return { t, t } end,
      function(t) return { a = t, b = t } end,
      function(t) return { t, t, x = t } end,
      function(t) return { 1, 2, t, x = t } end,
      function(t) return seerstack.array { t, t } end,
    } do
      local bomb = {}
      for _ = 1, 60 do
        bomb = grow(bomb)
      end
      bombs[i] = bomb
    end
    assert.is_true(seconds(function()
      for _, bomb in ipairs(bombs) do
        assert.equal(TOO_LARGE, bodies.problem { bomb = bomb })
      end
    end) < (os.getenv "SANITIZER" == "valgrind" and 100 or 3))
  end)

  it("ends long tables that contain themselves, and soon", function()
    local list, object = {}, {}
    for i = 1, 300000 do
      list[i], object[i] = i, i
    end
    list[1], object[1], object.x = list, object, 1
    assert.is_true(seconds(function()
      assert.equal(TOO_LARGE, bodies.problem { list = list })
      assert.equal(TOO_LARGE, bodies.problem { object = object })
    end) < 3)
  end)

  it("may be exactly max_event_bytes", function()
    local event = { name = "x", timestamp = "t", data = { s = "" } }
    local least = #bodies.one(event)
    event.data.s = ("y"):rep(1000 - least)
    assert.equal(1000,
      #bodies.one(event, "capture", { max_event_bytes = 1000 }))
    local message, err =
      bodies.refused(event, "capture", { max_event_bytes = 999 })
    assert.equal("event too large: more than 999 bytes (max_event_bytes)",
      message)
    assert.equal("ValidationError", err.name)
  end)

  it("may not be more at any place of the event", function()
    local event = {
      name = "some.name", user_id = "user_1", timestamp = "t",
      data = { a = { 1, 2.5, "x" } }, extra = { true },
    }
    local length = #bodies.one(event)
    for limit = 1, length - 1 do
      assert.equal("event too large: more than " .. limit
        .. " bytes (max_event_bytes)",
        (bodies.refused(event, "capture", { max_event_bytes = limit })))
    end
  end)

  it("may be reached by an event after one that was refused", function()
    bodies.during(function(send)
      assert.is_nil((send { name = "x", data = { print } }))
      assert.is_nil((send { name = "x", data = { s = ("x"):rep(2000000) } }))
      assert.is_true(send { name = "x", data = { s = ("x"):rep(900000) } })
    end)
  end)
end)

describe("the encoder", function()
  it("is not disturbed by a locale with another decimal point", function()
    local directory = shell.temporary_directory "locale"
    for _, name in ipairs { "de_DE", "ps_AF" } do
      assert.equal(0, shell.run("localedef -i " .. name .. " -f UTF-8 "
        .. shell.quote(directory .. "/" .. name .. ".UTF-8")))
    end
    local output = run([[
      local bodies = require "spec.support.bodies"
      local values = {
        0.5, 19.99, 0.1 + 0.2, 1e-7, 1.7976931348623157e308,
        123456789.12345679, { [1.5] = 1 }, { [1 / 3] = { 2.5 } },
      }
      local expected = table.concat(bodies.values(values), " ")
      for _, name in ipairs { "de_DE.UTF-8", "ps_AF.UTF-8" } do
        assert(os.setlocale(name), "no locale " .. name)
        local texts = table.concat(bodies.values(values), " ")
        assert(texts == expected, texts)
        print(bodies.problem { [1 / 3] = 1, ["0.3333333333333333"] = 2 })
        print(bodies.problem { [2.5] = 1, ["2.5"] = 2 })
        print(bodies.problem { [2.5] = print })
        print(bodies.value { [2.5] = 1, ["2,5"] = 2 } ~= nil)
        assert(os.setlocale(nil) == name)
      end
      print(expected)
    ]], { LOCPATH = directory })
    shell.remove(directory)
    assert.equal(([[
data: the keys 0.3333333333333333 and "0.3333333333333333" collide
data: the keys 2.5 and "2.5" collide
data[2.5]: a function cannot be sent
true
]]):rep(2) .. '0.5 19.99 0.30000000000000004 1e-07 '
      .. "1.7976931348623157e+308 123456789.12345679 "
      .. '{"1.5":1} {"0.3333333333333333":[2.5]}\n', output)
  end)

  it("makes no garbage", function()
    local event = {
      name = "invoice.paid", user_id = 12345, timestamp = 1700000000.5,
      extra = 1, [7] = "seven",
      data = {
        amount = 19.99, count = 7, paid = true, none = seerstack.null,
        list = { 1, 2, { 3 } }, [5] = "five", ["6"] = "six", [1.5] = 1 / 3,
        empty = {}, marked = seerstack.array { nil, 2 }, text = "\255\n",
      },
    }
    -- What LuaJIT compiles meanwhile is garbage too, but not ours.
    bodies.during(function(send)
      if jit then
        jit.off()
      end
      collectgarbage()
      collectgarbage "stop"
      send(event) -- collecting may have made the Lua stack shorter
      local before = collectgarbage "count"
      for _ = 1, 1000 do
        send(event)
      end
      local made = collectgarbage "count" - before
      collectgarbage "restart"
      if jit then
        jit.on()
      end
      assert.is_true(made < 1, made .. " KiB of garbage")
    end)
  end)

  it("needs no more of the Lua stack than it asks for", function()
    local function deep(levels)
      if levels == 0 then
        return bodies.value(nested(99))
      end
      return (deep(levels - 1))
    end
    assert.equal(('{"a":'):rep(98) .. "{}" .. ("}"):rep(98), deep(150))
  end)
end)
