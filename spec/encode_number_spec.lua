local cjson = require "cjson"
local h = require "spec.helper"

local assert_written = h.bodies.assert_written
local load = h.load
local jit = rawget(_G, "jit")
local MAXINTEGER = rawget(math, "maxinteger") -- nil before Lua 5.3
local MININTEGER = rawget(math, "mininteger")

-- Whether the module is for x86 of 32 bits, which counts with more digits than
-- a double has: a few numbers keep their exponent there.
local function is_for_x87()
  local search = rawget(package, "searchpath")
  local path = search and search("seerstack", package.cpath)
  return path and h.shell.read(path):byte(19) == 3 -- e_machine of ELF
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

  it("that is minus zero keeps its sign", function()
    local minus = 0 / -1
    assert_written { minus, "-0.0", -0.0, "-0.0", -minus, "0" }
    assert.equal(-math.huge, 1 / require "cjson".decode(h.bodies.value(minus)))
  end)

  it("that is minus zero is the key 0", function()
    local minus = 0 / -1
    assert_written { { [minus] = 1 }, '{"0":1}' }
    assert.equal('data: the keys 0 and "0" collide',
      h.bodies.problem { [minus] = 1, ["0"] = 2 })
    assert.matches('"%-0.0":2', h.bodies.value { [0] = 1, ["-0.0"] = 2 })
  end)

  it("has the fewest digits that read back", function()
    assert_written {
      0.1, "0.1", 0.5, "0.5", -2.25, "-2.25", 19.99, "19.99",
      3.14159, "3.14159",
      0.00001, is_for_x87() and "1e-05" or "0.00001", 1700000000.123,
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
    for i, text in ipairs(h.bodies.values(numbers)) do
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
      assert.equal("77", h.bodies.value(ffi.cast("int64_t &", holder)))
    end)

    it("that is a NULL pointer is null", function()
      ffi.cdef "typedef struct { int64_t x; } encode_spec_pointed;"
      ffi.metatype("encode_spec_pointed", { __tostring = error })
      assert_written {
        ffi.new "void *", "null", ffi.cast("void *", 0), "null",
        ffi.new "const char *", "null", ffi.new "void (*)(int)", "null",
        ffi.new "encode_spec_pointed *", "null",
      }
    end)

    it("of any other type is refused", function()
      ffi.cdef "typedef struct { int64_t x; } encode_spec_plain;"
      for _, value in ipairs {
        ffi.new "encode_spec_plain", ffi.new("int32_t", 1),
        ffi.new("double", 1), ffi.new "int64_t[1]", ffi.cast("void *", 1),
        ffi.typeof "int64_t", ffi.typeof "encode_spec_plain",
        ffi.new "int32_t", ffi.typeof "void *", ffi.new "void *[1]",
        literal "1i", ffi.cast("int64_t *", ffi.new "int64_t[1]"),
      } do
        assert.equal("data.v: a cdata cannot be sent",
          h.bodies.problem { v = value })
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
        h.bodies.problem { v = new(1) })
      assert.equal(0, calls)
    end)

    it("cannot be a key", function()
      assert.equal("data: a cdata cannot be a key",
        h.bodies.problem { [literal "1LL"] = true })
    end)
  end)
end
