-- How a command ends that cannot go on: an error that main.lua tells on the
-- standard error, and whose status it returns.

local fail = {
  FAILED = 1, USAGE = 2, NO_ANSWER = 3, KEY = 4, INTERRUPTED = 130,
}

function fail.with(status, message, ...)
  if select("#", ...) > 0 then
    message = message:format(...)
  end
  error({ status = status, message = message }, 0)
end

-- Wrong usage or bad input: nothing was sent.
function fail.usage(message, ...)
  fail.with(fail.USAGE, message, ...)
end

-- A file to read, which has to be there.
function fail.open(path)
  local file, problem = io.open(path, "rb")
  return file or fail.usage("%s", problem)
end

-- The status for an error of the SDK.
function fail.status_of(err)
  if err.status == 401 or err.status == 403 then
    return fail.KEY
  elseif err.name == "ValidationError" then
    return fail.USAGE
  elseif not err.status and err.name:find "^API" or err.status == 404 then
    return fail.NO_ANSWER
  end
  return fail.FAILED
end

return fail
