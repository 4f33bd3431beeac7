local h = require "spec.helper"

local nginx = require "dev.nginx"

describe("seerstack doctor nginx", function()
  local directory

  setup(function()
    directory = h.shell.temporary_directory "doctor"
  end)

  teardown(function() h.shell.remove(directory) end)

  local function examine(config, env)
    h.shell.write(directory .. "/nginx.conf", config)
    return h.tool.run({ "doctor", "nginx", "-c", directory .. "/nginx.conf" },
      { env = env })
  end

  local function config(top, http)
    return nginx.load_modules() .. "\npid " .. directory .. "/nginx.pid;\n"
      .. top .. "\nevents {}\nhttp {\naccess_log off;\n" .. http .. "\n}\n"
  end

  it("names what is not there, and fails", function()
    local result = examine(config("worker_processes 1;",
      'lua_package_cpath "/nowhere/?.so;";\n'
      .. 'lua_package_path "/nowhere/?.lua;;";'))
    assert.equal("", result.stderr)
    assert.equal(1, result.status)
    assert.matches("^ok    nginx/[%d.]+[^\n]*\nok    the configuration is "
      .. "valid\nok    Lua: LuaJIT [^\n]*\nFAIL  cjson: [^\n]*\n"
      .. "FAIL  seerstack: [^\n]*\nwarn  nginx does not run[^\n]*not set\n"
      .. "ok    1 worker has the whole rate limit\n$", result.stdout)
  end)

  it("tells workers to share, and of a cache that is off", function()
    local result = examine(config("worker_processes 3;",
      "lua_code_cache off;"))
    assert.matches("\nwarn  3 workers have a rate limit each: load ",
      result.stdout, 1, true)
    assert.matches("\nwarn  lua_code_cache is off", result.stdout, 1, true)
  end)

  it("finds no fault with workers that inherit the module", function()
    local result = examine(config("worker_processes 3;",
      "  init_by_lua_block { require 'x' }"))
    assert.matches("\nok    3 workers share one rate limit, if init_by_lua ",
      result.stdout, 1, true)
  end)

  it("finds modules by the configuration's own paths", function()
    local module = directory .. "/seerstack.lua"
    h.shell.write(module, 'return { _VERSION = "7.7" }')
    local result = examine(config("", "lua_package_path '" .. directory
      .. "/?.lua;;';"))
    os.remove(module)
    assert.matches("\nok    seerstack 7.7\n", result.stdout, 1, true)
  end)

  -- What the doctor says beside a process whose environment can be seen.
  local function examine_beside(key)
    local child = h.start {
      commands = "exec sleep 60\n", env = { SEERSTACK_API_KEY = key },
    }
    h.wait(function()
      local name = h.shell.read("/proc/" .. child:pid() .. "/comm")
      return name == "sleep\n"
    end)
    h.shell.write(directory .. "/nginx.pid", child:pid() .. "\n")
    local result = examine(config("", ""))
    os.remove(directory .. "/nginx.pid")
    child:finish()
    return result.stdout
  end

  it("reads the key from the environment, where that can be seen", function()
    assert.matches("\nok    key sk_live_…cdef, in the environment of process ",
      examine_beside "sk_live_0123456789abcdef", 1, true)
    assert.matches("\nFAIL  process %d+ has no SEERSTACK_API_KEY in its ",
      examine_beside(false))
  end)

  it("says where to look for the key of a real nginx", function()
    local text = config("daemon off;", "")
    h.shell.write(directory .. "/nginx.conf", text)
    local child = h.start {
      commands = "PATH=$PATH:/usr/sbin; exec nginx -e stderr -c " .. directory
        .. "/nginx.conf\n", env = { SEERSTACK_API_KEY = "sk_live_x" },
    }
    h.wait(function()
      return (h.shell.read(directory .. "/nginx.pid") or ""):find "\n"
    end, 20)
    local result = examine(text)
    child:finish()
    assert.matches("\nwarn  process %d+ does not show whether it has ",
      result.stdout)
    assert.is_nil(result.stdout:find("FAIL  process", 1, true))
  end)

  it("says what is wrong with a configuration", function()
    local result = examine "events {}\nnonsense;\n"
    assert.equal(1, result.status)
    assert.matches("\nFAIL  the configuration is not: %[emerg%][^\n]*nonsense",
      result.stdout)
  end)

  it("knows nothing else", function()
    local result = h.tool.run { "doctor", "apache" }
    assert.equal("seerstack: doctor: whose? Known is nginx\n", result.stderr)
    assert.equal(2, result.status)
  end)
end)
