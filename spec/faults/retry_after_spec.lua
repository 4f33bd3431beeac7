-- Retry-After in every shape that servers give it: how long the endpoint
-- waits then.

local h = require "spec.helper"
local socket = require "socket"

local INITIAL = 5 -- seconds: what is computed is at most so much
local SLACK = 8   -- that a busy machine may add
local NO = "no"   -- nothing is asked for; the delay is computed

local function date(format, wall)
  local days = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
    "Friday", "Saturday" }
  local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
    "Sep", "Oct", "Nov", "Dec" }
  local t = os.date("!*t", wall)
  local day, month = days[t.wday], months[t.month]
  local time = ("%02d:%02d:%02d"):format(t.hour, t.min, t.sec)
  if format == "imf" then
    return ("%s, %02d %s %d %s GMT"):format(day:sub(1, 3), t.day, month,
      t.year, time)
  elseif format == "850" then
    return ("%s, %02d-%s-%02d %s GMT"):format(day, t.day, month, t.year % 100,
      time)
  end
  return ("%s %s %2d %s %d"):format(day:sub(1, 3), month, t.day, time, t.year)
end

local NOW = math.floor(socket.gettime())
local LONG_AGO = 784111777 -- 1994

-- Each line: the value of Retry-After (or a list of such), the seconds that
-- it asks for, and further headers.
local LINES = {
  -- numbers
  { "20", 20 }, { "20.5", 20.5 }, { "0.5", 0.5 }, { ".5", 0.5 },
  { "20.", 20 }, { "000020", 20 }, { " 20 ", 20 }, { "\t20\t", 20 },
  { "59", 59 }, { "59.999", 59.999 }, { "60", 60 }, { "60.5", 60.5 },
  { "3599.5", 3599.5 }, { "3600", 3600 }, { "1", 1 },
  { "20.000000000000000000000000000001", 20 },
  -- no numbers, and numbers that nobody waits for
  { "", NO }, { " ", NO }, { "0", NO }, { "0.0", NO }, { "-0", NO },
  { "-1", NO }, { "-20", NO }, { "-1e30", NO }, { "+20", NO },
  { "3600.001", NO }, { "3601", NO }, { "86400", NO }, { "1e30", NO },
  { "1E1", NO }, { "2e1", NO }, { "0x14", NO }, { "0b1", NO }, { "024h", NO },
  { "NaN", NO }, { "nan", NO }, { "-nan", NO }, { "inf", NO },
  { "Infinity", NO }, { "-inf", NO }, { "20 s", NO }, { "20s", NO },
  { "20 30", NO }, { "20,30", NO }, { "20, 30", NO }, { "20;q=1", NO },
  { "1,000", NO }, { "20.5.5", NO }, { "..5", NO }, { ".", NO }, { "-", NO },
  { '"20"', NO }, { "'20'", NO }, { "20\1", NO }, { "\194\16020", NO },
  { "\239\188\146\239\188\144", NO }, { "soon", NO }, { "null", NO },
  { "true", NO }, { "{}", NO }, { "PT20S", NO }, { "%s%n%d", NO },
  { "4294967316", NO }, { "9223372036854775828", NO },
  { "18446744073709551636", NO }, { ("9"):rep(63), NO },
  { ("9"):rep(64), NO }, { ("9"):rep(4000), NO }, { ("0"):rep(4000), NO },
  { "1" .. ("0"):rep(30), NO }, { "0." .. ("0"):rep(40), NO },
  -- several
  { { "20", "30" }, 20 }, { { "20", "junk" }, 20 }, { { "junk", "20" }, NO },
  { { "0", "20" }, NO }, { { "", "20" }, NO },
  -- retry-after-ms goes before
  { "30", 20, ["Retry-After-Ms"] = "20000" },
  { "30", 0.5, ["Retry-After-Ms"] = "500" },
  { "30", 20.001, ["Retry-After-Ms"] = "20000.5" },
  { nil, 20, ["Retry-After-Ms"] = "20000" },
  { nil, 3600, ["Retry-After-Ms"] = "3600000" },
  { nil, NO, ["Retry-After-Ms"] = "3600001" },
  { "30", 30, ["Retry-After-Ms"] = "0" },
  { "30", 30, ["Retry-After-Ms"] = "-1" },
  { "30", 30, ["Retry-After-Ms"] = "junk" },
  { "30", 30, ["Retry-After-Ms"] = "" },
  { "30", 30, ["Retry-After-Ms"] = "1e4" },
  { "30", 30, ["Retry-After-Ms"] = "NaN" },
  { "30", NO, ["Retry-After-Ms"] = "1" .. ("0"):rep(30) },
  { nil, NO, ["Retry-After-Ms"] = date("imf", NOW + 20) },
  -- dates in other words, but clear
  { (date("imf", NOW + 1000):lower():gsub("gmt", "GMT")), 1000 },
  { (date("imf", NOW + 1000):gsub("GMT", "gmt")),
    h.libcurl() < 8.15 and 1000 or NO },
  { (date("imf", NOW + 1000):gsub("GMT", "+0000")), 1000 },
  { (date("imf", NOW + 1000):gsub("GMT", "UTC")), 1000 },
  { (date("imf", NOW + 1000):gsub(" GMT", "")), 1000 },
  { date("imf", NOW + 1000) .. " and more", 1000 },
  -- dates that are none
  { "Sun, 06 Nov 1994", NO }, { "Sun, 06 Nov 1994 08:49 GMT", NO },
  { "06 Nov 1994 08:49:37 GMT", NO }, { "1994-11-06T08:49:37Z", NO },
  { (date("imf", NOW + 20):gsub("%d%d:", "25:", 1)), NO },
  { (date("imf", NOW + 20):gsub("%d+ ", "99 ", 1)), NO },
  { (date("imf", NOW + 20):gsub(" %a%a%a ", " Xyz ")), NO },
  { "Fri, 31 Dec 9999 23:59:59 GMT", NO },
  { "Thu, 01 Jan 0000 00:00:00 GMT", NO },
  { "Thu, 01 Jan 1970 00:00:00 GMT", NO },
  { "Sun Nov  6 08:49:37 1994", NO }, { "Sunday, 06-Nov-94 08:49:37 GMT", NO },
}

