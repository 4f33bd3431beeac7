-- How busted reports: each failure when it happens, nothing of what passes,
-- and the counts in the file that SEER_COUNTS names, for dev/test.sh: passed,
-- failed, skipped, and of these those that had to fail.

local busted = require "busted"
local pretty = require "pl.pretty"

local LONGEST = 4000 -- bytes of a message

-- Why a spec has to fail, by its full name.
local unstored = os.getenv "STORE" and require "spec.support.unstored"
  or { reason_of = {} }
local reason_of = unstored.reason_of

local function describe(report)
  local trace = report.element.trace or report.trace or {}
  local message = report.message
  if type(message) ~= "string" then
    message = message == nil and "nil" or pretty.write(message)
  end
  if #message > LONGEST then
    message = message:sub(1, LONGEST) .. "..."
  end
  return ("%s:%s: %s\n%s\n"):format(trace.short_src or "?",
    trace.currentline or "?", report.name, message)
end

return function(options)
  local handler = require "busted.outputHandlers.base"()

  local function show(kind, report)
    io.write(kind, " ", describe(report), options.verbose and report.trace
      and (report.trace.traceback or "") .. "\n" or "", "\n")
    io.flush()
    return nil, true
  end

  local expected, unexpected = 0, 0

  local function on_failure()
    local report = handler.failures[#handler.failures]
    if not reason_of[report.name] then
      return show("FAILED", report)
    end
    expected = expected + 1
    report.message = reason_of[report.name]
    return show("SKIPPED", report)
  end

  local function on_end(element, parent, status)
    local report = handler.format(element, parent)
    if status == "pending" then
      report.message = ""
      show("SKIPPED", report)
    elseif status == "success"
      and (reason_of[report.name] or unstored.by_chance)
        ~= unstored.by_chance then
      unexpected = unexpected + 1
      report.message = "passes, but is in spec/support/unstored.lua"
      show("FAILED", report)
    end
    return nil, true
  end

  local function on_error()
    return show("ERROR", handler.errors[#handler.errors])
  end

  local function write_counts()
    local file = assert(io.open(os.getenv "SEER_COUNTS" or "/dev/null", "w"))
    file:write(handler.successesCount - unexpected, " ",
      handler.failuresCount + handler.errorsCount - expected + unexpected, " ",
      handler.pendingsCount + expected, " ", expected, "\n")
    file:close()
    return nil, true
  end

  busted.subscribe({ "failure", "it" }, on_failure)
  busted.subscribe({ "test", "end" }, on_end)
  busted.subscribe({ "failure", "describe" }, on_error)
  busted.subscribe({ "failure", "file" }, on_error)
  busted.subscribe({ "error" }, on_error)
  busted.subscribe({ "suite", "end" }, write_counts)
  return handler
end
