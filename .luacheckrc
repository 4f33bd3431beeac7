std = "min"
max_line_length = 79
exclude_files = { "build/" }

files["spec"] = { std = "+busted" }
files["checks/fuzz"] = {
  std = "max",
  read_globals = {
    "seerstack", "cjson", "is_json", "repair", "reset_default",
  },
}
files["dev/service.lua"] = { std = "ngx_lua" }
files["dev/live.lua"] = { std = "ngx_lua" }
files["checks/torture/service.lua"] = { std = "ngx_lua" }
files["bench/support/handlers.lua"] = { std = "ngx_lua" }
files["examples/nginx"] = { std = "ngx_lua" }
files["examples/fleet"] = { std = "ngx_lua" }
files["examples/love"] = { std = "min+love" }
files["examples/neovim"] = { read_globals = { "vim" } }
files["examples/haproxy"] = { read_globals = { "core" } }
files["examples/lighttpd"] = { read_globals = { "lighty" } }
files["examples/apache"] = {
  read_globals = { "apache2" }, globals = { "capture" },
}
files["examples/relay/relay.lua"] = { std = "ngx_lua" }
files["examples/relay/pure_love.lua"] = { std = "min+love" }
files["examples/minetest"] = { read_globals = { "minetest" } }

-- Declarations for the language server: bodies are empty, types are long.
files["library"] = { ignore = { "212", "241", "631" } }
