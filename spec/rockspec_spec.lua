local h = require "spec.helper"

local jit = rawget(_G, "jit")
local version = _VERSION:match("%d%.%d")

-- LuaRocks finds PUC Lua by itself.
local function variables()
  if not jit then
    return ""
  end
  return " LUA_INTERPRETER=luajit LUA_INCDIR="
    .. h.shell.output("pkg-config --variable=includedir luajit")
end

describe("the rockspec", function()
  local directory, status

  -- LuaRocks puts objects beside the sources, so it gets a copy of them.
  setup(function()
    directory = h.shell.temporary_directory("rockspec")
    status = h.shell.run("cp -r src bin docs library rockspec "
      .. h.shell.quote(directory) .. " && cd " .. h.shell.quote(directory)
      .. " && env -u LUA_PATH -u LUA_CPATH HOME=. luarocks --lua-version="
      .. version .. " --tree=tree make --deps-mode=none"
      .. " rockspec/seerstack-[0-9]*.rockspec" .. variables() .. " >log 2>&1")
  end)

  teardown(function()
    h.shell.remove(directory)
  end)

  local function module_path()
    return directory .. "/tree/lib/lua/" .. version .. "/seerstack.so"
  end

  it("builds and installs the module", function()
    assert.equal(0, status, h.shell.read(directory .. "/log"))
    assert.is_string(h.shell.read(module_path()))
  end)

  it("brings the manual, and the annotations for editors", function()
    for _, name in ipairs { "docs/install.md", "library/seerstack.lua" } do
      assert.equal("1", h.shell.output("find "
        .. h.shell.quote(directory .. "/tree/lib/luarocks")
        .. " -path '*/" .. name .. "' | wc -l"))
    end
  end)

  it("installs the command, with its parts and its page", function()
    local command = h.shell.quote(directory .. "/tree/bin/seerstack")
    local result = h.script.run {
      commands = ("exec %s listen --port 0 -- sh -c '%s send a.b && "
        .. "curl -s $SEERSTACK_BASE_URL/ | grep -c doctype'\n")
        :format(command, command),
      env = {
        LUA_PATH = directory .. "/tree/share/lua/" .. version .. "/?.lua;;",
        LUA_CPATH = directory .. "/tree/lib/lua/" .. version .. "/?.so;;",
      },
    }
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert.matches("200 a.b %d+ ms\n1\n", result.stdout)
  end)

  it("builds a module that exports one symbol", function()
    local symbols = h.shell.output("nm -D --defined-only "
      .. h.shell.quote(module_path()))
    assert.matches("^%x+ T luaopen_seerstack$", symbols)
  end)

  it("builds a module that delivers an event at exit", function()
    local server = h.start_standin()
    local result = h.script.run {
      code = [[
        assert(package.searchpath == nil
          or package.searchpath("seerstack", package.cpath) == arg[1])
        assert(seerstack.capture { name = "rock.installed" })
      ]],
      args = { module_path() },
      env = {
        LUA_CPATH = module_path():gsub("seerstack%.so$", "?.so") .. ";;",
        SEERSTACK_API_KEY = server.key,
        SEERSTACK_BASE_URL = server.url,
      },
    }
    local events = server:events()
    server:stop()
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert.equal(1, #events)
    assert.matches('"name":"rock.installed"', events[1].body, 1, true)
  end)
end)
