-- Counts the instructions of a `capture` on the caller's thread, by callgrind,
-- and fails when they are more than 2 % above bench/instructions.txt.
-- UPDATE=1 writes that file anew. See bench/README.md for what is counted.

local shell = require "dev.shell"

local FIGURES = "bench/instructions.txt"
local COUNT = 2000
local TOLERANCE = 1.02       -- of the figure, with the compiler it is of
local OTHER_TOLERANCE = 1.10 -- of the ratio to cjson, with another one
local STORED = 1.03          -- of a capture without a store behind it
local ATTEMPTS = 8

local directory = os.getenv "BENCH_DIRECTORY" or "build/bench"
local suffix = os.getenv "SUFFIX" or ""
local out = directory .. "/callgrind" .. suffix

-- LuaJIT's compiler is off, for valgrind does not see what it makes; it would
-- not compile a call of a C function anyway.
local LUAS = {
  { name = "5.4", command = "lua5.4", version = "lua5.4 -v 2>&1" },
  { name = "luajit", command = "luajit -joff", version = "luajit -v 2>&1" },
}

-- Nothing of the caller's environment, for its size moves the stack. Without
-- the wide instructions, libc does the same on every processor. Threads take
-- turns, or the sender would make memory at times only.
local COMMAND = [[rm -rf %s.* %s-* && \
env -i PATH="$PATH" LUA_CPATH="%s/?.so;;" \
GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-ERMS,-AVX512VL \
valgrind --fair-sched=try --tool=callgrind --callgrind-out-file=%s \
--separate-threads=yes --dump-before=exit \
%s bench/support/count.lua %s %s %d %s-store >%s.log 2>&1]]

-- Instructions of the first thread, from its beginning until the interpreter
-- has closed its state: what Lua has to free is counted, and not that the
-- module drops at exit what was not sent in time.
local function run(lua, what, size, count)
  local build = "build/" .. lua.name .. suffix
  local command = COMMAND:format(out, out, build, out, lua.command, what, size,
    count, out, out)
  if shell.run(command) ~= 0 then
    error("valgrind:\n" .. (shell.read(out .. ".log") or ""), 0)
  end
  local text = assert(shell.read(out .. ".1-01"), "no counts")
  return assert(tonumber(text:match "\nsummary: (%d+)"), "no summary")
end

-- Of one call: what twice as many calls cost more. The beginning and the end
-- of the process cancel.
local function count(lua, what, size)
  local once = run(lua, what, size, COUNT)
  local twice = run(lua, what, size, 2 * COUNT)
  return math.floor((twice - once) / COUNT + 0.5)
end

-- The compiler that made the module, as that says itself.
local function compiler(lua)
  local text = shell.output(("readelf -p .comment build/%s%s/seerstack.so")
    :format(lua.name, suffix))
  local clang = text:match "clang version ([%d.]+)"
  return clang and "clang " .. clang
    or "GCC " .. (text:match "GCC: %b() ([%d.]+)" or "?")
end

-- What the counts depend on beside our sources.
local function toolchain(lua)
  local parts = {
    shell.output "uname -m",
    compiler(lua),
    shell.output "getconf GNU_LIBC_VERSION",
    shell.output(lua.version):match "^%S+ %S+",
  }
  return (table.concat(parts, ", "))
end

-- { { toolchain, lua, size, capture, cjson }, ... }
local function read_figures()
  local figures = {}
  for line in (shell.read(FIGURES) or ""):gmatch "[^\n]+" do
    local chain, lua, size, capture, cjson =
      line:match "^(.-)%s*|%s*(%S+)%s+(%S+)%s+(%d+)%s+(%d+)$"
    if chain then
      figures[#figures + 1] = {
        toolchain = chain, lua = lua, size = size,
        capture = tonumber(capture), cjson = tonumber(cjson),
      }
    end
  end
  return figures
end

local function write_figures(figures)
  local lines = {
    "# Instructions of one call: of capture, and of cjson.encode of the same",
    "# table. Written by `make bench-instructions UPDATE=1`.",
    "# toolchain | Lua, event, capture, cjson",
  }
  for _, figure in ipairs(figures) do
    lines[#lines + 1] = ("%s | %s %s %d %d"):format(figure.toolchain,
      figure.lua, figure.size, figure.capture, figure.cjson)
  end
  shell.write(FIGURES, table.concat(lines, "\n") .. "\n")
end

-- The figure of this toolchain, or else of any, with false.
local function find(figures, chain, lua, size)
  local other
  for _, figure in ipairs(figures) do
    if figure.lua == lua.name and figure.size == size then
      if figure.toolchain == chain then
        return figure, true
      end
      other = other or figure
    end
  end
  return other, false
end

