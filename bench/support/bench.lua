-- What the rows share: rounds that take turns, medians, and where results go.

local cjson = require "cjson"
local native = require "seer_bench_native"
local shell = require "dev.shell"

local bench = { native = native }

bench.quick = os.getenv "QUICK" == "1"
bench.directory = os.getenv "BENCH_DIRECTORY" or "build/bench"
bench.url = os.getenv "BENCH_URL"
bench.tls_url = os.getenv "BENCH_TLS_URL"
bench.ca_file = os.getenv "BENCH_CA_FILE"
bench.lua = rawget(_G, "jit") and "LuaJIT" or _VERSION

-- The server's core, and that of who is measured: the lowest and the highest
-- that there are, the same one on a machine with one.
bench.server_core, bench.core = native.cores()

-- Rounds of a row: seven is the least whose quartiles say something.
bench.rounds = tonumber(os.getenv "ROUNDS") or (bench.quick and 3 or 9)

-- A full size, or the tenth of it for a quick run.
function bench.size(full)
  return bench.quick and math.ceil(full / 10) or full
end

function bench.quantile(sorted, share)
  local place = 1 + (#sorted - 1) * share
  local low = math.floor(place)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low)
end

-- { median, q1, q3 } of a list.
function bench.summary(values)
  local sorted = {}
  for i, value in ipairs(values) do
    sorted[i] = value
  end
  table.sort(sorted)
  return {
    median = bench.quantile(sorted, 0.5),
    q1 = bench.quantile(sorted, 0.25),
    q3 = bench.quantile(sorted, 0.75),
  }
end

-- Runs functions in turns, A B C A B C ..., each of which returns a table of
-- figures, after a turn that does not count. Gives
-- { [function's name] = { [figure's name] = list } }.
function bench.interleave(contestants, rounds)
  local found = {}
  for _, contestant in ipairs(contestants) do
    found[contestant.name] = {}
  end
  for round = 0, rounds or bench.rounds do
    for _, contestant in ipairs(contestants) do
      collectgarbage()
      local figures = contestant.run(round)
      for name, value in pairs(round > 0 and figures or {}) do
        local lists = found[contestant.name]
        lists[name] = lists[name] or {}
        table.insert(lists[name], value)
      end
    end
  end
  return found
end

-- The ratio of each round, so that what slows a whole round down cancels.
function bench.ratios(ours, peers)
  local ratios = {}
  for i = 1, #ours do
    ratios[i] = ours[i] / peers[i]
  end
  return ratios
end

-- Writes a line of the table. `ours` and `peer` are lists of the rounds'
-- figures; `target` is "<= 1.0" or ">= 0.95" and bounds their ratio, or with
-- `absolute` our figure; nil: none, it is shown for comparison.
function bench.result(row, entry)
  local result = {
    row = row, what = entry.what, unit = entry.unit, target = entry.target,
    peer_name = entry.peer_name, note = entry.note,
    ours = entry.ours and bench.summary(entry.ours),
    peer = entry.peer and bench.summary(entry.peer),
    absolute = entry.absolute,
  }
  if entry.ours and entry.peer then
    result.ratio = bench.summary(bench.ratios(entry.ours, entry.peer))
  end
  local sign, bound = (entry.target or ""):match "^([<>])= ([%d.]+)"
  local judged = entry.absolute and result.ours or result.ratio
  if sign and judged then
    local over = judged.median > tonumber(bound)
    result.met = sign == "<" and not over
      or sign == ">" and (over or judged.median == tonumber(bound))
  end
  local path = bench.directory .. "/results/" .. row .. ".jsonl"
  local file = assert(io.open(path, "a"))
  file:write(cjson.encode(result), "\n")
  file:close()
  print(("  %s [%s]:%s%s%s"):format(entry.what, entry.unit,
    result.ours and (" ours %.4g"):format(result.ours.median) or "",
    result.peer and (" %s %.4g"):format(entry.peer_name,
      result.peer.median) or "",
    result.ratio and (", ratio %.3f (%.3f .. %.3f)"):format(
      result.ratio.median, result.ratio.q1, result.ratio.q3) or ""))
end

-- Keeps what a graph is made of.
function bench.data(name, value)
  shell.write(bench.directory .. "/data/" .. name .. ".json",
    cjson.encode(value))
end

-- A client that sends as fast as it can to the server of the run, with room
-- for a million events.
function bench.client(options)
  local seerstack = require "seerstack"
  local all = {
    api_key = "sk_bench", base_url = bench.url, rate_limit = false,
    max_queue_events = 2000000, max_queue_bytes = 4 * 2 ^ 30,
    exit_timeout = 0.1,
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return seerstack.new(all)
end

-- Starts the sender, which then stays on the server's core, and leaves the
-- caller alone on its own: the thread inherits where its creator was.
function bench.separate(client)
  local pinned = native.pin(bench.server_core)
  client.events.capture { name = "bench.started" }
  assert(client:flush(30))
  pinned = native.pin(bench.core) and pinned
  if not pinned then
    io.stderr:write("  not pinned: this process may not choose its cores\n")
  end
end

return bench
