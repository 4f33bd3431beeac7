-- Draws what the rows latency, drain and length have left in the run's data,
-- as SVG, and cost.svg of several rows. No library is needed for that.

local cjson = require "cjson"
local shell = require "dev.shell"

local directory = os.getenv "BENCH_DIRECTORY" or "build/bench"

local WIDTH, HEIGHT = 720, 400
local LEFT, RIGHT, TOP, BOTTOM = 78, 150, 44, 52
local COLOURS = { "#1f5fa8", "#c2571a", "#3b8a3e", "#7a4fa3" }

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;",
    [">"] = "&gt;" }))
end

-- A function from values to places, by logarithm or not.
local function scale(axis, from, to)
  local function place(value)
    return axis.log and math.log(value) or value
  end
  local low, high = place(axis.low), place(axis.high)
  return function(value)
    return from + (place(value) - low) / (high - low) * (to - from)
  end
end

local function text(x, y, anchor, content, more)
  return ('<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>')
    :format(x, y, anchor, more or "", escape(content))
end

local function line(x1, y1, x2, y2, colour)
  return ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>')
    :format(x1, y1, x2, y2, colour)
end

local function draw_axes(out, plot, x, y)
  local right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
  for _, tick in ipairs(plot.y.ticks) do
    out[#out + 1] = line(LEFT, y(tick[1]), right, y(tick[1]), "#e3e3e3")
    out[#out + 1] = text(LEFT - 8, y(tick[1]) + 4, "end", tick[2])
  end
  for _, tick in ipairs(plot.x.ticks) do
    out[#out + 1] = line(x(tick[1]), bottom, x(tick[1]), bottom + 5, "#555")
    out[#out + 1] = text(x(tick[1]), bottom + 20, "middle", tick[2])
  end
  out[#out + 1] = line(LEFT, bottom, right, bottom, "#555")
  out[#out + 1] = line(LEFT, TOP, LEFT, bottom, "#555")
  out[#out + 1] = text((LEFT + right) / 2, HEIGHT - 12, "middle",
    plot.x.label)
  out[#out + 1] = text(16, (TOP + bottom) / 2, "middle", plot.y.label,
    (' transform="rotate(-90 16 %d)"'):format((TOP + bottom) / 2))
  out[#out + 1] = text(LEFT, 22, "start", plot.title,
    ' font-weight="bold" font-size="14"')
end

-- The medians joined, and a bar from quartile to quartile at each.
local function draw_series(out, series, colour, x, y)
  local places = {}
  for _, point in ipairs(series.points) do
    places[#places + 1] = ("%.1f,%.1f"):format(x(point.x), y(point.y))
    if point.low then
      out[#out + 1] = ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" '
        .. 'stroke="%s" stroke-width="5" stroke-opacity="0.35"/>')
        :format(x(point.x), y(point.low), x(point.x), y(point.high), colour)
    end
    if not series.smooth then
      out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>')
        :format(x(point.x), y(point.y), colour)
    end
  end
  out[#out + 1] = ('<polyline points="%s" fill="none" stroke="%s" '
    .. 'stroke-width="2"/>'):format(table.concat(places, " "), colour)
end

local function begin(height)
  return {
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
      .. 'viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" '
      .. 'fill="#222">'):format(WIDTH, height, WIDTH, height),
    ('<rect width="%d" height="%d" fill="#fff"/>'):format(WIDTH, height),
  }
end

local function finish(name, out)
  out[#out + 1] = "</svg>"
  shell.write(directory .. "/" .. name .. ".svg",
    table.concat(out, "\n") .. "\n")
end

local function draw(name, plot)
  local x = scale(plot.x, LEFT, WIDTH - RIGHT)
  local y = scale(plot.y, HEIGHT - BOTTOM, TOP)
  local out = begin(HEIGHT)
  draw_axes(out, plot, x, y)
  for i, series in ipairs(plot.series) do
    local key = TOP + 20 * i - 8
    draw_series(out, series, COLOURS[i], x, y)
    out[#out + 1] = ('<rect x="%d" y="%d" width="14" height="4" fill="%s"/>')
      :format(WIDTH - RIGHT + 12, key - 4, COLOURS[i])
    out[#out + 1] = text(WIDTH - RIGHT + 32, key + 2, "start", series.name)
  end
  finish(name, out)
end

local function largest(list_of_series)
  local most = 0
  for _, series in ipairs(list_of_series) do
    for _, point in ipairs(series.points) do
      most = math.max(most, point.high or point.y)
    end
  end
  return most
end

-- Ticks at powers of ten that cover what there is.
local function decades(low, high, label)
  local ticks = {}
  for power = math.floor(math.log(low, 10)), math.ceil(math.log(high, 10)) do
    ticks[#ticks + 1] = { 10 ^ power, label(10 ^ power) }
  end
  return { log = true, low = ticks[1][1], high = ticks[#ticks][1],
    ticks = ticks }
end

-- About five round ticks from zero.
local function linear(high, divisor)
  local step = 10 ^ math.floor(math.log(high, 10))
  while high / step < 4 do
    step = step / 2
  end
  local ticks = {}
  for i = 0, math.ceil(high / step) do
    ticks[#ticks + 1] = { i * step, ("%g"):format(i * step / divisor) }
  end
  return { low = 0, high = ticks[#ticks][1], ticks = ticks }
end

local function time_label(ns)
  if ns >= 1e6 then
    return ("%g ms"):format(ns / 1e6)
  end
  return ns >= 1e3 and ("%g us"):format(ns / 1e3) or ("%g ns"):format(ns)
end

local function joined(xs, summaries)
  local points = {}
  for i, x in ipairs(xs) do
    local s = summaries[i]
    points[i] = { x = x, y = s.median, low = s.q1, high = s.q3 }
  end
  return points
end

local draws = {}

-- Along x: one call in how many is slower.
function draws.latency(data)
  local points, ticks = {}, {}
  for i, share in ipairs(data.share) do
    points[i] = { x = 1 / (1 - share), y = data.ns[i] }
  end
  points[#points + 1] = { x = data.count, y = data.max }
  for power, label in ipairs { "90 %", "99 %", "99.9 %", "99.99 %",
    "99.999 %", "max" } do
    if 10 ^ power <= data.count then
      ticks[#ticks + 1] = { 10 ^ power, label }
    end
  end
  table.insert(ticks, 1, { 2, "50 %" })
  local y = decades(math.min(data.ns[1], data.cjson[1]),
    math.max(data.max, data.cjson[#data.cjson]), time_label)
  y.label = "time of a call"
  local cjson_points = {}
  for i, share in ipairs(data.share) do
    cjson_points[i] = { x = 1 / (1 - share), y = data.cjson[i] }
  end
  draw("latency", {
    title = ("Single calls among %d, 1 property, sender busy")
      :format(data.count),
    x = { log = true, low = 2, high = data.count, ticks = ticks,
      label = "share of the calls that are as fast" },
    y = y,
    series = { { name = "capture", points = points, smooth = true },
      { name = "cjson.encode", points = cjson_points, smooth = true } },
  })
end

function draws.drain(data)
  local ticks, series = {}, {
    { name = "seerstack", points = joined(data.in_flight, data.ours) },
    { name = "C, libcurl multi", points = joined(data.in_flight,
      data.multi) },
    { name = "h2load", points = joined(data.in_flight, data.h2load) },
  }
  for i, count in ipairs(data.in_flight) do
    ticks[i] = { count, ("%d"):format(count) }
  end
  local y = linear(largest(series), 1000)
  y.label = "thousand requests per second"
  draw("drain", {
    title = "Draining a queue to a server on the other core, HTTP/1.1",
    x = { log = true, low = data.in_flight[1],
      high = data.in_flight[#data.in_flight], ticks = ticks,
      label = "requests in flight" },
    y = y, series = series,
  })
end

function draws.length(data)
  local ticks, lengths = {}, data.length
  local series = {
    { name = "capture", points = joined(lengths, data.capture) },
    { name = "send", points = joined(lengths, data.send) },
  }
  for i, length in ipairs(lengths) do
    ticks[i] = { length, ("%.0f"):format(length) }
  end
  local y = decades(100, largest(series), time_label)
  y.label = "CPU time of an event"
  draw("length", {
    title = "Cost of an event against the length of the queue",
    x = { log = true, low = lengths[1], high = lengths[#lengths],
      ticks = ticks, label = "events queued" },
    y = y, series = series,
  })
end

-- What the program pays for an event: time of the thread that has it. The
-- results that say so: { label, row, what begins with, peer, unit in ns }.
local COSTS = {
  { "seerstack, capture", "capture", "capture, 1 property, Lua 5.4, wall",
    nil, 1 },
  { "seerstack, in nginx", "nginx", "nginx, worker CPU of a handler's capture",
    nil, 1e3 },
  { "timer and cosocket, in nginx", "nginx",
    "nginx, worker CPU of a handler's by hand", nil, 1e3 },
  { "posthog-node, capture", "drain", "a capture of posthog-node",
    "posthog-node", 1 },
  { "Lua-cURL, one request", "drain", "drain, HTTP/1.1", "Lua-cURL, LuaJIT" },
  { "luasocket, one request", "drain", "drain, HTTP/1.1", "luasocket" },
}

local function find_cost(results, cost)
  for _, result in ipairs(results) do
    if result.row == cost[2] and result.what:sub(1, #cost[3]) == cost[3]
      and (not cost[4] or result.peer_name == cost[4]) then
      local median = (cost[4] and result.peer or result.ours).median
      return cost[5] and median * cost[5] or 1e9 / median
    end
  end
end

local function draw_costs(results)
  local found = {}
  for _, cost in ipairs(COSTS) do
    found[#found + 1] = { cost[1], find_cost(results, cost) }
    found[#found] = found[#found][2] and found[#found] or nil
  end
  if #found < 2 then
    return
  end
  local out = begin(TOP + 34 * #found + 10)
  local x = scale({ log = true, low = 100, high = 1e6 }, 210, WIDTH - 80)
  out[1 + #out] = text(20, 24, "start",
    "What an event costs the program's own thread (logarithmic)",
    ' font-weight="bold" font-size="14"')
  for i, cost in ipairs(found) do
    local y = TOP + 34 * (i - 1)
    local ours = cost[1]:match "^seerstack"
    out[#out + 1] = text(200, y + 17, "end", cost[1])
    out[#out + 1] = ('<rect x="210" y="%d" width="%.1f" height="24" '
      .. 'fill="%s"/>'):format(y, x(cost[2]) - 210, COLOURS[ours and 1 or 2])
    out[#out + 1] = text(x(cost[2]) + 8, y + 17, "start",
      time_label(tonumber(("%.3g"):format(cost[2]))))
  end
  finish("cost", out)
end

for _, name in ipairs { "latency", "drain", "length" } do
  local json = shell.read(directory .. "/data/" .. name .. ".json")
  if json then
    draws[name](cjson.decode(json))
  end
end

local results = shell.read(directory .. "/results.json")
if results then
  draw_costs(cjson.decode(results))
end
