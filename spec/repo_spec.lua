-- Keeps the repository honest: what is said twice is said alike, and the
-- sources keep to the layers that docs/internals.md describes.

local h = require "spec.helper"
local seerstack = require "seerstack"

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

local function find(pattern)
  return lines_of(h.shell.output("find src -name " .. h.shell.quote(pattern)
    .. " | LC_ALL=C sort"))
end

local function read(path)
  return assert(h.shell.read(path), path .. " cannot be read")
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local rockspec_path = h.shell.output("ls rockspec/*.rockspec")

local function load_rockspec()
  local rockspec = {}
  local text = read(rockspec_path)
  local setfenv = rawget(_G, "setfenv")
  if setfenv then
    setfenv(rawget(_G, "loadstring")(text), rockspec)()
  else
    load(text, rockspec_path, "t", rockspec)()
  end
  return rockspec
end

describe("the rockspec", function()
  it("builds all sources", function()
    local sources = load_rockspec().build.modules.seerstack.sources
    assert.same(find "*.c", sources)
  end)
end)

describe("the version", function()
  it("is the same everywhere", function()
    local version = read "src/core/base/version.h"
      :match('#define SEER_VERSION "([^"]+)"')
    assert.equal(version, seerstack._VERSION)
    assert.matches("^rockspec/seerstack%-(.+)%-%d+%.rockspec$", rockspec_path)
    assert.equal(version, rockspec_path:match("seerstack%-(.+)%-%d+%.rock"))
    local rockspec = load_rockspec()
    assert.equal(version, rockspec.version:match("^(.+)%-%d+$"))
    assert.equal("v" .. version, rockspec.source.tag)
    assert.equal(version, read "CHANGELOG.md":match("\n## [^\n%d]*([%d.]+)"))
    for named in read "README.md":gmatch("%f[%w]%d+%.%d+%.%d+%f[^%w.]") do
      assert.equal(version, named)
    end
  end)
end)

