-- Plants each defect of list.lua into a copy of the tree and of what was built
-- of it, builds what is defective, and runs the test that has to notice. JOBS
-- at a time; arguments restrict it to those whose description contains one of
-- them.
--   lua checks/mutants/run.lua [text...]

local shell = require "dev.shell"
local list = require "checks.mutants.list"

local quote = shell.quote
local JOBS = tonumber(os.getenv "JOBS") or 2
local SECONDS = 240 -- for a test; a defect may make it hang

local function wanted(mutant)
  for _, text in ipairs(arg) do
    if mutant.what:find(text, 1, true) then
      return true
    end
  end
  return #arg == 0
end

-- The text with the defect in it; nil if there is no place for that.
local function mutate(mutant)
  local source = assert(shell.read(mutant.file), mutant.file)
  local first, last = source:find(mutant.from, 1, true)
  if not first or source:find(mutant.from, last + 1, true) then
    return nil
  end
  return source:sub(1, first - 1) .. mutant.to .. source:sub(last + 1)
end

-- What one job does: all it says is in its directory's files.
local SCRIPT = [[
cd %s || exit
cp -a Makefile src bin dev checks spec rockspec library docs examples bench \
  *.md LICENSE %s/
mkdir %s/build && cp -a build/5.4 build/core %s/build/
cp %s/mutant %s/%s
cd %s && {
  make --quiet LUA=5.4 %s specs-ready >build.txt 2>&1 || {
    echo build >result.new; mv result.new result; exit; }
  FILTER=%s SANITIZER=%s LUAS=5.4 timeout -k 5 %d dev/test.sh %s \
    >output.txt 2>&1
  echo $? >result.new; mv result.new result
}
]]

local FLAGS = {
  tsan = 'SUFFIX=-tsan HARDENING= CFLAGS="-O1 -g -fsanitize=thread" '
    .. 'LDFLAGS=-fsanitize=thread',
}

local function start(mutant, directory, here)
  local copy = quote(directory)
  shell.write(directory .. "/mutant", mutant.text)
  shell.write(directory .. "/run.sh", SCRIPT:format(quote(here), copy, copy,
    copy, copy, copy, mutant.file, copy, FLAGS[mutant.lane] or "",
    mutant.lane and "''" or quote((mutant.title:gsub("%p", "%%%0"))),
    mutant.lane or "", SECONDS, mutant.spec))
  shell.run("bash " .. quote(directory .. "/run.sh")
    .. " </dev/null >/dev/null 2>&1 &")
end

-- Whether the named test has failed; and what has instead.
local function judge(mutant, directory)
  local result = shell.read(directory .. "/result"):match("%S+")
  local output = shell.read(directory .. "/output.txt") or ""
  local failures = {}
  if result == "build" then
    return false, "it does not compile: "
      .. (shell.read(directory .. "/build.txt") or "")
  end
  if mutant.lane and output:find(mutant.title, 1, true) then
    return true, mutant.title
  end
  output = output:gsub("%f[%w]ERROR ", "FAILED ")
  for title in output:gmatch("%f[%w]FAILED (%C+)") do
    failures[#failures + 1] = title
    if title:find(mutant.title, 1, true) then
      return true, title
    end
  end
  return false, #failures == 0 and "nothing failed"
    or "failed instead: " .. table.concat(failures, "; ")
end

local passed, failed = 0, 0

local function report(mutant, caught, said)
  passed, failed = passed + (caught and 1 or 0), failed + (caught and 0 or 1)
  print(("%s %s\n   %s"):format(caught and "caught" or "NOT CAUGHT",
    mutant.what, said))
  io.stdout:flush()
end

local function finish(job)
  report(job.mutant, judge(job.mutant, job.directory))
  shell.remove(job.directory)
end

local here = shell.output("pwd")
local running = {}

local function wait_for_one()
  while true do
    for i, job in ipairs(running) do
      if shell.read(job.directory .. "/result") then
        table.remove(running, i)
        return finish(job)
      end
    end
    shell.run("sleep 0.2")
  end
end

for _, mutant in ipairs(list) do
  if wanted(mutant) then
    mutant.text = mutate(mutant)
    if not mutant.text then
      report(mutant, false, "its place is not in " .. mutant.file)
    else
      if #running >= JOBS then
        wait_for_one()
      end
      local directory = shell.temporary_directory("mutant")
      start(mutant, directory, here)
      running[#running + 1] = { mutant = mutant, directory = directory }
    end
  end
end
while #running > 0 do
  wait_for_one()
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)
