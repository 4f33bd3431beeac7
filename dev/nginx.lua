-- What every nginx needs that is started in a directory of its own: the
-- stand-in's, those of the benches and of the torture runs.

local shell = require "dev.shell"
local socket = require "socket"

local nginx = {}

-- Begins a command of the shell. Unprivileged users often lack sbin in their
-- PATH.
nginx.PATH = 'PATH="$PATH:/usr/sbin:/usr/local/sbin"; '

-- Two. Both are held before either is closed, so they differ.
function nginx.free_ports()
  local one = assert(socket.bind("127.0.0.1", 0))
  local two = assert(socket.bind("127.0.0.1", 0))
  local _, port = one:getsockname()
  local _, tls_port = two:getsockname()
  one:close()
  two:close()
  return tonumber(port), tonumber(tls_port)
end

-- What nginx says of itself.
local function about()
  return shell.output(nginx.PATH .. "exec nginx -V 2>&1")
end

-- Directives that load the Lua module. Distributions build it as a shared
-- object, OpenResty builds it in: what is not there need not be loaded.
function nginx.load_modules()
  local path = about():match("%-%-modules%-path=(%S+)")
  local lines = {}
  for _, name in ipairs { "ndk_http_module", "ngx_http_lua_module" } do
    local file = (path or "") .. "/" .. name .. ".so"
    if shell.read(file) then
      lines[#lines + 1] = "load_module " .. file .. ";"
    end
  end
  return table.concat(lines, "\n")
end

-- What has a server speak HTTP/2: a parameter of `listen`, and from 1.25.1 on
-- a directive, beside which nginx warns of the parameter.
function nginx.http2()
  local major, minor, patch = about():match("nginx/(%d+)%.(%d+)%.(%d+)")
  local version = major * 1000000 + minor * 1000 + patch
  if version < 1025001 then
    return "http2", ""
  end
  return "", "http2 on;"
end

-- Root's temporary directories are closed to others, so workers stay root.
function nginx.user_directive()
  return shell.output("id -u") == "0" and "user root;" or ""
end

-- Makes cert.pem, which vouches for itself, and key.pem in a directory.
function nginx.make_certificate(directory)
  local command = "cd " .. shell.quote(directory) .. " && openssl req -x509"
    .. " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
    .. " -keyout key.pem -out cert.pem -subj /CN=localhost"
    .. " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    .. " >openssl.log 2>&1"
  if shell.run(command) ~= 0 then
    error("openssl: " .. shell.read(directory .. "/openssl.log"), 0)
  end
end

return nginx
