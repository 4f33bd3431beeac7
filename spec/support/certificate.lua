-- Certificates that no authority would give out, made by the openssl program.

local shell = require "dev.shell"

local certificate = {}

local CONFIGURATION = [[
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
basicConstraints = CA:TRUE
subjectAltName = %s
]]

local COMMANDS = [[
cd %s && : >index.txt &&
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
  -keyout key.pem -out request.pem -subj /CN=localhost &&
openssl ca -batch -notext -selfsign -config openssl.cnf -keyfile key.pem \
  -in request.pem -out cert.pem -startdate %s -enddate %s
]]

-- Makes cert.pem, which vouches for itself, and key.pem in a new directory,
-- and returns that. Options: `names`, such as "DNS:localhost,IP:127.0.0.1",
-- which is the default, and the years `from` and `till` of its validity.
function certificate.make(options)
  local directory = shell.temporary_directory("certificate")
  shell.write(directory .. "/openssl.cnf",
    CONFIGURATION:format(options.names or "DNS:localhost,IP:127.0.0.1"))
  local command = COMMANDS:format(shell.quote(directory),
    (options.from or 2020) .. "0101000000Z",
    (options.till or 2120) .. "0101000000Z")
  local log = directory .. "/openssl.log"
  if shell.run("{ " .. command .. "} >" .. shell.quote(log) .. " 2>&1") ~= 0
  then
    error("openssl: " .. shell.read(log))
  end
  return directory
end

return certificate