describe("the manual", function()
  local library, readme = read "library/seerstack.lua", read "README.md"

  -- How the manual writes a default of each kind: the number or the name for
  -- it, one word for all, or nothing (the environment's, what others do).
  local function number(value)
    return "`" .. ("%.14g"):format(value) .. "`"
  end

  local function one_of(...)
    local names = { ... }
    return function(value)
      return "`" .. names[value + 1] .. "`"
    end
  end

  local KINDS = {
    TIME = number, GRACE = number, COUNT = number, RATE = number,
    FLAG = one_of("false", "true"),
    FULL = one_of('"reject"', '"drop_oldest"'),
    LEVEL = one_of('"off"', '"error"', '"warn"', '"info"', '"debug"'),
    HEAD = "`{}`", QUERY = "`{}`", TABLE = "none", PEM = "none",
    HTTP = '`"1.1"`',
    KEY = false, URL = false, PROXY = false, PATH = false, CALL = false,
    ID = false,
  }

  -- The default of a row as people write it; false if there is none to see.
  local function shown(row)
    local show = KINDS[row.kind]
    assert(show ~= nil, "what is the default of a " .. row.kind .. "?")
    if type(show) ~= "function" then
      return show
    end
    local constants = { DAY = "86400" }
    return show(tonumber(constants[row.fallback] or row.fallback)
      or 2 ^ tonumber(row.fallback:match("^0x1p(%d+)$")))
  end

  -- { name = { its defaults } }
  local function options(array)
    local found = {}
    for _, row in ipairs(h.rows.of(array)) do
      found[row.name] = found[row.name] or {}
      table.insert(found[row.name], shown(row) or nil)
    end
    return found
  end

  local function assert_has(text, part, what)
    assert(text and text:find(part, 1, true),
      what .. ": " .. part .. " is missing in " .. tostring(text))
  end

  -- The comment and the declaration of a field of a class.
  local function annotation(class, name)
    local body = library:match("@class [^\n]*%f[%w]" .. class
      .. "%f[%W](.-)\n\n")
    local comment = {}
    for _, line in ipairs(lines_of(body or "")) do
      local field = line:match("^%-%-%-@field ([%w_]+)")
      comment[#comment + 1] = line
      if field == name then
        return table.concat(comment, " ")
      elseif field then
        comment = {}
      end
    end
  end

  local function assert_annotated(class, array, with_default)
    for name, defaults in pairs(options(array)) do
      local text = annotation(class, name)
      assert(text, "option " .. name .. " is not annotated")
      for _, default in ipairs(with_default and defaults or {}) do
        assert_has(text, default, name)
      end
    end
  end

  -- The fields of a class, sorted.
  local function fields_of(class)
    local found = {}
    for name in library:match("@class [^\n]-" .. class .. "\n(.-)\n\n")
      :gmatch("@field ([%w_]+)") do
      found[name] = true
    end
    return names_of(found)
  end

  -- The names in a column of a table of README.md, sorted.
  local function first_column(head)
    local found = {}
    for cell in readme:match("\n| " .. head .. " |.-\n\n")
      :gmatch("\n| (`[^|]*) |") do
      for name in cell:gmatch("`([%w_]+)`") do
        found[name] = true
      end
    end
    return names_of(found)
  end

  it("annotates every option with its default", function()
    assert_annotated("seerstack%.Options", "client_options", true)
    assert_annotated("seerstack%.RequestOptions", "request_options", false)
  end)

  it("lists every option with its default in README.md", function()
    for name, defaults in pairs(options "client_options") do
      local row = readme:match("\n| `" .. name .. "` |([^\n]*)")
      assert(row, "option " .. name .. " is not in README.md")
      for _, default in ipairs(defaults) do
        assert_has(row:match("^[^|]*"), default, name)
      end
    end
  end)

  it("lists no option that there is not", function()
    local known = names_of(options "client_options")
    assert.same(known, first_column "Option")
    assert.same(known, fields_of "seerstack%.Options")
  end)

  it("lists the options of a request, and no others", function()
    local known = names_of(options "request_options")
    assert.same(known, first_column "Of a request")
    assert.same(known, fields_of "seerstack%.RequestOptions")
  end)

  it("annotates every name of the module", function()
    for _, name in ipairs(names_of(seerstack)) do
      local found = library:find("\nfunction seerstack%." .. name .. "%(")
        or library:find("\nseerstack%." .. name .. " = ")
      assert(found, "seerstack." .. name .. " is not annotated")
      assert_has(readme, name, "README.md")
    end
  end)

  it("annotates every name of a client", function()
    local client = seerstack.new { api_key = "sk_x" }
    local get_members = rawget(debug, "getuservalue")
      or rawget(debug, "getfenv")
    local members = get_members(client)
    for _, name in ipairs(names_of(members)) do
      local found = library:find("\nfunction Client:" .. name .. "%(")
        or annotation("seerstack%.Client", name)
      assert(found, "client." .. name .. " is not annotated")
      for inner in pairs(type(members[name]) == "table" and members[name]
        or {}) do
        assert(library:find("\nfunction %w+%." .. inner .. "%("),
          "client." .. name .. "." .. inner .. " is not annotated")
      end
    end
    client:close()
  end)

  it("annotates every method of a future", function()
    local client = seerstack.new { test_mode = true }
    local future = client.events.capture({ name = "a" }, { future = true })
    for _, name in ipairs(names_of(getmetatable(future).__index)) do
      assert_has(library, "\nfunction Future:" .. name .. "(", "library")
      assert_has(readme, "future:" .. name, "README.md")
    end
    client:close()
  end)

  it("annotates every field of stats, and no others", function()
    local x = h.open {
      initial_retry_delay = 40, max_retry_delay = 40, log_level = "off",
    }
    x:capture "a.b"
    x:serve(function() return 401 end, function() return x:paused() end)
    local stats = x.client:stats()
    x:close()
    assert.same(fields_of "seerstack%.Stats", names_of(stats))
    assert.same(fields_of "seerstack%.Drops", names_of(stats.dropped_by))
    for reason in pairs(stats.dropped_by) do
      assert_has(readme, "`" .. reason .. "`", "README.md")
    end
  end)

  it("annotates every field of a captured request, and no others",
    function()
      local client = seerstack.new { test_mode = true, query = { a = 1 } }
      assert(client.events.capture { name = "a.b" })
      local names = names_of(client:captured()[1])
      assert.same(fields_of "seerstack%.Captured", names)
      local paragraph = readme:match("\nA request has .-\n\n")
      for _, name in ipairs(names) do
        assert_has(paragraph, "`" .. name .. "`", "README.md")
      end
      client:close()
    end)

  it("annotates what a logger gets, and nothing else", function()
    local fields
    local x = h.open {
      logger = function(_, _, given) fields = given end,
    }
    x:capture "a.b"
    x:settle(function() return 400 end)
    assert.equal(1, x.client:poll())
    x:close()
    fields.repeated = read "src/callbacks.c":match '"repeated"'
    assert.same(fields_of "seerstack%.LogFields", names_of(fields))
    for name in pairs(fields) do
      assert_has(readme, "`" .. name .. "`", "README.md")
    end
  end)

  it("names every level", function()
    local levels = read "src/core/base/tell.c"
      :match "seer_level_names%b[] = (%b{})"
    for level in levels:gmatch '"(%l+)"' do
      assert_has(annotation("seerstack%.Options", "log_level")
        .. library:match "@alias seerstack%.Level\n(.-)\n\n",
        '"' .. level .. '"', "library")
      assert_has(readme, "`" .. level .. "`", "README.md")
    end
  end)

  it("annotates every field of an error, and no others", function()
    local x = h.open()
    local future = x.client.events.capture({ name = "a" }, { future = true })
    x:serve(function() return 400, nil, "no" end,
      function() return future:done() end)
    local _, _, err = future:get()
    assert.same(fields_of "seerstack%.Error", names_of(err))
    x:close()
  end)

  it("names every error, and no other", function()
    local known, annotated = {}, {}
    for _, path in ipairs(find "*.c") do
      for name in read(path):gmatch('"(%u%w+Error)"') do
        known[name] = true
      end
    end
    for name in library:match "@alias seerstack%.ErrorName\n(.-)\n\n"
      :gmatch '"(%w+)"' do
      annotated[name] = true
    end
    assert.same(names_of(known), names_of(annotated))
    assert.same(names_of(known), first_column "`err.name`")
  end)
end)

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

  local function assert_only(allowed, pattern)
    local found = who_includes(pattern)
    assert.not_equal(0, #found)
    for _, path in ipairs(found) do
      assert.matches(allowed, path)
    end
  end

  it("include Lua above the core only", function()
    assert_only("^src/[%w_]+%.[ch]$", "^lua.*%.h")
    assert_only("^src/[%w_]+%.[ch]$", "^lauxlib%.h")
  end)

  it("include libcurl in src/core/http only", function()
    assert_only("^src/core/http/[%w_]+%.[ch]$", "^curl/")
  end)

  it("include pthreads in src/core/base/thread.c only", function()
    assert_only("^src/core/base/thread%.c$", "^pthread%.h")
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

  -- Files of which each name says all: Lua's, the C library's, a letter's.
  local OWN_WORDS = {
    ["src/compat.h"] = true, ["src/core/base/thread.c"] = true,
    ["src/core/base/ascii.h"] = true,
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

  it("guard each header by its name, and hide what it declares", function()
    for _, file in ipairs(all) do
      local name = file.path:match("([%w_]+)%.h$")
      if name then
        assert.matches("^#ifndef SEER_[%u%d_]*" .. name:upper() .. "_H\n",
          file.text)
        if file.text:find("\n%a[%w_ *]*%([^{};]*%);\n") then
          assert.matches("#pragma GCC visibility push(hidden)", file.text, 1,
            true)
        end
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

describe("the module", function()
  local path

  setup(function()
    for template in package.cpath:gmatch("[^;]+") do
      local candidate = template:gsub("%?", "seerstack")
      path = path or h.shell.read(candidate) and h.shell.quote(candidate)
    end
  end)

  it("exports one symbol", function()
    assert.matches("^%x+ T luaopen_seerstack$",
      h.shell.output("nm -D --defined-only " .. path))
  end)

  it("has assertions in builds for tests alone", function()
    assert.equal(os.getenv "SANITIZER" ~= nil,
      h.shell.output("nm -D " .. path):find "__assert_fail" ~= nil)
  end)

  it("stays mapped: it is linked with -z nodelete", function()
    assert.matches("NODELETE", h.shell.output("readelf -d " .. path))
  end)
end)
