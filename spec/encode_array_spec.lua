local h = require "spec.helper"
local seerstack = require "seerstack"

local assert_written = h.bodies.assert_written

describe("seerstack.array", function()
  it("returns its argument, which is an array from then on", function()
    local list = {}
    assert.equal(list, seerstack.array(list))
    assert.equal("[]", h.bodies.value(list))
    list[1] = "a"
    assert.equal('["a"]', h.bodies.value(list))
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
        h.bodies.problem { list = array { 1, [key] = 1 } })
    end
  end)

  it("ends at max_event_bytes with one enormous index", function()
    local list = seerstack.array {}
    list[2 ^ 52] = 1
    assert.is_true(h.seconds(function()
      assert.equal("event too large: more than 1048576 bytes "
        .. "(max_event_bytes)", h.bodies.problem { list = list })
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
    return h.run([[
      local array_mt = { __name = "array_mt" }
      local empty_array_mt = { __name = "empty_array_mt" }
      local empty_array = {}
      if debug.upvalueid then
        empty_array = debug.upvalueid(function() return cjson end, 1)
      end
      cjson.array_mt, cjson.empty_array_mt = array_mt, empty_array_mt
      cjson.empty_array = empty_array
      local bodies = require "spec.support.bodies"
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
