-- `seerstack check`: whether this key and this address work, and with which
-- libraries. An object without fields is sent: the API looks at the key first,
-- and then refuses it, so nothing is recorded.

local cjson = require "cjson"
local seerstack = require "seerstack"
local client = require "seerstack.tool.client"
local fail = require "seerstack.tool.fail"
local mask = require "seerstack.tool.mask"

local check = {
  summary = "whether the key and the address work; records nothing",
  usage = "check",
  words = 0,
  help = [[
Sends an object without fields. The API checks the key before the body, so a
good key is answered with 400 or 422 and a wrong one with 401: assumed of the
API, not documented. Nothing is recorded. For https the end of the server's
certificate is asked for with openssl, where that is installed.]],
  options = { client.URL, client.TIMEOUT, client.JSON },
}

-- The version of the libcurl that this process has loaded: its file says so.
local function libcurl()
  local maps = io.open "/proc/self/maps"
  local path = maps and maps:read "*a":match "(/%S*/libcurl[^/%s]*%.so%S*)"
  if maps then
    maps:close()
  end
  local file = path and io.open(path, "rb")
  local text = file and file:read "*a" or ""
  if file then
    file:close()
  end
  return text:match "libcurl/(%d[%w.-]*)" or "of unknown version"
end

local function libraries()
  local jit = rawget(_G, "jit")
  return {
    seerstack = seerstack._VERSION, lua = jit and jit.version or _VERSION,
    libcurl = libcurl(), cjson = cjson._VERSION or "?",
  }
end

-- The last day of the server's certificate; nil where it cannot be told.
local function certificate_until(url)
  local host, port = url:match "^https://([%w.-]+):?(%d*)"
  if not host then
    return nil
  end
  local pipe = io.popen(("timeout 5 openssl s_client -connect %s:%s "
    .. "-servername %s </dev/null 2>/dev/null | openssl x509 -noout -enddate "
    .. "-dateopt iso_8601 2>/dev/null")
    :format(host, port ~= "" and port or "443", host))
  local text = pipe:read "*a"
  pipe:close()
  return text:match "notAfter=(%d+%-%d+%-%d+)"
end

-- What the answer says: of the key ("ok", "refused", "unknown"), of the
-- address, and the status of the process.
local function judge(http, err)
  local status = http and http.status or err.status
  if status == 400 or status == 422 then
    return "ok", nil, 0
  elseif status == 401 or status == 403 then
    return "refused", nil, fail.KEY
  elseif not status then
    return "unknown", err.message, fail.NO_ANSWER
  elseif status == 429 then
    return "unknown", err.message, fail.FAILED
  elseif err then
    return "unknown", err.message, fail.NO_ANSWER
  end
  return "unknown", status .. " to an object without fields: is this the API?",
    fail.NO_ANSWER
end

local function describe_url(found)
  local parts = { found.problem or found.ms .. " ms" }
  if not found.problem and found.url:find "^https:" then
    parts[2] = "TLS ok"
    parts[3] = found.certificate_until
      and "certificate until " .. found.certificate_until
  end
  return table.concat(parts, ", ")
end

local function show(found)
  local key = found.masked_key .. " (SEERSTACK_API_KEY)"
  local width = math.max(#key - #"…" + 1, #found.url)
  local function line(label, text, length, rest)
    print(label .. "   " .. text .. (" "):rep(width - length + 2) .. rest)
  end
  line("key", key, #key - #"…" + 1, found.key)
  line("url", found.url, #found.url, describe_url(found))
  local libs = found.libraries
  print(("libs  seerstack %s, %s, libcurl %s, cjson %s"):format(
    libs.seerstack, libs.lua, libs.libcurl, libs.cjson))
end

function check.run(given)
  local made = client.new(given, { max_retries = 0 })
  local response, http, err, ms = client.timed(function()
    return made:post("/capture", {}, { wait = true })
  end)
  local found = { ms = ms, libraries = libraries() }
  local status
  found.key, found.problem, status = judge(response and http, err)
  found.masked_key = mask(os.getenv "SEERSTACK_API_KEY"
    :match "^%s*(.-)%s*$")
  found.url = given.url or (os.getenv "SEERSTACK_BASE_URL" or "")
    :match "^%s*(%S+)" or "https://api.seerstack.com"
  if not found.problem then
    found.certificate_until = certificate_until(found.url)
  end
  if given.json then
    print(cjson.encode(found))
  else
    show(found)
  end
  if status ~= 0 then
    fail.with(status, "%s", err and err.message or found.problem)
  end
end

return check
