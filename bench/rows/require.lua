-- `require "seerstack"` in a fresh process, against lua-cjson plus a libcurl,
-- which is most of it: Lua-cURL where Debian has it for this Lua (LuaJIT), and
-- else the same libcurl by itself.

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

for _, lua in ipairs(LUAS) do
  local program, build = lua[1], lua[2]
  local peer, name = 'require "cjson" require "curl"', "cjson and Lua-cURL"
  if shell.run(program .. " -e 'require \"curl\"' 2>/dev/null") ~= 0 then
    peer = 'require "cjson" require "seer_bench_curl"'
    name = "cjson and libcurl"
  end
  local found = bench.interleave {
    { name = "ours", run = starts(program, build, 'require "seerstack"') },
    { name = "peer", run = starts(program, build, peer) },
    { name = "nothing", run = starts(program, build, "") },
  }
  bench.result("require", {
    what = 'require "seerstack", whole process, ' .. program, unit = "ms",
    ours = found.ours.ms, peer = found.peer.ms, peer_name = name,
    target = "<= 1.0",
  })
  bench.result("require", {
    what = "the same, beside", unit = "ms",
    ours = found.ours.ms, peer = found.nothing.ms,
    peer_name = program .. " alone",
  })
end