local function add(line)
  LINES[#LINES + 1] = line
end

-- Dates in the three forms, against the answer's own in the three forms.
for _, form in ipairs { "imf", "850", "asctime" } do
  add { date(form, NOW + 1000), 1000 } -- by the wall clock
  add { date(form, NOW - 1000), NO }
  for _, own in ipairs { "imf", "850", "asctime" } do
    for _, begin in ipairs { LONG_AGO, NOW - 86400, NOW + 86400 } do
      local Date = date(own, begin)
      add { date(form, begin + 20), 20, Date = Date }
      add { date(form, begin + 60), 60, Date = Date }
      add { date(form, begin + 3600), 3600, Date = Date }
      add { date(form, begin + 3601), NO, Date = Date }
      add { date(form, begin), NO, Date = Date }
      add { date(form, begin - 20), NO, Date = Date }
    end
  end
end
add { date("imf", NOW + 1000), 1000, Date = "junk" }
add { date("imf", NOW + 1000), 1000, Date = "" }
add { date("imf", NOW + 1000), NO, Date = date("imf", NOW + 86400) }
add { date("imf", NOW + 1000), NO, Date = date("imf", NOW - 86400) }

local function name(line)
  local value = type(line[1]) == "table" and table.concat(line[1], " | ")
    or tostring(line[1])
  return ("%s; ms %s; date %s"):format(value:sub(1, 70),
    tostring(line["Retry-After-Ms"]):sub(1, 40), tostring(line.Date))
end

local function headers_of(line)
  local headers = { Connection = "close" }
  for key, value in pairs(line) do
    if type(key) == "string" then
      headers[key] = value
    end
  end
  headers["Retry-After"] = line[1]
  return headers
end

-- The seconds that an endpoint waits after an answer, at least and at most.
local function limits(line)
  if line[2] == NO then
    return INITIAL * 0.75 - 0.1, INITIAL + SLACK
  end
  return line[2] - 0.1, line[2] + SLACK
end

-- By the wall clock a date is some time after NOW.
local function grace(line)
  return line[2] ~= NO and line[2] >= 1000 and line[2] < 3600 and 600 or 0
end

local function run(status, lines, wrong)
  local x = h.open()
  local cases, answered, again, retry_at = {}, {}, {}, {}
  for i, line in ipairs(lines) do
    cases[i] = h.client(x.url .. "/" .. i, {
      initial_retry_delay = INITIAL,
      max_retry_delay = INITIAL,
    })
    assert(cases[i].events.capture { name = "a.b" }, line)
  end
  x:serve(function(request)
    local i = tonumber(request.path:match "^/(%d+)/")
    again[i] = again[i] or answered[i] and socket.gettime()
    answered[i] = answered[i] or socket.gettime()
    return status, headers_of(lines[i]), "{}"
  end, function()
    local all = true
    for i, client in ipairs(cases) do
      local stats = h.adds_up(client)
      assert(stats.pending == 1)
      -- A wait that was over before it could be seen has another request.
      retry_at[i] = retry_at[i] or stats.retry_at or again[i]
      all = all and retry_at[i] ~= nil
    end
    return all
  end)
  for i, client in ipairs(cases) do
    local least, most = limits(lines[i])
    local waits = retry_at[i] and retry_at[i] - answered[i] or -1
    if waits < least - grace(lines[i]) or waits > most then
      wrong[#wrong + 1] = ("%s: %g s"):format(name(lines[i]), waits)
    end
    client:close(0)
  end
  x:close()
end

describe("retry-after", function()
  it("of any shape is taken for what it says, or for nothing", function()
    local wrong = {}
    for first = 1, #LINES, 60 do
      local lines = {}
      for i = first, math.min(first + 59, #LINES) do
        lines[#lines + 1] = LINES[i]
      end
      run(429, lines, wrong)
    end
    assert.same({}, wrong)
  end)
end)
