-- The programs of docs/hosts/more.md, with the Lua that stands there. The API
-- refuses the first request, so the event is not delivered yet when the
-- program is told to end.

local cjson = require "cjson"
local h = require "spec.helper"

-- The code of a section of the page.
local function code_of(heading)
  local page = h.tree.read "docs/hosts/more.md"
  local section = page:match("\n## " .. heading .. "\n(.-)\n## ")
  return assert(section, heading):match "```lua\n(.-)```"
end

-- How long delivery takes on a busy machine is not what these specs are about.
local PATIENT = { ["exit_timeout = 1"] = "exit_timeout = 20" }

-- A file of packets, without any.
local PCAP = "\xd4\xc3\xb2\xa1\2\0\4\0" .. ("\0"):rep(8)
  .. "\xff\xff\0\0\1\0\0\0"

local FILM = "av://lavfi:testsrc"
local MPV = { "mpv", "--no-config", "--vo=null", "--ao=null",
  "--script=mpv.lua" }

-- From version 4.4 on tshark loads no script for root. Who is not may read
-- here what is root's all the same.
local NOT_AS_ROOT = [[if [ "$(id -u)" = 0 ]; then
  set -- setpriv --reuid=65534 --regid=65534 --clear-groups \
    --inh-caps=+dac_override --ambient-caps=+dac_override
fi
exec "$@" ]]

-- For each: the Lua, the file that the code is saved as, words of the command
-- (FOLDER and PORT stand for what they say), an event, how many arrive, what
-- it says when it heeds signals, and how it ends: { words to add, signal,
-- status }.
local HOSTS = {
  mpv = { lua = h.host.lua_of "$(command -v mpv)", file = "mpv.lua",
    changes = PATIENT, command = MPV, event = "file.played", ends = {
      ["at the end of the list"] = { { "--length=0.2", FILM } },
      ["by quit, which is q"] = { { FILM, "--script=quit.lua" } },
      ["at SIGTERM"] = { { FILM }, "TERM", 4 },
    }, files = { ["quit.lua"] = [[
      mp.register_event("file-loaded", function()
        mp.add_timeout(0.5, function() mp.command "quit" end)
      end)]] } },
  Prosody = { lua = "5.4", file = "mod_seerstack.lua",
    command = { "prosody", "--config", "prosody.cfg.lua", "-F" },
    more = 'module:add_timer(0, function() print "ready" end)\n',
    event = "host.loaded", ready = "ready", ends = {
      ["at SIGTERM"] = { {}, "TERM" }, ["at SIGINT"] = { {}, "INT" },
    }, files = { ["prosody.cfg.lua"] = [[
      plugin_paths = { "FOLDER" } data_path = "FOLDER"
      log = { info = "*console" } run_as_root = true
      interfaces = { "127.0.0.1" } c2s_ports = { PORT } s2s_ports = {}
      modules_enabled = { "posix" }
      VirtualHost "localhost" modules_enabled = { "seerstack" }]] } },
  Tarantool = { lua = "luajit", file = "app.lua",
    more = 'if arg[1] then os.exit(0) end require "fiber".sleep(60)\n',
    command = { "tarantool", "app.lua" }, event = "instance.started",
    ends = {
      ["by os.exit"] = { { "exit" } }, ["at SIGTERM"] = { {}, "TERM" },
      ["at SIGINT"] = { {}, "INT" },
    } },
  uWSGI = { lua = "5.1", file = "app.lua", visited = true,
    command = { "uwsgi", "--plugin", "lua", "--lua", "app.lua", "--master",
      "--die-on-term", "--processes", "2", "--http-socket",
      "127.0.0.1:PORT", "--http-socket-modifier1", "6" },
    event = "page.viewed", ends = {
      ["at SIGTERM"] = { {}, "TERM" }, ["at SIGINT"] = { {}, "INT" },
    } },
  ["Knot Resolver"] = { lua = "luajit", file = "kresd.conf",
    more = 'if os.getenv "LEAVE" then event.after(300, quit) end\n',
    program = "kresd", command = { "env" }, event = "resolver.started",
    arrive = 2, ends = {
      ["at SIGTERM"] = { { "kresd", "-n", "-c", "FOLDER/kresd.conf",
        "FOLDER" }, "TERM" },
      ["by quit()"] = { { "LEAVE=1", "kresd", "-n", "-c",
        "FOLDER/kresd.conf", "FOLDER" } },
    } },
  tshark = { lua = h.host.lua_of "$(command -v tshark)", file = "packets.lua",
    program = "tshark", command = { "sh", "-c",
      NOT_AS_ROOT .. "tshark -q -r none.pcap -X lua_script:packets.lua" },
    event = "packets.counted",
    ends = { ["at the end of the file"] = { {} } },
    files = { ["none.pcap"] = PCAP } },
  WeeChat = { file = "lua/autoload/analytics.lua",
    lua = h.host.lua_of "/usr/lib/*/weechat/plugins/lua.so",
    changes = PATIENT,
    command = { "weechat-headless", "-d", "FOLDER" },
    event = "weechat.started", ends = {
      ["at /quit"] = { { "-r", "/quit" } }, ["at SIGTERM"] = { {}, "TERM" },
    } },
}

describe("the manual's lines for", function()
  local api = h.own_standin({ key = h.host.key() }, h.host.clean_up)

  local function start(name, words)
    local host = HOSTS[name]
    local folder = h.host.directory(name:lower():gsub(" ", "-"))
    local port = tostring(h.host.port())
    local function fill(text)
      return (text:gsub("FOLDER", folder):gsub("PORT", port))
    end
    local files = h.merge({
      [host.file] = h.host.replace(code_of(name), host.changes)
        .. (host.more or ""),
    }, host.files)
    for file, text in pairs(files) do
      h.shell.run("mkdir -p "
        .. h.shell.quote((folder .. "/" .. file):match "^(.*)/"))
      h.shell.write(folder .. "/" .. file, fill(text))
    end
    local command = {}
    for _, list in ipairs { host.command, words } do
      for _, word in ipairs(list) do
        command[#command + 1] = fill(word)
      end
    end
    return h.host.start {
      command = h.shell.join(command), directory = folder,
      env = { SEERSTACK_API_KEY = api.key, SEERSTACK_BASE_URL = api.url,
        HOME = folder,
        LUA_CPATH = h.host.cpath(folder, host.lua) .. ";;" },
    }, "http://127.0.0.1:" .. port .. "/"
  end

  local function is_there(host)
    return h.shell.run("PATH=$PATH:/usr/sbin command -v "
      .. (host.program or host.command[1]) .. " >/dev/null") == 0
  end

  for name, host in pairs(HOSTS) do
    for how, ending in pairs(host.ends) do
      local case = is_there(host) and it or pending
      case(name .. " delivers " .. how, function()
        api:config { fail_status = 503, fail_count = 1 }
        local started, url = start(name, ending[1])
        if host.visited then
          assert.equal("Hello\n", h.host.ready(started, url))
        end
        if ending[2] then
          h.wait(function()
            assert(not started:done(), started:stderr())
            return api:status().by_status["503"]
              and (started:stdout() .. started:stderr()):find(host.ready or "")
          end, 20, 0.02, host.event)
          started:kill(ending[2])
        end
        local result = started:wait(30)
        assert.equal(ending[3] or 0, result.status, result.stderr)
        assert.equal(1, api:status().by_status["503"])
        assert.equal(host.arrive or 1, api:count(), result.stderr)
        local names = {}
        for _, event in ipairs(api:events()) do
          names[cjson.decode(event.body).name] = true
        end
        assert.is_true(names[host.event])
      end)
    end
  end
end)
