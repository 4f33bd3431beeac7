-- The papers: links lead somewhere, each page is reached from README.md, and
-- what stands there in Lua runs.

local h = require "spec.helper"

local read, lines_of = h.tree.read, h.tree.lines_of

local pages = lines_of(h.shell.output("find README.md CONTRIBUTING.md "
  .. "CHANGELOG.md bench/README.md docs .github -name '*.md' "
  .. "| LC_ALL=C sort"))

-- The lines of a page that are no code, and the blocks of it that are Lua:
-- { line = where it begins, code = its text }.
local function split(path)
  local prose, blocks, block = {}, {}, nil
  for number, line in ipairs(lines_of(read(path))) do
    local language = line:match "^%s*```(%l*)"
    if language and not block then
      block = { line = number + 1, code = "" }
      blocks[#blocks + 1] = language == "lua" and block or nil
    elseif language then
      block = nil
    elseif block then
      block.code = block.code .. line .. "\n"
    else
      prose[#prose + 1] = line
    end
  end
  return prose, blocks
end

-- The anchor that GitHub gives to a heading.
local function anchor_of(heading)
  local text = heading:gsub("%[([^%]]*)%]%b()", "%1"):lower()
  return (text:gsub("[^%w%s_\128-\255-]", ""):gsub("%s", "-"))
end

local function anchors_of(path)
  local anchors = {}
  for _, line in ipairs((split(path))) do
    local heading = line:match "^#+%s+(.-)%s*$"
    if heading then
      anchors[anchor_of(heading)] = true
    end
  end
  return anchors
end

-- "docs/hosts/../x.md" as "docs/x.md".
local function normal(path)
  path = path:gsub("^%./", "")
  local count
  repeat
    path, count = path:gsub("[^/]+/%.%./", "", 1)
  until count == 0
  return path
end

-- { { target = a path of the repository, anchor = or nil } }, without those
-- that lead out of it.
local function links_of(path)
  local text = table.concat((split(path)), "\n"):gsub("`[^`\n]*`", "")
  local directory, found = path:match "^(.*/)" or "", {}
  for link in text:gmatch "%]%(([^)]+)%)" do
    if not link:find "^%a+:" then
      local target, anchor = link:match "^([^#]*)#?(.*)$"
      found[#found + 1] = {
        link = link,
        target = target == "" and path or normal(directory .. target),
        anchor = anchor ~= "" and anchor or nil,
      }
    end
  end
  return found
end

describe("the links of", function()
  for _, path in ipairs(pages) do
    it(path .. " lead somewhere", function()
      for _, link in ipairs(links_of(path)) do
        assert(h.shell.run("test -e " .. h.shell.quote(link.target)) == 0,
          link.link .. ": there is no " .. link.target)
        assert(not link.anchor or anchors_of(link.target)[link.anchor],
          link.link .. ": there is no such heading")
      end
    end)
  end

  it("README.md reach every page of docs", function()
    local reached, waiting = {}, { "README.md" }
    while #waiting > 0 do
      local path = table.remove(waiting)
      if path:find "%.md$" and not reached[path] then
        reached[path] = true
        for _, link in ipairs(links_of(path)) do
          waiting[#waiting + 1] = link.target
        end
      end
    end
    for _, path in ipairs(pages) do
      assert(reached[path] or not path:find "^docs/", path)
    end
  end)
end)

-- What a block may take for granted: busted, or a client, and in the place of
-- nginx a clock.
local BUSTED = [[
assert = require "luassert"
function describe(_, body) body() end
it = describe
]]

local BEFORE = [[
ngx = { sleep = socket.sleep }
local seerstack = require "seerstack"
local client = seerstack.new()
]]

-- What runs in a program of its own, which is not here.
local function belongs_to_host(path)
  return path:find "^docs/hosts/" and path ~= "docs/hosts/interpreters.md"
    and path ~= "docs/hosts/other.md" or path:find "^%.github/"
end

local function program(block)
  if block.code:find "describe%(" then
    return BUSTED .. block.code
  elseif block.code:find '^local seerstack = require "seerstack"' then
    return block.code
  end
  return BEFORE .. block.code
end

describe("what stands in", function()
  local api = h.standin()
  local count = 0

  for _, path in ipairs(pages) do
    local _, blocks = split(path)
    for _, block in ipairs(blocks) do
      count = count + 1
      local place = path .. ":" .. block.line
      it(place .. " is Lua", function()
        assert((rawget(_G, "loadstring") or load)(block.code, "=" .. place))
      end)

      if not belongs_to_host(path) then
        it(place .. " runs", function()
          local result = h.script.run {
            code = program(block),
            env = h.environment(api.url, api.key),
          }
          assert.equal(0, result.status, result.stdout .. result.stderr)
        end)
      end
    end
  end

  it("the manual is Lua at all", function()
    assert.is_true(count > 10)
  end)
end)
