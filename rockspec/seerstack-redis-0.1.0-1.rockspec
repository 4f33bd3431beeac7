package = "seerstack-redis"
version = "0.1.0-1"

source = {
  url = "git+https://github.com/seerstack/seerstack-lua.git",
  tag = "v0.1.0",
}

description = {
  summary = "Keeps what seerstack has to send in Redis",
  detailed = [[
    A store for the Lua SDK of the SeerStack analytics API: events survive
    the process and its machine, and all processes share what is left.]],
  homepage = "https://github.com/seerstack/seerstack-lua",
  license = "MIT",
}

supported_platforms = { "linux" }

dependencies = {
  "lua >= 5.1, < 5.6",
  "seerstack == 0.1.0",
}

external_dependencies = {
  HIREDIS = { header = "hiredis/hiredis.h", library = "hiredis" },
}

build = {
  type = "builtin",
  modules = {
    ["seerstack.redis"] = {
      sources = {
        "src/redis/address.c",
        "src/redis/budget.c",
        "src/redis/config.c",
        "src/redis/connection.c",
        "src/redis/driver.c",
        "src/redis/inspect.c",
        "src/redis/module.c",
        "src/redis/scripts.c",
        "src/redis/tls.c",
      },
      defines = { "_GNU_SOURCE" },
      incdirs = { "src", "$(HIREDIS_INCDIR)" },
      libdirs = { "$(HIREDIS_LIBDIR)" },
      libraries = { "hiredis" },
    },
  },
}
