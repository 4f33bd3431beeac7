-- Prints the table of what has been measured, and keeps it as results.json
-- and table.md in the run's directory.

local cjson = require "cjson"
local shell = require "dev.shell"

local ROWS = { "capture", "growing", "instructions", "latency", "threads",
  "memory", "drain", "sending", "tls", "nginx", "length", "idle", "clients",
  "require", "budget", "redis" }

local directory = os.getenv "BENCH_DIRECTORY" or "build/bench"

local function read_results()
  local results = {}
  for _, row in ipairs(ROWS) do
    local text = shell.read(directory .. "/results/" .. row .. ".jsonl") or ""
    for line in text:gmatch "[^\n]+" do
      results[#results + 1] = cjson.decode(line)
    end
  end
  return results
end

-- Three digits, and thousands told apart.
local function number(value)
  if value == 0 then
    return "0"
  end
  local digits = math.max(0, 2 - math.floor(math.log(math.abs(value), 10)))
  local text = ("%." .. digits .. "f"):format(value)
  local whole, rest = text:match "^(%-?%d+)(.*)$"
  whole = whole:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return whole .. rest
end

-- The median, and the quartiles where there are rounds that differ.
local function figure(summary)
  if not summary then
    return ""
  elseif summary.q1 == summary.q3 then
    return number(summary.median)
  end
  return ("%s (%s .. %s)"):format(number(summary.median),
    number(summary.q1), number(summary.q3))
end

local function ratio(summary)
  if not summary then
    return ""
  elseif summary.q1 == summary.q3 then
    return ("%.3f"):format(summary.median)
  end
  return ("%.3f (%.3f .. %.3f)"):format(summary.median, summary.q1,
    summary.q3)
end

local function cells(result)
  local peer = figure(result.peer)
  if result.peer_name then
    peer = result.peer_name .. (peer ~= "" and ": " .. peer or "")
  end
  local met = result.met == nil and "" or result.met and "met" or "NOT MET"
  return { result.what, figure(result.ours), result.unit or "", peer,
    ratio(result.ratio), result.target or "", met }
end

local HEAD = { "what", "ours", "unit", "peer", "ratio", "target", "" }

local function lay_out(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i] or 3, #cell)
    end
  end
  for n, row in ipairs(rows) do
    local padded, rule = {}, {}
    for i, cell in ipairs(row) do
      padded[i] = cell .. (" "):rep(widths[i] - #cell)
      rule[i] = ("-"):rep(widths[i])
    end
    lines[#lines + 1] = "| " .. table.concat(padded, " | ") .. " |"
    if n == 1 then
      lines[#lines + 1] = "| " .. table.concat(rule, " | ") .. " |"
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local results = read_results()
local rows, met, judged = { HEAD }, 0, 0
for _, result in ipairs(results) do
  rows[#rows + 1] = cells(result)
  if result.met ~= nil then
    judged, met = judged + 1, met + (result.met and 1 or 0)
  end
end
local text = lay_out(rows)
shell.write(directory .. "/table.md", text)
shell.write(directory .. "/results.json", cjson.encode(results))
print(("\n%d of %d targets met"):format(met, judged))
print "Medians of the rounds, with quartiles; ratios are those of rounds.\n"
