package = "seerstack"
version = "0.1.0-1"

source = {
  url = "git+https://github.com/seerstack/seerstack-lua.git",
  tag = "v0.1.0",
}

description = {
  summary = "The Lua SDK for the SeerStack analytics API",
  detailed = [[
    Records events and identifies users without ever making the program wait:
    a background thread delivers them over libcurl, with retries, pacing and
    exact JSON.]],
  homepage = "https://github.com/seerstack/seerstack-lua",
  license = "MIT",
}

supported_platforms = { "linux", "macosx", "windows" }

dependencies = {
  "lua >= 5.1, < 5.6",
  "lua-cjson",
}

external_dependencies = {
  CURL = { library = "curl" },
}

build = {
  type = "builtin",
  copy_directories = { "docs", "library" },
  modules = {
    seerstack = {
      sources = {
        "src/callbacks.c",
        "src/client.c",
        "src/core/base/block.c",
        "src/core/base/buffer.c",
        "src/core/base/clock.c",
        "src/core/base/digest.c",
        "src/core/base/event.c",
        "src/core/base/id.c",
        "src/core/base/json.c",
        "src/core/base/kinds.c",
        "src/core/base/mask.c",
        "src/core/base/names.c",
        "src/core/base/os_posix.c",
        "src/core/base/os_windows.c",
        "src/core/base/retry.c",
        "src/core/base/scan.c",
        "src/core/base/spare.c",
        "src/core/base/tell.c",
        "src/core/base/thread.c",
        "src/core/base/timer.c",
        "src/core/dead.c",
        "src/core/endpoint.c",
        "src/core/endpoints.c",
        "src/core/fleet.c",
        "src/core/gate.c",
        "src/core/heap.c",
        "src/core/http/flight.c",
        "src/core/http/http.c",
        "src/core/http/incoming.c",
        "src/core/http/lookup.c",
        "src/core/http/outgoing.c",
        "src/core/http/site.c",
        "src/core/http/site_secrets.c",
        "src/core/http/sockets.c",
        "src/core/http/trace.c",
        "src/core/http/url.c",
        "src/core/keep.c",
        "src/core/keeper.c",
        "src/core/line.c",
        "src/core/loop.c",
        "src/core/notice.c",
        "src/core/pace.c",
        "src/core/pauses.c",
        "src/core/process.c",
        "src/core/queue.c",
        "src/core/report.c",
        "src/core/room.c",
        "src/core/schedule.c",
        "src/core/sender.c",
        "src/core/settings.c",
        "src/core/settle.c",
        "src/core/share.c",
        "src/core/state.c",
        "src/core/tenants.c",
        "src/core/transaction.c",
        "src/core/turns.c",
        "src/default.c",
        "src/encode.c",
        "src/event.c",
        "src/fields.c",
        "src/future.c",
        "src/hint.c",
        "src/holder.c",
        "src/make.c",
        "src/marks.c",
        "src/merge.c",
        "src/methods.c",
        "src/number.c",
        "src/options.c",
        "src/path.c",
        "src/raw.c",
        "src/record.c",
        "src/result.c",
        "src/sample.c",
        "src/seerstack.c",
        "src/send.c",
        "src/values.c",
      },
      defines = {
        "_GNU_SOURCE", "_FILE_OFFSET_BITS=64", "_TIME_BITS=64",
      },
      incdirs = { "src", "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
      libraries = { "curl", "pthread", "dl", "m" },
    },
    ["seerstack.tool.check"] = "bin/lib/seerstack/tool/check.lua",
    ["seerstack.tool.child"] = "bin/lib/seerstack/tool/child.lua",
    ["seerstack.tool.client"] = "bin/lib/seerstack/tool/client.lua",
    ["seerstack.tool.doctor"] = "bin/lib/seerstack/tool/doctor.lua",
    ["seerstack.tool.fail"] = "bin/lib/seerstack/tool/fail.lua",
    ["seerstack.tool.fields"] = "bin/lib/seerstack/tool/fields.lua",
    ["seerstack.tool.identify"] = "bin/lib/seerstack/tool/identify.lua",
    ["seerstack.tool.import"] = "bin/lib/seerstack/tool/import.lua",
    ["seerstack.tool.inbox"] = "bin/lib/seerstack/tool/inbox.lua",
    ["seerstack.tool.json"] = "bin/lib/seerstack/tool/json.lua",
    ["seerstack.tool.judge"] = "bin/lib/seerstack/tool/judge.lua",
    ["seerstack.tool.listen"] = "bin/lib/seerstack/tool/listen.lua",
    ["seerstack.tool.main"] = "bin/lib/seerstack/tool/main.lua",
    ["seerstack.tool.mask"] = "bin/lib/seerstack/tool/mask.lua",
    ["seerstack.tool.options"] = "bin/lib/seerstack/tool/options.lua",
    ["seerstack.tool.queue"] = "bin/lib/seerstack/tool/queue.lua",
    ["seerstack.tool.send"] = "bin/lib/seerstack/tool/send.lua",
    ["seerstack.tool.server"] = "bin/lib/seerstack/tool/server.lua",
    ["seerstack.tool.site"] = "bin/lib/seerstack/tool/site.lua",
  },
  install = {
    bin = { seerstack = "bin/seerstack" },
    lua = { ["seerstack.tool.page"] = "bin/lib/seerstack/tool/page.html" },
  },
  platforms = {
    windows = { -- GCC of mingw-w64
      modules = {
        seerstack = {
          libraries = {
            "curl", "pthread", "ws2_32", "synchronization", "advapi32",
          },
        },
      },
    },
  },
}
