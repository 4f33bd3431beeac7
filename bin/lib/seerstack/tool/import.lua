-- `seerstack import`: a file of events, one JSON object a line.
--
-- Each line is a request whose answer is asked for, so what became of it is
-- known. Few are under way at a time, and none for long: after Ctrl-C those
-- are waited for, and the rest has not been sent. The SDK paces; where it
-- would hold a request for longer than one may take, it returns it unsent, and
-- the line is given to it again.

local cjson = require "cjson"
local seerstack = require "seerstack"
local client = require "seerstack.tool.client"
local fail = require "seerstack.tool.fail"
local json = require "seerstack.tool.json"

local import = {
  summary = "record a file of events, one JSON object a line",
  usage = "import FILE [--from LINES]",
  words = 1,
  help = [[
Records the events of a file, one JSON object a line, as capture takes them;
with --identify they are users. Empty lines are skipped. All lines are looked
at before the first is sent: if one is wrong, it is named, and nothing is sent.
An integer that this Lua cannot hold is such a line; nothing is rounded.
Ctrl-C waits for the few that are under way, and says how to go on:
  seerstack import events.jsonl --from 1201]],
  options = {
    { "from", value = "LINES",
      about = "where to go on: 7, or 3,5,7 for 3, 5, and from 7 on" },
    { "identify", about = "the lines are users" },
    { "rate-limit", value = "N", number = true,
      about = "requests a minute; 1000" },
    client.URL, client.TIMEOUT, client.JSON,
  },
}

local UNDER_WAY = 16
local PATIENCE = 5 -- how often a line is tried again that gets no answer

-- Returns a function that tells whether a line is wanted.
local function wanted(text)
  local set, last = {}, 0
  for word in (text .. ","):gmatch "(.-)," do
    local number = tonumber(word:match "^%d+$")
    if not number or number <= last then
      fail.usage("--from: '%s' is no rising list of lines", text)
    end
    set[number], last = true, number
  end
  return function(line)
    return line > last or set[line] ~= nil
  end
end

-- The wanted lines that are not empty: an iterator of number and text.
local function lines_of(file, is_wanted)
  local number = 0
  return function()
    for text in file:lines() do
      number = number + 1
      if is_wanted(number) and text:find "%S" then
        return number, text
      end
    end
  end
end

local function method_of(made, given)
  return given.identify and made.users.identify or made.events.capture
end

-- Has a client that sends nothing judge each line, as the one that sends
-- will. Returns how many there are.
local function check(path, is_wanted, given)
  local judge = seerstack.new {
    test_mode = true, max_queue_events = 1, log_level = "off",
  }
  local method, file, count = method_of(judge, given), fail.open(path), 0
  for number, text in lines_of(file, is_wanted) do
    local ok, event = json.decode_object(text)
    local problem = not ok and event
    if ok then
      ok, problem = method(event)
    end
    if not ok then
      fail.usage("%s:%d: %s; nothing was sent", path, number, problem)
    end
    count = count + 1
  end
  file:close()
  judge:close()
  return count
end

-- What is done so far. Lua raises "interrupted!" between any two instructions,
-- so each change is one assignment, and can be made twice:
--   read         { last = the last line that was read, taken = how many }
--   texts        by line, of those read that are not settled
--   pending      their futures, of those under way
--   again        true by line, of those that the SDK has returned unsent
--   rejected     why, by line, of those that the API refuses
--   failure      what ends the import: { message, status }
--   submitted    the line that is being given to the SDK; `accepted` events it
--                had before
local function new_state(path, is_wanted)
  return {
    next_line = lines_of(fail.open(path), is_wanted),
    read = { last = 0, taken = 0 },
    texts = {}, pending = {}, again = {}, rejected = {}, held_until = 0,
  }
end

local function count(set)
  local n = 0
  for _ in pairs(set) do
    n = n + 1
  end
  return n
end

local function settle(state, line, response, message, err)
  if response then
    state.texts[line] = nil
  elseif err.name == "RateLimitError" and not err.status then
    state.again[line] = true
    state.held_until = client.now() + 1
  elseif err.status == 400 or err.status == 409 or err.status == 422 then
    state.rejected[line] = message
    state.texts[line] = nil
  else
    state.failure = { message = message, status = fail.status_of(err) }
  end
  state.pending[line] = nil
end

local function settle_done(state)
  for line, future in pairs(state.pending) do
    if future:done() then
      settle(state, line, future:get())
    end
  end
end

local function submit(state, line, sender)
  local _, event = json.decode_object(state.texts[line])
  state.accepted = sender.client:stats().accepted
  state.submitted = line
  local future, message, err = sender.method(event, sender.options)
  state.pending[line] = future
  state.submitted = nil
  if future then
    state.again[line] = nil
  else
    settle(state, line, nil, message, err)
  end
