local h = require "spec.helper"
local seerstack = require "seerstack"

describe("the module", function()
  it("has its functions and values, and nothing else", function()
    local types = {}
    for name, value in pairs(seerstack) do
      types[name] = type(value)
    end
    assert.same({
      new = "function", configure = "function", capture = "function",
      identify = "function", post = "function", poll = "function",
      pump = "function",
      flush = "function", close = "function", stats = "function",
      default = "function", array = "function", raw = "function",
      null = "userdata", _VERSION = "string",
    }, types)
  end)

  it("has a version of three numbers", function()
    assert.matches("^%d+%.%d+%.%d+$", seerstack._VERSION)
  end)

  it("has cjson's null", function()
    assert.equal(require "cjson".null, seerstack.null)
  end)

  it("sets no global", function()
    assert.equal("", h.run [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      require "seerstack"
      for name in pairs(_G) do
        if not before[name] then io.write(name, "\n") end
      end
    ]])
  end)

  it("loads lua-cjson and changes none of its settings", function()
    assert.equal("true\n", h.run [[
      local cjson = require "cjson"
      local function settings()
        local text = {}
        for _, name in ipairs {
          "decode_invalid_numbers", "decode_max_depth",
          "encode_invalid_numbers", "encode_keep_buffer",
          "encode_max_depth", "encode_number_precision",
          "encode_sparse_array",
        } do
          text[#text + 1] = tostring(cjson[name]())
        end
        return table.concat(text, " ")
      end
      local before = settings()
      require "seerstack"
      print(before == settings())
    ]])
  end)

  it("needs no global require", function()
    for _, before in ipairs { "", "require 'cjson'" } do
      assert.equal("table\ttable\n", h.run(before .. [[

        local load = require
        require = function() error("disabled", 0) end
        local seerstack = load "seerstack"
        local client = seerstack.new { test_mode = true }
        assert(client.events.capture { name = "x" })
        assert(client:captured()[1].body.name == "x")
        print(type(seerstack), type(package.loaded.cjson))
      ]]))
    end
  end)

  it("says where it has looked for lua-cjson", function()
    local output = h.run [[
      local path = package.cpath
      package.cpath, package.path = path:match "[^;]*seer[^;]*"
        or path:match "[^;]+", "/none/?.lua"
      package.loaded.cjson = nil
      print(pcall(require, "seerstack"))
    ]]
    assert.matches("^false.*module 'cjson' not found:.*/none/cjson.lua",
      output)
  end)

  it("raises, naming it, when cjson is another module", function()
    for what, member in pairs {
      ["7"] = "new", ["{}"] = "new", ["print"] = "new",
      ["{ decode = print, encode = print }"] = "new",
      ["{ new = function() end }"] = "decode_max_depth",
      ["{ new = function() return {} end }"] = "decode_max_depth",
    } do
      assert.equal("false\tseerstack: the module 'cjson' is not lua-cjson 2.0 "
        .. "or newer: '" .. member .. "' is missing\n",
        h.run("package.loaded.cjson = " .. what
          .. "\nprint(pcall(require, 'seerstack'))"))
    end
  end)

  it("raises, naming it, when lua-cjson cannot be loaded", function()
    local output = h.run [[
      package.loaded.cjson = nil
      package.preload.cjson = function() error("no cjson here") end
      print(pcall(require, "seerstack"))
    ]]
    assert.matches("^false.*no cjson here", output)
  end)

  it("may be loaded anew: clients of both are clients", function()
    assert.equal("true\ttrue\ttrue\ttrue\n", h.run [[
      local first = require "seerstack"
      local options = { api_key = "sk_x", base_url = "http://127.0.0.1:1" }
      local old = first.new(options)
      package.loaded.seerstack = nil
      local second = require "seerstack"
      local new = second.new(options)
      print(first ~= second, getmetatable(old) == getmetatable(new),
        old:close(), getmetatable(new).__index and new:close())
    ]])
  end)
end)
