std = "min"
max_line_length = 79
exclude_files = { "build/" }

files["spec"] = { std = "+busted" }
files["dev/service.lua"] = { std = "ngx_lua" }
files["dev/judge.lua"] = { std = "ngx_lua" }

-- Declarations for the language server: bodies are empty, types are long.
files["library"] = { ignore = { "212", "241", "631" } }
