package = "seerstack-sqlite"
version = "0.1.0-1"

source = {
  url = "git+https://github.com/seerstack/seerstack-lua.git",
  tag = "v0.1.0",
}

description = {
  summary = "Keeps what seerstack has to send in a directory, in SQLite",
  detailed = [[
    A store for the Lua SDK of the SeerStack analytics API: events survive
    the process, and the processes of a machine share what is left.]],
  homepage = "https://github.com/seerstack/seerstack-lua",
  license = "MIT",
}

supported_platforms = { "linux" }

dependencies = {
  "lua >= 5.1, < 5.6",
  "seerstack == 0.1.0",
}

external_dependencies = {
  SQLITE = { header = "sqlite3.h", library = "sqlite3" },
}

build = {
  type = "builtin",
  modules = {
    ["seerstack.sqlite"] = {
      sources = {
        "src/sqlite/age.c",
        "src/sqlite/database.c",
        "src/sqlite/driver.c",
        "src/sqlite/files.c",
        "src/sqlite/inspect.c",
        "src/sqlite/module.c",
        "src/sqlite/rows.c",
      },
      defines = {
        "_GNU_SOURCE", "_FILE_OFFSET_BITS=64", "_TIME_BITS=64",
      },
      incdirs = { "src", "$(SQLITE_INCDIR)" },
      libdirs = { "$(SQLITE_LIBDIR)" },
      libraries = { "sqlite3" },
    },
  },
}
