-- Keeps the repository honest: what is said twice is said alike.

local h = require "spec.helper"
local seerstack = require "seerstack"

local find, read = h.tree.find, h.tree.read
local lines_of, names_of = h.tree.lines_of, h.tree.names_of

local rockspec_path = h.shell.output("ls rockspec/seerstack-[0-9]*.rockspec")
local STORES = { "sqlite", "redis" }

local function load_rockspec(path)
  local rockspec = {}
  local text = read(path or rockspec_path)
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
    local all = {}
    for _, path in ipairs(find "*.c") do
      all[#all + 1] = path:find "^src/[%w_]+%.c$" and path
        or path:find "^src/core/" and path or nil
    end
    assert.same(all, sources)
  end)

  for _, store in ipairs(STORES) do
    it("of " .. store .. " builds its sources, and needs this version",
      function()
        local path = h.shell.output("ls rockspec/seerstack-" .. store
          .. "-*.rockspec")
        local rockspec = load_rockspec(path)
        local all = {}
        for _, source in ipairs(find "*.c") do
          all[#all + 1] = source:find("^src/" .. store .. "/") and source
            or nil
        end
        assert.same(all, rockspec.build.modules["seerstack." .. store].sources)
        local main = load_rockspec()
        assert.equal(main.version, rockspec.version)
        assert.same(main.source, rockspec.source)
        assert.equal("seerstack == " .. main.version:match "^(.+)%-%d+$",
          rockspec.dependencies[2])
        assert.matches("seerstack-" .. store .. "-" .. main.version, path, 1,
          true)
      end)
  end

  it("installs all parts of the command", function()
    local build = load_rockspec().build
    local installed = { build.install.lua["seerstack.tool.page"] }
    for name, path in pairs(build.modules) do
      local part = name:match "^seerstack%.tool%.(%l+)$"
      if part then
        assert.equal("bin/lib/seerstack/tool/" .. part .. ".lua", path)
        installed[#installed + 1] = path
      end
    end
    table.sort(installed)
    assert.same(lines_of(h.shell.output(
      "find bin/lib -type f | LC_ALL=C sort")), installed)
    assert.same({ seerstack = "bin/seerstack" }, build.install.bin)
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
    for _, page in ipairs { "README.md", "docs/install.md" } do
      for named in read(page):gmatch("%f[%w.]%d+%.%d+%.%d+%f[^%w.]") do
        assert.equal(version, named)
      end
    end
  end)
end)

describe("the manual", function()
  local library = read "library/seerstack.lua"
    .. read "library/seerstack/options.lua"
  local reference = read "docs/reference.md"
  local callbacks = read "docs/callbacks.md"

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
    FLAG = function(value) -- -1: it depends on the store
      return value < 0 and "`true` with a" or one_of("false", "true")(value)
    end,
    FULL = one_of('"reject"', '"drop_oldest"'),
    LEVEL = one_of('"off"', '"error"', '"warn"', '"info"', '"debug"'),
    HEAD = "`{}`", QUERY = "`{}`", TABLE = "none", PEM = "none",
    PART = "none", CERT = "none", PRIV = false, PASS = "none",
    HTTP = '`"1.1"`',
    KEY = false, URL = false, PROXY = false, PATH = false, CALL = false,
    ID = false, STORE = "none",
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

  -- The names in a column of a table of the reference, sorted.
  local function first_column(head)
    local found = {}
    for cell in reference:match("\n| " .. head .. " |.-\n\n")
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

  it("lists every option with its default", function()
    for name, defaults in pairs(options "client_options") do
      local row = reference:match("\n| `" .. name .. "` |([^\n]*)")
      assert(row, "option " .. name .. " is not in the reference")
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
      assert_has(reference, name, "reference.md")
    end
  end)

  it("annotates every name of a client", function()
    local client = seerstack.new { api_key = "sk_x" }
    local _, members = debug.getupvalue(getmetatable(client).__index, 1)
    if _VERSION == "Lua 5.1" and not members then
      return pending "Lua 5.1 shows no upvalues of C functions"
    end
    for _, name in ipairs(names_of(members)) do
      local member = client[name]
      local found = library:find("\nfunction Client:" .. name .. "%(")
        or annotation("seerstack%.Client", name)
      assert(found, "client." .. name .. " is not annotated")
      for inner in pairs(type(member) == "table" and member or {}) do
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
      assert_has(reference, "future:" .. name, "reference.md")
    end
    client:close()
  end)

  it("annotates every field of stats, and no others", function()
    local x = h.open {
      initial_retry_delay = 40, max_retry_delay = 40, log_level = "off",
      rate_limit = 1000, store = require "seer_spec_store".open {},
    }
    x:capture "a.b"
    x:serve(function() return 401 end, function() return x:paused() end)
    local stats = x.client:stats()
    x:close()
    assert.same(fields_of "seerstack%.Stats", names_of(stats))
    assert.same(fields_of "seerstack%.Drops", names_of(stats.dropped_by))
    assert.same(names_of(stats), first_column "Field")
    stats.store.error = stats.store.error or "none yet"
    assert.same(fields_of "seerstack%.StoreStats", names_of(stats.store))
    for name in pairs(stats.store) do
      assert_has(reference, "`" .. name .. "`", "reference.md")
    end
    for reason in pairs(stats.dropped_by) do
      assert_has(reference, "`" .. reason .. "`", "reference.md")
    end
  end)

  it("annotates every field of a captured request, and no others",
    function()
      local client = seerstack.new { test_mode = true, query = { a = 1 } }
      assert(client.events.capture { name = "a.b" })
      local names = names_of(client:captured()[1])
      assert.same(fields_of "seerstack%.Captured", names)
      local paragraph = reference:match("\nA request has .-\n\n")
      for _, name in ipairs(names) do
        assert_has(paragraph, "`" .. name .. "`", "reference.md")
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
      assert_has(callbacks, "`" .. name .. "`", "callbacks.md")
    end
  end)

  it("names every level", function()
    local levels = read "src/core/base/tell.c"
      :match "seer_level_names%b[] = (%b{})"
    for level in levels:gmatch '"(%l+)"' do
      assert_has(annotation("seerstack%.Options", "log_level")
        .. library:match "@alias seerstack%.Level\n(.-)\n\n",
        '"' .. level .. '"', "library")
      assert_has(callbacks, "`" .. level .. "`", "callbacks.md")
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

-- What the module may say, from its sources: literals with words in them,
-- those of more than one line joined.
local function messages_of(path)
  local text, found = read(path), {}
  text = text:gsub("/%*.-%*/", ""):gsub("\n#[^\n]*", ""):gsub('\\"', "'")
    :gsub('"%s*\n%s*"', "")
  for literal in text:gmatch '"([^"\n]*)"' do
    if literal:find "%l %l" and not literal:find "^ .* $" then
      found[#found + 1] = literal
    end
  end
  return found
end

describe("the troubleshooting page", function()
  local page = read "docs/troubleshooting.md":gsub("%s+", " ")
    :gsub('"', "'")
  local count = 0

  -- A message is cut where something is filled in, and at marks: the page
  -- has an example there, or goes on otherwise.
  local function assert_has(message, path)
    local text = message:gsub("%%[%d.*]*l*%a", "\n")
    for between in text:gmatch "[^\n;:'()]+" do
      local part = between:match "^[ ,]*(.-)[ ,]*$"
      if part:find "%l+ %l+ %l+" then
        count = count + 1
        assert(page:find(part, 1, true),
          path .. ": not on the page: " .. part)
      end
    end
  end

  it("has each message of the sources", function()
    for _, path in ipairs(find "*.c") do
      for _, message in ipairs(path == "src/redis/scripts.c" and {}
        or messages_of(path)) do
        if message ~= "const volatile void *" then -- a type of LuaJIT's
          assert_has(message, path)
        end
      end
    end
    assert.is_true(count > 80)
  end)
end)

describe("the module", function()
  local path

  setup(function() path = h.shell.quote(h.library "seerstack") end)

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
