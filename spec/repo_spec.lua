-- Keeps the repository honest: what is said twice is said alike, and the
-- sources keep to the layers that docs/internals.md describes.

local seerstack = require "seerstack"
local shell = require "dev.shell"

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

local function find(pattern)
  return lines_of(shell.output("find src -name " .. shell.quote(pattern)
    .. " | LC_ALL=C sort"))
end

local function read(path)
  return assert(shell.read(path), path .. " cannot be read")
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local rockspec_path = shell.output("ls rockspec/*.rockspec")

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
    local version = read "src/core/version.h"
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

  -- A row of the table in src/options.c: a default as people write it.
  local function shown(kind, fallback)
    local constants = { DAY = "86400" }
    local number = tonumber(constants[fallback] or fallback)
      or 2 ^ tonumber(fallback:match("^0x1p(%d+)$"))
    if kind == "FLAG" then
      return number == 0 and "false" or "true"
    elseif kind == "FULL" then
      return number == 0 and '"reject"' or '"drop_oldest"'
    end
    return ("%.14g"):format(number)
  end

  -- { name = { its defaults } }
  local function options(array)
    local found = {}
    local text = read "src/options.c"
      :match("static const row " .. array .. "%[%] = {(.-)};")
    for name, kind, fallback in text:gmatch(
      '{"([%w_]+)",%s*(%u+),%s*[^,]+,%s*[^,]+,%s*([^,]+),') do
      found[name] = found[name] or {}
      if kind ~= "KEY" and kind ~= "URL" then
        table.insert(found[name], shown(kind, fallback))
      end
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
        assert_has(text, "`" .. default .. "`", name)
      end
    end
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
        assert_has(row:match("^[^|]*"), "`" .. default .. "`", name)
      end
    end
  end)

  it("lists no option that there is not", function()
    local known = options "client_options"
    local options_table = readme:match("\n| Option |.-\n\n")
    for name in options_table:gmatch("\n| `([%w_]+)`") do
      assert(known[name], name .. " in README.md is no option")
    end
    local class = library:match("@class [^\n]*seerstack%.Options\n(.-)\n\n")
    for name in class:gmatch("@field ([%w_]+)") do
      assert(known[name], name .. " in the annotations is no option")
    end
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

  it("names every error", function()
    for name in read "src/result.c":gmatch('"(%u%w+Error)"') do
      assert_has(readme, "`" .. name .. "`", "README.md")
      assert_has(library, '"' .. name .. '"', "library")
    end
    for name in read "src/client.c":gmatch('"(%u%w+Error)"') do
      assert_has(readme, "`" .. name .. "`", "README.md")
      assert_has(library, '"' .. name .. '"', "library")
    end
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

  it("include libcurl in src/core/http* only", function()
    assert_only("^src/core/http[%w_]*%.[ch]$", "^curl/")
  end)

  it("include pthreads in src/core/thread.c only", function()
    assert_only("^src/core/thread%.c$", "^pthread%.h")
  end)

  it("have no arrow from the core up", function()
    for _, file in ipairs(all) do
      if file.path:find("^src/core/") then
        for header in file.text:gmatch('#include "([^"]+)"') do
          assert(shell.read("src/core/" .. header),
            file.path .. " includes " .. header)
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
      path = path or shell.read(candidate) and shell.quote(candidate)
    end
  end)

  it("exports one symbol", function()
    assert.matches("^%x+ T luaopen_seerstack$",
      shell.output("nm -D --defined-only " .. path))
  end)

  it("stays mapped: it is linked with -z nodelete", function()
    assert.matches("NODELETE", shell.output("readelf -d " .. path))
  end)
end)
