-- The sources keep to the layers that docs/internals.md describes.

local h = require "spec.helper"

local find, read = h.tree.find, h.tree.read
local lines_of, names_of = h.tree.lines_of, h.tree.names_of

describe("the sources", function()
  local all = {}
  for _, pattern in ipairs { "*.c", "*.h" } do
    for _, path in ipairs(find(pattern)) do
      all[#all + 1] = { path = path, text = read(path) }
    end
  end

  -- Which files include a header whose name matches the pattern.
  local function who_includes(pattern)
    local found = {}
    for _, file in ipairs(all) do
      for header in file.text:gmatch('#include [<"]([^>"]+)[>"]') do
        if header:find(pattern) then
          found[#found + 1] = file.path
        end
      end
    end
    return found
  end

  local function assert_only(allowed, pattern, too)
    local found = who_includes(pattern)
    assert.not_equal(0, #found)
    for _, path in ipairs(found) do
      assert(path:find(allowed) or path:find(too or allowed), path)
    end
  end

  it("include Lua above the core only", function()
    for _, pattern in ipairs { "^lua.*%.h", "^lauxlib%.h" } do
      for _, path in ipairs(who_includes(pattern)) do
        assert(path:find "^src/[%w_]+%.[ch]$"
          or path:find "^src/%l+/module%.c$"
          or path:find "^src/%l+/inspect%.[ch]$"
          or path:find "^src/redis/config%.[ch]$", path)
      end
    end
  end)

  it("include SQLite in src/sqlite only, and hiredis in src/redis only",
    function()
      assert_only("^src/sqlite/[%w_]+%.[ch]$", "^sqlite3%.h")
      assert_only("^src/redis/%l+%.[ch]$", "^hiredis/")
      assert_only("^src/redis/tls%.c$", "^openssl/")
    end)

  it("include of the core in stores its seam only", function()
    for _, path in ipairs(who_includes "^core/") do
      for header in read(path):gmatch '#include "(core/[^"]+)"' do
        assert(not path:find "^src/sqlite/" and not path:find "^src/redis/"
          or header == "core/store.h", path .. " includes " .. header)
      end
    end
  end)

  it("include libcurl in src/core/http only", function()
    assert_only("^src/core/http/[%w_]+%.[ch]$", "^curl/")
  end)

  it("include pthreads in thread.c and os_posix.c only", function()
    assert_only("^src/core/base/thread%.c$", "^pthread%.h",
      "^src/core/base/os_posix%.c$")
  end)

  -- Stores are for Linux: they are not asked.
  it("know of systems in src/core/base/os only", function()
    for _, file in ipairs(all) do
      for _, word in ipairs {
        "_WIN32", "__APPLE__", "__linux__", "BSD__", "MINGW", "<windows",
        "<linux/", "<sys/", "<poll.h>", "<dlfcn.h>", "<netdb.h>",
        "<netinet/", "<arpa/", "/proc/", "syscall(", "CLOCK_BOOTTIME",
        "MONOTONIC_COARSE", "O_CLOEXEC",
      } do
        assert(not file.text:find(word, 1, true)
          or file.path:find "^src/core/base/os[_%l]*%.[ch]$"
          or file.path:find "^src/sqlite/" or file.path:find "^src/redis/",
          file.path .. " has " .. word)
      end
    end
  end)

  -- The graph of includes: { file = { what it includes = true } }. x.c and
  -- x.h are one file, so it is the graph of links as well: nothing is called
  -- that no header declares.
  local function include_graph()
    local graph = {}
    for _, file in ipairs(all) do
      graph[file.path:match "^(.*)%.[ch]$"] = {}
    end
    for _, file in ipairs(all) do
      local from = file.path:match "^(.*)%.[ch]$"
      for name in file.text:gmatch '\n#include "([^"]+)%.h"' do
        local beside, above = from:match "^.*/" .. name, "src/" .. name
        local to = graph[beside] and beside or above
        assert(graph[to], file.path .. " includes " .. name)
        graph[from][to] = to ~= from or nil
      end
    end
    return graph
  end

  local function folder_of(file)
    return file:match "^(.*)/"
  end

  local function folder_graph(graph)
    local folders = {}
    for from, targets in pairs(graph) do
      local folder = folder_of(from)
      folders[folder] = folders[folder] or {}
      for to in pairs(targets) do
        folders[folder][folder_of(to)] = folder_of(to) ~= folder or nil
      end
    end
    return folders
  end

  local function draw(graph)
    local drawn = {}
    for _, from in ipairs(names_of(graph)) do
      drawn[#drawn + 1] = from .. " -> "
        .. table.concat(names_of(graph[from]), ", ")
    end
    return table.concat(drawn, "\n")
  end

  -- Takes away what includes nothing that is left, until that changes
  -- nothing: circles, and what leads to them, remain.
  local function assert_no_circle(graph)
    local left, changed = {}, true
    for from in pairs(graph) do
      left[from] = true
    end
    while changed do
      changed = false
      for _, from in ipairs(names_of(left)) do
        local stays = false
        for to in pairs(graph[from]) do
          stays = stays or left[to]
        end
        changed = changed or not stays
        left[from] = stays or nil
      end
    end
    assert.same({}, names_of(left), draw(graph))
  end

  it("include each other in no circle", function()
    local graph = include_graph()
    if os.getenv "GRAPH" then
      io.stderr:write(draw(graph), "\n")
    end
    assert_no_circle(graph)
  end)

  it("have folders that include each other in no circle", function()
    assert_no_circle(folder_graph(include_graph()))
  end)

  it("have no arrow from the core up", function()
    local arrows = folder_graph(include_graph())
    assert.same({}, arrows["src/core/base"])
    assert.same({ "src/core/base" }, names_of(arrows["src/core/http"]))
    assert.same({ "src/core/base", "src/core/http" },
      names_of(arrows["src/core"]))
  end)

  -- What a name may begin with: the file's own, or a type of its header.
  local function prefixes_of(path)
    local prefixes = { path:match "([%w_]+)%.[ch]$" }
    local header = h.shell.read((path:gsub("c$", "h"))) or ""
    for name in header:gmatch "\n} seer_([%w_]+);" do
      prefixes[#prefixes + 1] = name
    end
    for name in header:gmatch "\ntypedef [%w_]+ seer_([%w_]+)[ ;]" do
      prefixes[#prefixes + 1] = name
    end
    return prefixes
  end

  local function has_prefix(name, prefixes)
    for _, prefix in ipairs(prefixes) do
      if (name .. "_"):find("^seer_" .. prefix .. "s?_") then
        return true
      end
    end
    return false
  end

  -- Names of functions and of variables that a file defines for others.
  local function exports_of(file)
    local found = {}
    for line in file.text:gmatch "[^\n]+" do
      local name = line:match "^%a[%w_ %*]-(seer_[%w_]+)[%(%[]"
        or line:match "^%a[%w_ %*]-(seer_[%w_]+) ="
        or line:match "^%a[%w_ %*]- %*?(seer_[%w_]+);$"
      if name and not line:find "^typedef"
        and (file.path:find "%.c$" or line:find "^static inline") then
        found[#found + 1] = name
      end
    end
    return found
  end

  -- Files of which each name says all: Lua's, the C library's, the system's,
  -- a letter's.
  local OWN_WORDS = {
    ["src/compat.h"] = true, ["src/core/base/thread.c"] = true,
    ["src/core/base/ascii.h"] = true, ["src/core/base/os_posix.c"] = true,
    ["src/core/base/os_windows.c"] = true,
  }

  it("export names that begin with the file's, or a type's of it", function()
    for _, file in ipairs(all) do
      if not OWN_WORDS[file.path] then
        local prefixes = prefixes_of(file.path)
        for _, name in ipairs(exports_of(file)) do
          assert(has_prefix(name, prefixes), file.path .. ": " .. name)
        end
      end
    end
  end)

  it("name LUA_VERSION_NUM in src/compat.h only", function()
    for _, file in ipairs(all) do
      assert.equal(file.path == "src/compat.h",
        file.text:find("LUA_VERSION_NUM", 1, true) ~= nil, file.path)
    end
  end)

  it("read each header once, and hide what they define", function()
    for _, file in ipairs(all) do
      if file.path:find "%.h$" then
        assert.matches("^#pragma once\n", file.text, 1, false, file.path)
      else
        assert.matches("\n#pragma GCC visibility push%(hidden%)\n\n",
          file.text, 1, false, file.path)
      end
    end
  end)

  it("are at most 500 lines of at most 79 columns", function()
    for _, file in ipairs(all) do
      local lines = lines_of(file.text)
      assert(#lines <= 501, file.path .. " has too many lines")
      for number, line in ipairs(lines) do
        assert(#line <= 79, file.path .. ":" .. number .. " is too long")
      end
    end
  end)

  it("leave nothing to be done", function()
    for _, file in ipairs(all) do
      for _, word in ipairs { "TODO", "FIXME", "XXX", "#if 0" } do
        assert(not file.text:find(word, 1, true), file.path .. ": " .. word)
      end
    end
  end)
end)
