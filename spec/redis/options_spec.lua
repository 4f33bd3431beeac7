-- The options of seerstack.redis, and the secrets among them.

local h = require "spec.helper"
local redis = require "seerstack.redis"

local WELL = "redis://localhost"

describe("redis.open", function()
  it("says what is wrong with an option", function()
    local url = "option 'url': a URL such as redis://:password@host:6379/0 or "
      .. "unix:///path/of/socket expected, got "
    for message, options in pairs {
      [url .. "nil"] = {},
      [url .. "number"] = { url = 7 },
      [url .. "string"] = { url = "http://x" },
      ["option 'ca_file': nothing, as the URL is not rediss://, expected, got "
        .. "string"] = { url = WELL, ca_file = "x" },
      ["option 'ca_file': a path of 1 to 511 bytes expected, got number"] =
        { url = WELL, ca_file = 7 },
      ["option 'max_events': an integer from 1 to 2^40 expected, got number"] =
        { url = WELL, max_events = 1.5 },
      ["option 'max_bytes': an integer from 65536 (64 KiB) to 2^50 expected, "
        .. "got string"] = { url = WELL, max_bytes = "1" },
      ["option 'lease': seconds from 20 to 86400 expected, got number"] =
        { url = WELL, lease = 1 },
      ["option 'prefix': 1 to 63 bytes without braces expected, got string"] =
        { url = WELL, prefix = "a\0b" },
      ["unknown option 'lease\\0x'"] = { url = WELL, ["lease\0x"] = 30 },
      ["unknown option 'host'"] = { host = "x" },
    } do
      h.assert_raises_with("bad argument #1 to 'open' (" .. message .. ")",
        redis.open, options)
    end
  end)

  it("takes URLs that are none for what they are, and shows none", function()
    for _, url in ipairs {
      "redis://", "redis://host:0", "redis://host:65536", "redis://host:x",
      "redis://host/x", "redis://host/1/2", "redis://pa55@host",
      "redis://user:@host", "redis://:pa55%0@host", "redis://:pa55%00@host",
      "redis://[::1", "redis://[::1]x", "unix://x", "unix:///x?y=1",
      "unix:///x?db=", "redis://:pa55@", "redis://" .. ("x"):rep(256),
      "redis://host\0", "redis://" .. ("x"):rep(3000),
      "unix:///" .. ("x"):rep(108),
    } do
      local message = h.assert_raises_with("option 'url'", redis.open,
        { url = url })
      assert.is_nil(message:find("pa55", 1, true))
    end
    for _, url in ipairs {
      "redis://host", "redis://host:1/", "redis://host/15",
      "redis://[::1]:7/1",
      "redis://:p%40ss@host", "redis://me:p:a@ss@host:1/2", "unix:///x",
      "unix://me:pass@/x?db=3", "unix:///a%20b",
    } do
      assert.equal("userdata", type(redis.open { url = url }))
    end
  end)

  it("takes no prefix with braces", function()
    h.assert_raises_with("option 'prefix'", redis.open,
      { url = WELL, prefix = "a{b" })
  end)

  it("opens nothing", function()
    -- A command to which there is a pipe may see both ends of that open here.
    local list = os.tmpname()
    local function descriptors()
      h.shell.run("ls /proc/$PPID/fd >" .. list)
      return h.shell.read(list)
    end
    h.collect() -- else what earlier specs have left may be closed meanwhile
    local before = descriptors()
    redis.open { url = "redis://127.0.0.1:1" }
    local after = descriptors()
    os.remove(list)
    assert.equal(before, after)
  end)

  it("is in a module with one symbol, which needs hiredis and the C library "
    .. "only, and for TLS OpenSSL", function()
    local path = h.library "seerstack/redis"
    assert.matches("^%x+ T luaopen_seerstack_redis$",
      h.shell.output("nm -D --defined-only " .. h.shell.quote(path)))
    local needed = h.shell.output("objdump -p " .. h.shell.quote(path)
      .. " | awk '/NEEDED/ && !/libc\\.so/ && !/san\\.so/ { print $2 }'")
    for name in needed:gmatch "%S+" do
      assert(name:find "^libhiredis%.so" or h.redises.tls and
        (name:find "^libhiredis_ssl%.so" or name:find "^libssl%.so"
          or name:find "^libcrypto%.so"), name)
    end
    assert.matches("libhiredis%.so", needed)
  end)
end)

