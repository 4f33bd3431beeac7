-- Programs under wine that use the module for Windows, which `make windows`
-- has built, and the Lua for Windows that is like the one that runs the specs.

local assert = require "luassert"
local script = require "spec.support.script"
local shell = require "dev.shell"

local windows = {}

local BUILD = "/build/windows/" .. (rawget(_G, "jit") and "luajit" or "5.4")
local TIMEOUT = 560 -- s, since wine starts slowly on a busy machine

-- Text without Windows's ends of lines.
function windows.text(text)
  return (text:gsub("\r", ""))
end

-- Runs a program that sends to this server, or to `url`; its result.
function windows.run(server, code, url)
  local result = script.run {
    code = code,
    env = {
      SEERSTACK_BASE_URL = url or server.url, SEERSTACK_API_KEY = server.key,
    },
    interpreter = shell.output "pwd" .. BUILD .. "/lua",
    timeout = TIMEOUT,
  }
  result.stdout = windows.text(result.stdout)
  result.stderr = windows.text(result.stderr)
  return result
end

-- The same for one that ends well and says nothing on its standard error;
-- what it has written.
function windows.ended_well(...)
  local result = windows.run(...)
  assert.equal("", result.stderr)
  assert.equal(0, result.status, result.stdout)
  return result.stdout
end

return windows
