-- What a Lua program can do without us, one request after the other:
-- luasocket, with a connection for each, or Lua-cURL, with one that is kept.
-- Prints the nanoseconds.
--   luajit lua.lua luasocket|lua-curl url key body count

local native = require "seer_bench_native"

local which, url, key, body, count = arg[1], arg[2], arg[3], arg[4],
  tonumber(arg[5])
native.pin((select(2, native.cores())))

local headers = {
  ["Authorization"] = "Bearer " .. key,
  ["Content-Type"] = "application/json",
  ["Accept"] = "application/json",
  ["Idempotency-Key"] = "00000000-0000-4000-8000-000000000000",
}

local makers = {}

makers["luasocket"] = function()
  local http = require "socket.http"
  local ltn12 = require "ltn12"
  headers["Content-Length"] = #body
  return function()
    local _, status = http.request {
      url = url, method = "POST", headers = headers,
      source = ltn12.source.string(body), sink = ltn12.sink.null(),
    }
    assert(status == 200, status)
  end
end

makers["lua-curl"] = function()
  local curl = require "curl"
  local easy = curl.easy_init()
  local lines = { "Expect:" }
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  easy:setopt(curl.OPT_URL, url)
  easy:setopt(curl.OPT_POST, 1)
  easy:setopt(curl.OPT_POSTFIELDS, body)
  easy:setopt(curl.OPT_POSTFIELDSIZE, #body)
  easy:setopt(curl.OPT_HTTPHEADER, lines)
  easy:setopt(curl.OPT_WRITEFUNCTION, function(text, more)
    return #(type(more) == "string" and more or text)
  end)
  return function()
    assert(easy:perform())
  end
end

local request = makers[which]()
request()
local before = native.wall()
for _ = 1, count do
  request()
end
print(("%.0f"):format(native.wall() - before))
