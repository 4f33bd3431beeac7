-- `require "seerstack"` in a fresh process, against lua-cjson plus Lua-cURL
-- where Debian has it for this Lua (LuaJIT: linked to the libcurl of GnuTLS),
-- and against lua-cjson plus the same libcurl by itself, which is most of it.

local bench = require "bench.support.bench"
local shell = require "dev.shell"

local TIMES = bench.quick and 5 or 20
local LUAS = { { "lua5.4", "5.4" }, { "luajit", "luajit" } }

-- Many processes, one after the other: milliseconds of each.
local function starts(program, build, code)
  local command = ("LUA_CPATH='build/%s/?.so;build/bench/%s/?.so;;' "
    .. "taskset -c %d bash -c %s"):format(build, build, bench.core,
    shell.quote(("for ((i = 0; i < %d; i++)); do %s -e %s; done")
      :format(TIMES, program, shell.quote(code))))
  return function()
    local before = bench.native.wall()
    assert(shell.run(command) == 0)
    return { ms = (bench.native.wall() - before) / TIMES / 1e6 }
  end
end

local OURS = 'require "seerstack"'
local LUA_CURL = 'require "cjson" require "curl"'
local LIBCURL = 'require "cjson" require "seer_bench_curl"'

for _, lua in ipairs(LUAS) do
  local program, build = lua[1], lua[2]
  local has_lua_curl =
    shell.run(program .. " -e 'require \"curl\"' 2>/dev/null") == 0
  local contestants = {
    { name = "ours", run = starts(program, build, OURS) },
    { name = "libcurl", run = starts(program, build, LIBCURL) },
    { name = "nothing", run = starts(program, build, "") },
  }
  if has_lua_curl then
    contestants[4] = { name = "Lua-cURL",
      run = starts(program, build, LUA_CURL) }
  end
  local found = bench.interleave(contestants)

  local function compare(name, label, target)
    bench.result("require", {
      what = OURS .. ", whole process, " .. program, unit = "ms",
      ours = found.ours.ms, peer = found[name].ms, peer_name = label,
      target = target,
    })
  end

  if has_lua_curl then
    compare("Lua-cURL", "cjson and Lua-cURL", "<= 1.0")
  end
  compare("libcurl", "cjson and the same libcurl",
    not has_lua_curl and "<= 1.0" or nil)
  compare("nothing", program .. " alone")
end
