-- What a newcomer pastes: tracks through the pages. Prints their names, or
-- one of them as a script for bash, which checks/papers/run gives to a bare
-- system.
--   lua5.4 checks/papers/tracks.lua [TRACK]

local INSTALL, TUTORIAL = "docs/install.md#", "docs/tutorial.md#"

-- paste  sections, by page and heading: all that is indented there is pasted,
--        and what is to be saved as a file is saved. With ":2" at its end, the
--        second block alone. "$ line" is that line.
-- as     what the reader writes in the place of what stands there
-- stays  a pattern: lines that go on in a terminal of their own
-- holds  what has to hold at the end, in the shell
local tracks = {
  { "quickstart", paste = { "README.md#Try it" },
    holds = "said '200 /capture user.signup'" },
  { "test-one", paste = { INSTALL .. "Install", "$ apt-get install make",
      "$ make test LUAS=5.4 SPEC=spec/encode_spec.lua" },
    holds = "said ' passed, 0 failed'" },
  { "readme", paste = { INSTALL .. "Install", "README.md#Install",
      INSTALL .. "Check it" },
    holds = "said '200 hello.world'" },

  { "luarocks-5.4", paste = { INSTALL .. "Install", INSTALL .. "With LuaRocks",
      INSTALL .. "Check it", INSTALL .. "Uninstall:1" },
    holds = "said '200 hello.world' && test ! -e seerstack.so" },
  { "luarocks-5.1", paste = { INSTALL .. "Install", INSTALL .. "With LuaRocks",
      INSTALL .. "Check it", INSTALL .. "Uninstall:1" },
    as = { ["5.4"] = "5.1" }, holds = "said '200 hello.world'" },
  { "make-5.4", paste = { INSTALL .. "Install", INSTALL .. "Without LuaRocks",
      INSTALL .. "Check it", INSTALL .. "Uninstall:2" },
    holds = "said '200 hello.world'" },
  { "make-5.1", paste = { INSTALL .. "Install", INSTALL .. "Without LuaRocks",
      INSTALL .. "Check it", INSTALL .. "Uninstall:2" },
    as = { ["5.4"] = "5.1" }, holds = "said '200 hello.world'" },
  { "luajit-nginx", paste = {
      "$ apt-get install nginx libnginx-mod-http-lua", INSTALL .. "Install",
      INSTALL .. "LuaJIT, and LuaJIT beside nginx", INSTALL .. "Check it",
      "$ seerstack doctor nginx" },
    as = { ["lua5.4"] = "luajit" },
    holds = "said '200 hello.world' && said 'ok    seerstack 0'" },
  { "stores", paste = { INSTALL .. "Install", INSTALL .. "Without LuaRocks",
      INSTALL .. "The modules of stores",
      '$ lua5.4 -e \'require "seerstack.sqlite" require "seerstack.redis"\'' },
    holds = "true" },
  -- Debian has no OpenResty; the LuaJIT of its project stands in for it.
  { "openresty", paste = { "$ apt-get install libluajit2-5.1-dev",
      "$ mkdir -p /usr/local/openresty/luajit/include",
      "$ ln -s /usr/include/luajit-2.1 /usr/local/openresty/luajit/include/",
      INSTALL .. "Install", INSTALL .. "OpenResty" },
    holds = "test -s /usr/local/openresty/site/lualib/seerstack.so" },

  { "tutorial-lua", paste = { TUTORIAL .. "Tutorial", TUTORIAL .. "The page",
      TUTORIAL .. "A Lua program" }, stays = { "seerstack listen$" },
    holds = "said delivered && arrived tutorial.started tutorial.finished" },
  { "tutorial-web", paste = { TUTORIAL .. "Tutorial", TUTORIAL .. "The page",
      TUTORIAL .. "A web server" }, stays = { "seerstack listen$" },
    holds = "arrived page.viewed user.signup" },
  { "tutorial-game", paste = { "$ apt-get install xvfb xdotool",
      "$ export DISPLAY=:99", "$ Xvfb :99", TUTORIAL .. "Tutorial",
      TUTORIAL .. "The page", TUTORIAL .. "A game", "$ xdotool key Escape" },
    stays = { "seerstack listen$", "^love ", "^Xvfb " },
    holds = "arrived game.started game.left" },
}

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function say(...)
  io.write(table.concat { ... }, "\n")
end

-- The blocks of a section that are indented, and those that "Save this as"
-- names: { lines..., file = or nil }.
local function blocks_of(page, heading)
  local blocks, block, inside, fence, file = {}, nil, false, nil, nil
  for line in io.lines(page) do
    if line:find "^```" then
      fence = not fence and { file = file } or nil
      if fence and inside and file then
        blocks[#blocks + 1], file = fence, nil
      end
    elseif fence then
      fence[#fence + 1] = line
    elseif line:find "^#" then
      inside, block = line:match "^#+%s+(.*)$" == heading, nil
    elseif inside and line:find "^    " then
      if not block then
        block = {}
        blocks[#blocks + 1] = block
      end
      block[#block + 1] = line:sub(5)
    elseif line ~= "" then
      block, file = nil, line:match "^Save this as `([^`]*)`"
    end
  end
  return blocks
end

local function is_any(line, patterns)
  for _, pattern in ipairs(patterns or {}) do
    if line:find(pattern) then
      return true
    end
  end
  return false
end

local function paste_line(track, line)
  for from, to in pairs(track.as or {}) do
    line = line:gsub(from:gsub("%p", "%%%0"), to)
  end
  say(is_any(line, track.stays) and "leave " or "paste ", quote(line))
end

local function paste_block(track, block)
  if block.file then
    say("save ", quote(block.file), " ", quote(table.concat(block, "\n")))
    return
  end
  for _, line in ipairs(block) do
    paste_line(track, line)
  end
end

local function paste_section(track, name)
  local page, heading, number = name:match "^(.-)#(.-):?(%d*)$"
  local blocks = blocks_of(page, heading)
  assert(blocks[tonumber(number) or 1], "nothing to paste in " .. name)
  say("section ", quote(page .. ": " .. heading))
  for i, block in ipairs(blocks) do
    if number == "" or i == tonumber(number) then
      paste_block(track, block)
    end
  end
end

for _, track in ipairs(tracks) do
  if not arg[1] then
    print(track[1])
  elseif arg[1] == track[1] then
    for _, name in ipairs(track.paste) do
      local line = name:match "^%$ (.*)"
      if line then
        paste_line(track, line)
      else
        paste_section(track, name)
      end
    end
    say("holds ", quote(track.holds))
  end
end