-- How hash tables lie differs from run to run, and so does what memory the
-- sender has made ahead: by two per cent. So what is too much is counted
-- again, and the least counts.
local function least(lua, what, size, limit)
  local capture = count(lua, what, size)
  for _ = 2, ATTEMPTS do
    if capture <= limit then
      break
    end
    capture = math.min(capture, count(lua, what, size))
  end
  return capture
end

-- For a figure: a least of all might be one that few runs come near.
local function low(lua, size)
  local counts = {}
  for i = 1, ATTEMPTS do
    counts[i] = count(lua, "capture", size)
  end
  table.sort(counts)
  return counts[2]
end

-- Whether it is within the limit, which is told.
local function check(figures, chain, lua, size, cjson)
  local figure, same = find(figures, chain, lua, size)
  if not figure then
    print(("FAILED %s, %s: %s has no figure"):format(lua.name, size, FIGURES))
    return false, count(lua, "capture", size)
  end
  local limit = figure.capture * TOLERANCE
  if not same then
    limit = cjson * figure.capture / figure.cjson * OTHER_TOLERANCE
  end
  local capture = least(lua, "capture", size, limit)
  local passed = capture <= limit
  print(("%s %-6s %-5s capture %6d, cjson.encode %6d; limit %.0f: %s")
    :format(passed and "ok    " or "FAILED", lua.name, size, capture, cjson,
      limit, same and ("the figure %d + 2 %%"):format(figure.capture)
        or "no figure of '" .. chain
          .. "', so by cjson's count: its ratio in the file + 10 %"))
  return passed, capture, same and figure.capture
end

-- Whether a store costs the caller no more than it may, which is told. A count
-- without one that is lower than its figure was lucky.
local function check_stored(lua, plain, figure)
  local limit = math.max(plain, figure or 0) * STORED
  local stored = least(lua, "stored", "small", limit)
  print(("%s %-6s small with a store %6d, without one %6d; limit + %.0f %%")
    :format(stored <= limit and "ok    " or "FAILED", lua.name, stored, plain,
      (STORED - 1) * 100))
  return stored <= limit, stored
end

local function record(lua, size, capture, cjson, figure)
  local bench = require "bench.support.bench"
  local what = ("capture, %s, %s"):format(size == "small" and "1 property"
    or "20 properties", lua.name == "5.4" and "Lua 5.4" or "LuaJIT, -joff")
  bench.result("instructions", {
    what = what, unit = "instructions", ours = { capture },
    peer = { cjson }, peer_name = "cjson.encode",
    target = size == "small" and (lua.name == "5.4" and "<= 1.0" or "<= 1.1")
      or nil,
  })
  if figure then
    bench.result("instructions", {
      what = what, unit = "instructions", ours = { capture },
      peer = { figure }, peer_name = "committed figure", target = "<= 1.02",
    })
  end
end

local function record_stored(lua, stored, plain)
  require "bench.support.bench".result("instructions", {
    what = "capture with a store, 1 property, " .. lua.name,
    unit = "instructions", ours = { stored }, peer = { plain },
    peer_name = "without one", target = "<= 1.03",
  })
end

local figures, fresh = read_figures(), {}
local update, recording = os.getenv "UPDATE" == "1", os.getenv "BENCH_URL"
local passed, failed = 0, 0

local function tally(ok)
  passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
end

assert(shell.run("mkdir -p " .. shell.quote(directory)) == 0)
for _, lua in ipairs(LUAS) do
  local chain = toolchain(lua)
  for _, size in ipairs { "small", "big" } do
    local cjson = count(lua, "cjson", size)
    local fresh_figure = {
      toolchain = chain, lua = lua.name, size = size, cjson = cjson,
    }
    if update then
      fresh_figure.capture = low(lua, size)
      fresh[#fresh + 1] = fresh_figure
      print(lua.name, size, fresh_figure.capture, cjson)
    else
      local ok, capture, figure = check(figures, chain, lua, size, cjson)
      tally(ok)
      if recording then
        record(lua, size, capture, cjson, figure)
      end
      if size == "small" then
        local fits, stored = check_stored(lua, capture, figure)
        tally(fits)
        if recording then
          record_stored(lua, stored, capture)
        end
      end
    end
  end
end

-- Figures of other toolchains stay.
if update then
  for _, figure in ipairs(figures) do
    local is_fresh = false
    for _, new in ipairs(fresh) do
      is_fresh = is_fresh or figure.toolchain == new.toolchain
    end
    if not is_fresh then
      fresh[#fresh + 1] = figure
    end
  end
  write_figures(fresh)
else
  print(("%d passed, %d failed"):format(passed, failed))
  os.exit(failed == 0 and 0 or 1)
end