describe("a Redis with a password", function()
  local api = h.standin { rate_limit = false }
  local server = h.each(function()
    return h.redises.new { "requirepass hush-hush",
      "user carol on >car0l ~* +@all" }
  end, function(s) s:remove() end)

  local function url(login)
    return "unix://" .. login .. "@" .. server.socket
  end

  it("lets in who knows it", function()
    for _, login in ipairs { ":hush%2Dhush", "carol:car0l" } do
      api:reset()
      h.ended_well(server:start(api, [[
        capture(client, 1, 20)
        assert(client:persist(25))
        assert(client:stats().store.state == "open")
        assert(client:flush(25))
      ]], { url = url(login) .. "?db=2" }))
      h.assert_received(api, 20)
    end
  end)

  it("is told of to who does not, without a secret", function()
    local said = "WRONGPASS invalid username-password pair"
    for _, login in ipairs { ":pa55word", "dave:pa55word" } do
      api:reset()
      local result = server:start(api, [[
        capture(client, 1, 20)
        assert(client:flush(25))
        tell(client:stats().store.error)
        tell(tostring(redis.totals(place)))
        tell(select(2, redis.totals(place)))
      ]], { url = url(login) }):wait()
      assert.equal(0, result.status, result.stderr)
      assert.matches(said, result.stderr, 1, true)
      assert.matches(said, result.stdout, 1, true)
      local all = result.stdout .. result.stderr
      assert.is_nil(all:find("pa55", 1, true))
      assert.is_nil(all:find("dave", 1, true))
      h.assert_received(api, 20)
    end
  end)

  it("that sends back what it does not understand is not shown doing so",
    function()
      local other = h.redises.new { 'rename-command AUTH ""' }
      local result = other:start(api, [[
        capture(client, 1, 20)
        assert(client:flush(25))
      ]], { url = "unix://:pa55word@" .. other.socket }):wait()
      other:remove()
      assert.equal(0, result.status, result.stderr)
      assert.matches("ERR unknown command 'AUTH'\n", result.stderr, 1, true)
    end)

  it("lets a user work who may do what the manual says, and no more",
    function()
      local rights = {}
      for right in h.shell.read "docs/stores.md"
        :match "An ACL user needs `~ss:%*` and `([^`]*)`":gmatch "%S+" do
        rights[#rights + 1] = right
      end
      local set = { "--no-auth-warning", "-a", "hush-hush", "ACL", "SETUSER",
        "frank", "on", ">fr4nk", "~ss:*" }
      for _, right in ipairs(rights) do
        set[#set + 1] = right
      end
      assert.equal("OK", server:ask(set))
      api:config { fail_status = 503 }
      h.ended_well(server:start(api, [[
        capture(client, 1, 700)
        assert(client.users.identify { user_id = "u", name = "N" })
        assert(client:persist(25))
        assert(not client:stats().store.error)
      ]], { url = url "frank:fr4nk",
        with = "exit_timeout = 0, log_level = 'off'" }))
      api:config { fail_status = false }
      h.ended_well(server:drain(api, { url = url "frank:fr4nk" }))
      assert.equal(701, api:count())
      local place = { url = url "frank:fr4nk" }
      assert.equal(0, redis.purge(place))
      assert.same({}, redis.rows(place))
    end)

  it("that names the user in what it refuses is not shown doing so", function()
    server:ask("--no-auth-warning", "-a", "hush-hush", "ACL", "SETUSER",
      "erin", "on", ">er1n", "~*", "+@all", "-script")
    local result = server:start(api, [[
      capture(client, 1, 20)
      assert(client:flush(25))
    ]], { url = url "erin:er1n" }):wait()
    assert.equal(0, result.status, result.stderr)
    assert.matches("NOPERM ", result.stderr, 1, true)
    assert.is_nil(result.stderr:find("erin", 1, true))
  end)
end)