end

-- The next line to send: the first that was returned, or one that is read.
local function take_next(state)
  local first
  for line in pairs(state.again) do
    first = math.min(first or line, line)
  end
  if first then
    return first
  end
  local line, text = state.next_line()
  if line then
    state.texts[line] = text
    state.read = { last = line, taken = state.read.taken + 1 }
  end
  return line
end

-- Waits a little: for one of those under way, or for the rate limit.
local function pause(state)
  local _, future = next(state.pending)
  if future then
    future:get(0.1)
  else
    client.sleep(0.2)
  end
end

local function send_all(state, sender, progress)
  repeat
    settle_done(state)
    progress(state)
    local room = count(state.pending) < sender.under_way
      and client.now() >= state.held_until
    local line = room and not state.failure and take_next(state)
    if line then
      submit(state, line, sender)
    elseif next(state.pending) or not room then
      pause(state)
    end
  until state.failure or room and not line and not next(state.pending)
end

local function delivered(state)
  return state.read.taken - count(state.texts) - count(state.rejected)
end

-- Waits for those under way. One that was interrupted just when it was given
-- to the SDK has no future here, but is in its counts.
local function finish(state, sender)
  local line = state.submitted
  local stray = line and not state.pending[line]
    and sender.client:stats().accepted > state.accepted
  while next(state.pending) do
    pause(state)
    settle_done(state)
  end
  for number in pairs(state.texts) do
    if number > state.read.last then
      state.texts[number] = nil
    end
  end
  if stray then
    sender.client:flush(60)
    if sender.client:stats().delivered > delivered(state) then
      state.texts[line] = nil
    end
  end
end

-- Where to go on: the lines that were read but not settled, and the next one,
-- in the form of --from, whose last one stands for all after it, too.
local function rest(state)
  local lines = {}
  for line in pairs(state.texts) do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  lines[#lines + 1] = state.read.last + 1
  while lines[#lines - 1] == lines[#lines] - 1 do
    lines[#lines] = nil
  end
  return table.concat(lines, ",")
end

local function progress_bar(total)
  local is_terminal = os.execute "test -t 2"
  if is_terminal ~= true and is_terminal ~= 0 then
    return function() end, ""
  end
  local shown
  return function(state)
    local done = delivered(state)
    if done ~= shown then
      shown = done
      local filled = math.floor(30 * done / total)
      io.stderr:write("\r[", ("="):rep(filled), (" "):rep(30 - filled), "] ",
        done, " of ", total, " ")
    end
  end, "\n"
end

local function report(state, total, path, given)
  local rejected = {}
  for line, message in pairs(state.rejected) do
    rejected[#rejected + 1] = { line = line, message = message }
  end
  table.sort(rejected, function(a, b) return a.line < b.line end)
  for _, one in ipairs(rejected) do
    io.stderr:write(path, ":", one.line, ": rejected: ", one.message, "\n")
  end
  local done = delivered(state)
  local left = total - done - #rejected
  local from = left > 0 and rest(state) or nil
  if given.json then
    print(cjson.encode { lines = total, delivered = done,
      rejected = #rejected, left = left, from = from })
  else
    print(("%d delivered, %d rejected, %d left"):format(done, #rejected, left))
  end
  if from then
    io.stderr:write("seerstack: to go on: seerstack import ", path, " --from ",
      from, given.identify and " --identify" or "", "\n")
  end
  return #rejected == 0 and 0 or fail.FAILED
end

function import.run(given, words)
  local path = words[1] or fail.usage "import: which file?"
  local is_wanted = wanted(given.from or "1")
  local made = client.new(given, { rate_limit = given["rate-limit"] })
  local total = check(path, is_wanted, given)
  local state = new_state(path, is_wanted)
  local sender = {
    client = made, method = method_of(made, given),
    -- The order of users matters: one waits for the other.
    under_way = given.identify and 1 or UNDER_WAY,
    options = { future = true, max_retries = PATIENCE },
  }
  local progress, after = progress_bar(total)
  local ok, problem = pcall(send_all, state, sender, progress)
  if not ok and not tostring(problem):find("interrupted!", 1, true) then
    error(problem, 0)
  end
  io.stderr:write(after)
  if not ok and next(state.pending) then
    io.stderr:write("seerstack: waiting for what is under way; after another ",
      "Ctrl-C go on from ", rest(state), "\n")
  end
  finish(state, sender)
  local status = report(state, total, path, given)
  if state.failure then
    fail.with(state.failure.status, "%s", state.failure.message)
  end
  return ok and status or fail.INTERRUPTED
end

return import
