-- nginx for the torture runs, on free ports, in a directory of its own.

local certificate = require "spec.support.certificate"
local nginx = require "dev.nginx"
local shell = require "dev.shell"
local wait = require "spec.support.wait"

local server = {}
server.__index = server
server.__name = "torture.server"

-- libcurl does not look whether fcntl has failed, and a socket that blocks for
-- that reason may keep it until the server ends the connection.
local CONFIGURATION = [[
{{modules}}
{{user}}
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 2048; }
http {
  access_log off;
  keepalive_timeout 2;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_body_buffer_size 2m;
  client_max_body_size 8m;
  lua_shared_dict seen 64m;
  server {
    listen 127.0.0.1:{{port}} backlog=1024;
    listen 127.0.0.1:{{tls_port}} ssl backlog=1024;
    ssl_certificate {{certificate}}/cert.pem;
    ssl_certificate_key {{certificate}}/key.pem;
    set $port {{port}};
    set $tls_port {{tls_port}};
    location / { content_by_lua_file {{service}}; }
  }
}
]]

local function launch(self)
  self.port, self.tls_port = nginx.free_ports()
  local values = {
    modules = nginx.load_modules(), port = self.port, tls_port = self.tls_port,
    certificate = self.certificate,
    user = nginx.user_directive(),
    service = shell.output "pwd" .. "/checks/torture/service.lua",
  }
  shell.write(self.directory .. "/nginx.conf",
    (CONFIGURATION:gsub("{{([%w_]+)}}", values)))
  return shell.run("unset LUA_PATH LUA_CPATH LUA_INIT\n"
    .. "(" .. nginx.PATH .. "exec nginx -e error.log -p "
    .. shell.quote(self.directory .. "/")
    .. " -c nginx.conf) </dev/null >"
    .. shell.quote(self.directory .. "/output.log") .. " 2>&1") == 0
end

-- Starts it; raises with its log if it cannot.
function server.start()
  local self = setmetatable({
    directory = shell.temporary_directory "torture",
    certificate = certificate.make {},
  }, server)
  for _ = 1, 5 do
    if launch(self) then
      self.pid = wait.until_(function()
        local text = shell.read(self.directory .. "/nginx.pid")
        return text and text:match "^%d+"
      end, 10, nil, "nginx")
      return self
    end
  end
  local log = shell.read(self.directory .. "/output.log")
  self:stop()
  error("nginx did not start\n" .. log, 0)
end

function server:stop()
  if self.pid then
    shell.run("kill " .. self.pid)
  end
  shell.remove(self.directory)
  shell.remove(self.certificate)
end

return server
