-- Starts the server that all send to, on the core that is given, and prints
-- its process id, its URLs, and its certificate's path.

local nginx = require "bench.support.nginx"

local sink = nginx.start("bench/support/sink.conf.template", "sink",
  tonumber(arg[1]))
print(sink.master, sink.url, sink.tls_url, sink.ca_file)
