local cjson = require "cjson"
local h = require "spec.helper"

local server = h.standin()

after_each(h.host.clean_up)

-- Starts Neovim with the example as its plugin, which then runs commands of
-- its own, one after the other. Options: changes (of the plugin), env.
local function edit(commands, options)
  options = options or {}
  local directory = h.host.directory "neovim"
  local configuration = directory .. "/nvim"
  assert(h.shell.run(h.shell.join { "mkdir", "-p", configuration .. "/plugin",
    configuration .. "/lua" }) == 0)
  h.host.copy("neovim/plugin/seerstack.lua", configuration .. "/plugin",
    options.changes)
  assert(h.shell.run(h.shell.join { "cp", h.host.root
    .. "/build/luajit/seerstack.so", configuration .. "/lua" }) == 0)
  local words = { "nvim", "--headless" }
  for _, command in ipairs(commands) do
    words[#words + 1] = "-c"
    words[#words + 1] = command
  end
  local env = h.merge({
    HOME = directory, XDG_CONFIG_HOME = directory, XDG_DATA_HOME = directory,
    XDG_STATE_HOME = directory, XDG_CACHE_HOME = directory,
    TMPDIR = directory,
    SEERSTACK_BASE_URL = server.url, SEERSTACK_API_KEY = "sk_test_standin",
    LUA_PATH = false, LUA_CPATH = false, VIMINIT = false,
  }, options.env)
  local started = h.host.start {
    command = h.shell.join(words), directory = directory, env = env,
  }
  started.home = directory
  return started
end

-- How long delivery takes on a busy machine is not what these specs are about.
local PATIENT = { changes = { ["exit_timeout = 2,"] = "exit_timeout = 30," } }

-- 900 events, fewer than the rate limit, and more than fit in flight.
local MANY = "for i in range(900) | execute 'Seerstack many ' .. i | endfor"

local function assert_received(count)
  local texts = {}
  for _, event in ipairs(server:events()) do
    local text = cjson.decode(event.body).data.text
    assert.is_nil(texts[text], "received twice")
    texts[text] = true
  end
  for i = 0, count - 1 do
    assert.is_true(texts[tostring(i)])
  end
  assert.equal(count, server:count())
end

describe("Neovim delivers what :Seerstack has captured", function()
  local function check(ending, status)
    server:config { delay = 0.01 }
    local result = edit({ MANY, ending }, PATIENT):wait()
    assert.not_matches("seerstack", result.stderr, 1, true)
    assert.equal(status or 0, result.status)
    assert_received(900)
  end

  it("when it is left by :qa", function()
    check "qa"
  end)

  it("when it is left by ZQ", function()
    check "normal! ZQ"
  end)

  it("when it is left by ZZ, which writes", function()
    check "normal! ZZ"
  end)

  it("when it is left by :cquit, with its exit code", function()
    check("cquit 3", 3)
  end)

  it("when Lua calls os.exit", function()
    check("lua os.exit(4)", 4)
  end)

  it("when a command before has failed", function()
    check("lua pcall(vim.cmd, 'nonsense') vim.cmd 'cquit'", 1)
  end)

  for _, signal in ipairs { "TERM", "HUP", "QUIT" } do
    it("when it is ended by SIG" .. signal, function()
      server:config { delay = 0.01 }
      local editor = edit({ MANY, "call writefile(['yes'], 'captured')" },
        PATIENT)
      h.wait(function()
        assert(not editor:done(), editor:stderr())
        return h.shell.read(editor.home .. "/captured")
      end, 20, 0.01)
      editor:kill(signal)
      local result = editor:wait()
      assert.equal(1, result.status)
      assert.not_matches("seerstack", result.stderr, 1, true)
      assert_received(900)
    end)
  end
end)

describe("the plugin", function()
  -- What Neovim writes at once, without the ends of lines that it omits.
  local function messages_of(editor)
    return (editor:wait().stderr:gsub("%s+", " "))
  end

  it("captures what is written", function()
    local editor = edit { "edit main.lua", "write", "qa" }
    assert.equal(0, editor:wait().status)
    local event = cjson.decode(server:events()[1].body)
    assert.equal("file.saved", event.name)
    assert.equal("lua", event.data.filetype)
    assert.equal(1, server:count())
  end)

  -- A timer goes on ticking, and the bang's own answer ends Neovim.
  local TICK = "lua ticks = 0 vim.loop.new_timer():start(0, 10, "
    .. "function() ticks = ticks + 1 end) "
    .. "local notify = vim.notify vim.notify = function(message, ...) "
    .. "notify(message .. ' after ' .. ticks, ...) vim.cmd 'qa' end"

  it("waits for an answer while Neovim goes on", function()
    server:config { delay = 1 }
    local text = messages_of(edit { TICK, "Seerstack! once 0" })
    local ticks = text:match("seerstack: once has arrived after (%d+)")
    assert.is_true(tonumber(ticks) > 10, text)
    assert_received(1)
  end)

  it("tells what the API answers to one that is waited for", function()
    server:config { key = "another" }
    assert.matches("seerstack: 401 ",
      messages_of(edit { TICK, "Seerstack! once 0" }))
  end)

  it("tells of trouble with what is queued, from its timer", function()
    server:config { key = "another" }
    local text = messages_of(edit { TICK, "Seerstack once 0" })
    assert.matches("seerstack: refused by .*: 401 .* after %d+", text)
    assert.not_matches("sk_test_standin", text, 1, true)
  end)

  it("tells what cannot be sent", function()
    assert.matches("seerstack: .*max_event_bytes", messages_of(edit {
      "lua vim.cmd('Seerstack big ' .. ('x'):rep(2^20))", "qa",
    }))
  end)

  it("does no harm where there is no key", function()
    local editor = edit({ "Seerstack once 0", "write main.lua", "qa" },
      { env = { SEERSTACK_API_KEY = false } })
    assert.matches("seerstack: .*SEERSTACK_API_KEY", messages_of(editor))
    assert.equal(0, editor:wait().status)
    assert.equal(0, server:count())
  end)

  it("keeps no one waiting longer than exit_timeout, and tells", function()
    server:config { delay = 60 }
    local editor = edit { "Seerstack once 0", "qa" }
    assert.matches("1 event was not delivered before exit",
      messages_of(editor))
    assert.is_true(editor:wait().seconds < 20)
  end)

  it("leaves its connections to no job", function()
    server:config { delay = 1 }
    -- Neovim is in $PPID of the shell that it starts.
    local look = "ls -l /proc/self/fd; echo =; ls -l /proc/$PPID/fd; echo =; "
      .. "cat /proc/$PPID/net/tcp /proc/$PPID/net/tcp6"
    local editor = edit({
      "for i in range(16) | execute 'Seerstack many ' .. i | endfor",
      -- Besides connections, libcurl and Neovim have other sockets.
      "let before = 0 | let text = '' | while before < 200 && len(split("
        .. "matchstr(text, '=.*='), 'socket:')) < 17 | let before += 1 | "
        .. "let text = system($LOOK) | endwhile",
      "call writefile(split(text, nr2char(10)), 'looked')",
      "qa",
    }, { changes = PATIENT.changes, env = { LOOK = look } })
    assert.equal("", messages_of(editor))
    local own, parents, tcp = h.shell.read(editor.home .. "/looked")
      :match("(.-)\n=\n(.-)\n=\n(.*)")
    assert.is_true(#h.process.tcp_among(parents, tcp) > 0)
    assert.same({}, h.process.tcp_among(own, tcp))
    assert_received(16)
  end)
end)
