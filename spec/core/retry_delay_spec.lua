local h = require "spec.helper"
local socket = require "socket"

local SLOW, new, deliver = h.retrying.SLOW, h.retrying.new, h.retrying.deliver

local x = h.retrying.each()

describe("the delay before the next attempt", function()
  -- Events, each of a client of its own, for a failure of one must not
  -- hold another. Returns the seconds between each one's two attempts.
  local function gaps(answers, options)
    local clients, times = {}, {}
    for i = 1, #answers do
      clients[i] = new(options)
      assert(clients[i].events.capture { name = "n" .. i })
      times[i] = {}
    end
    x:serve(function(request)
      local i = tonumber(h.body_of(request).name:match "%d+")
      table.insert(times[i], socket.gettime())
      if #times[i] == 1 then
        return answers[i][1], answers[i][2]
      end
      return h.ok()
    end, function()
      for i = 1, #answers do
        if #times[i] < 2 then
          return false
        end
      end
      return true
    end)
    for i = 1, #answers do
      clients[i]:close(0)
      times[i] = times[i][2] - times[i][1]
    end
    return times
  end

  local function http_date(time)
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", time)
  end

  it("is what retry-after-ms or retry-after asks for", function()
    local cases = {
      { 0.2, { ["Retry-After-Ms"] = "200" } },
      { 0.2, { ["Retry-After-Ms"] = "199.5" } },
      { 0.2, { ["Retry-After-Ms"] = "200", ["Retry-After"] = "50" } },
      { 0.3, { ["Retry-After"] = "0.3" } },
      { 0.3, { ["Retry-After"] = " .3 " } },
      { 1.0, { ["retry-after"] = "1" } },
      { 0.25, { ["Retry-After-Ms"] = "0", ["Retry-After"] = "0.25" } },
      { 0.25, { ["Retry-After-Ms"] = "junk", ["Retry-After"] = "0.25" } },
    }
    local answers = {}
    for _, status in ipairs { 500, 503, 408, 429, 401 } do
      for _, case in ipairs(cases) do
        answers[#answers + 1] = { status, case[2] }
      end
    end
    -- Without the header it would be thirty seconds.
    local found = gaps(answers, SLOW)
    for i, gap in ipairs(found) do
      local asked = cases[(i - 1) % #cases + 1][1]
      assert.is_true(gap >= asked - 0.001, i .. ": " .. gap)
    end
  end)

  it("is until an HTTP date, by the answer's own clock", function()
    local date = "Sun, 06 Nov 1994 08:49:37 GMT"
    local found = gaps({
      { 503, { Date = date,
        ["Retry-After"] = "Sun, 06 Nov 1994 08:49:38 GMT" } },
      { 503, { Date = date,
        ["Retry-After"] = "Sunday, 06-Nov-94 08:49:38 GMT" } },
      { 503, { Date = date, ["Retry-After"] = "Sun Nov  6 08:49:38 1994" } },
    }, SLOW)
    for i = 1, 3 do
      assert.is_true(found[i] >= 0.999 and found[i] < 6, i .. ": " .. found[i])
    end
  end)

  it("is until an HTTP date, by the wall clock without a date", function()
    local asked = os.time() + 4
    local found = gaps({
      { 500, { ["Retry-After"] = http_date(asked) } },
      { 500, { ["Retry-After"] = http_date(asked), Date = "yesterday" } },
    }, SLOW)
    assert.is_true(socket.gettime() >= asked - 0.01)
    assert.is_true(found[1] < 8 and found[2] < 8)
  end)

  it("is computed when no future within a minute is asked for", function()
    local answers = {}
    for _, value in ipairs {
      "", "0", "0.0", "-1", "60", "61", "3600", "1e1", "NaN", "nan", "inf",
      "Infinity", "0x10", "junk", "10 s", "10,5", "99999999999999999999",
      "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT",
      "Sun, 99 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 1994", ("9"):rep(2000),
    } do
      table.insert(answers, { 500, { ["Retry-After"] = value } })
    end
    for _, value in ipairs {
      "", "0", "-5", "60000", "1e4", "NaN", "junk", "999999999999999999999",
    } do
      table.insert(answers, { 500, { ["Retry-After-Ms"] = value } })
    end
    for i, gap in ipairs(gaps(answers)) do
      assert.is_true(gap >= 0.014, i .. ": " .. gap)
    end
  end)

  it("doubles up to max_retry_delay, less a quarter at most", function()
    x.client = new { initial_retry_delay = 0.05, max_retry_delay = 0.1 }
    local answers = {}
    for i = 1, 9 do
      answers[i] = { 500 }
    end
    deliver(answers)
    for i, least in ipairs { 0.037, 0.074, 0.074, 0.074 } do
      local gap = x.requests[i + 1].time - x.requests[i].time
      assert.is_true(gap >= least, i .. ": " .. gap)
    end
    -- Without the limit it would be 25 seconds.
    assert.is_true(x.requests[10].time - x.requests[1].time < 8)
  end)

  it("is never more than max_retry_delay", function()
    x.client = new { initial_retry_delay = 40, max_retry_delay = 0.05 }
    assert.equal(1, deliver({ { 500 }, { 500 }, { 401 } }).delivered)
  end)

  for _, status in ipairs { 429, 503 } do
    it("pauses the endpoint when a " .. status
      .. " asks for a minute to an hour", function()
      for asked, expected in pairs { ["60"] = 60, ["90.5"] = 90.5,
        ["3600"] = 3600 } do
        local client = new()
        client.events.capture { name = "a.b" }
        x:serve(h.sequence { { status, { ["Retry-After"] = asked } } },
          function() return client:stats().last_error end)
        local pause = client:stats().retry_at - socket.gettime()
        assert.is_true(pause > expected - 9 and pause <= expected + 0.01,
          asked .. ": " .. pause)
      end
    end)
  end

  it("is no long pause for another status, or above an hour", function()
    local answers = {
      { 429, { ["Retry-After"] = "3600.5" } },
      { 503, { ["Retry-After"] = "3601" } },
      { 500, { ["Retry-After"] = "60" } },
      { 401, { ["Retry-After"] = "600" } },
    }
    for i, gap in ipairs(gaps(answers)) do
      assert.is_true(gap < 8, i .. ": " .. gap)
    end
  end)
end)
