-- Small things that the other helpers are made of.

local util = {}

-- How many times longer things may take than on a machine of one's own:
-- valgrind runs one thread at a time, and each some thirty times slower;
-- ThreadSanitizer some five times, of what it sees; qemu some ten times.
util.slow = ({ valgrind = 6, tsan = 3, qemu = 4 })[os.getenv "SANITIZER"
  or os.getenv "EMULATOR"] or 1

-- Whether to wait for what comes 30 s after the last request. Nothing of that
-- depends on the version of Lua, so it is seen on 5.4 only; SEER_SLOW=1 asks
-- for it elsewhere, and SEER_SLOW=0 does without.
util.patient = os.getenv "SEER_SLOW" == "1"
  or (_VERSION == "Lua 5.4" and os.getenv "SEER_SLOW" ~= "0")

-- The environment in which no detector looks for leaks: for programs that
-- fork, since it takes for lost what was the thread's, which a child has no
-- more.
util.NO_LEAKS = {
  ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0",
  VALGRIND_OPTS = (os.getenv "VALGRIND_OPTS" or "") .. " --leak-check=no",
}

-- Compiles text, on every Lua.
util.load = rawget(_G, "loadstring") or load

-- The fields of some tables in a new one. Later tables go over earlier ones;
-- nil counts as an empty table.
function util.merge(...)
  local all = {}
  for i = 1, select("#", ...) do
    local fields = select(i, ...)
    for name, value in pairs(fields or {}) do
      all[name] = value
    end
  end
  return all
end

-- A list of all arguments or results, and their number `n`.
function util.pack(...)
  return { n = select("#", ...), ... }
end

-- A table of so many levels.
function util.nest(levels)
  local nested = { bottom = true }
  for _ = 2, levels do
    nested = { d = nested }
  end
  return nested
end

-- Collects all garbage: what a finalizer has let go of only goes the second
-- time.
function util.collect()
  collectgarbage()
  collectgarbage()
end

-- How many seconds of the processor's time f takes.
function util.seconds(f)
  local start = os.clock()
  f()
  return os.clock() - start
end

return util
