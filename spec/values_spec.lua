-- What the value of each option may be, wherever the option can be given.

local h = require "spec.helper"
local seerstack = require "seerstack"

-- It stands in wrong values, and in no message about them.
local SECRET = "s3cr3t0123456789abcdef"

local PEM = "-----BEGIN CERTIFICATE-----\n" .. SECRET
  .. "\n-----END CERTIFICATE-----\n"
local CERTIFICATES, CUT = os.tmpname(), os.tmpname()

-- All PEM text that there is, and more behind a zero.
local ZERO = "there is a zero byte in it"
local WITH_ZERO = PEM .. "-----BEGIN PRIVATE KEY-----\n\0" .. PEM

setup(function()
  h.shell.write(CERTIFICATES, PEM)
  h.shell.write(CUT, WITH_ZERO)
end)

teardown(function()
  os.remove(CERTIFICATES)
  os.remove(CUT)
end)

-- Nothing listens there, and nothing is sent.
local function new(options)
  return seerstack.new(h.merge({
    api_key = "sk_test_values", base_url = "http://127.0.0.1:1",
    exit_timeout = 0,
  }, options))
end

local function times(least)
  local expected = "a number of seconds " .. least .. " expected, got "
  return {
    { -1, expected .. "-1" }, { "5", expected .. "string" },
    { false, expected .. "boolean" }, { 0 / 0 }, { 1 / 0 },
    { 2147484, "a number of seconds <= 2147483 expected, got 2147484" },
  }
end

local function counts(least, most, otherwise)
  local expected = ("an integer from %d to %.0f%s expected, got ")
    :format(least, most, otherwise or "")
  return {
    { least - 1, expected .. least - 1 }, { 2.5, expected .. "2.5" },
    { most + 1 }, { "5", expected .. "string" },
    { true, expected .. "boolean" }, { 0 / 0 },
  }
end

local FLAG = {
  { 1, "boolean expected, got 1" }, { "true", "boolean expected, got string" },
  { 0 }, { {} },
}

local STORE = "a store, as seerstack.sqlite opens one, or false expected, got "

local CALLBACK = {
  { true, "a function or false expected, got boolean" },
  { "print", "a function or false expected, got string" },
  { setmetatable({}, { __call = print }),
    "a function or false expected, got table" },
  { 5 }, { seerstack.null },
}

local TABLE = {
  { "x", "table expected, got string" },
  { false, "table expected, got boolean" },
  { print, "table expected, got function" },
  { seerstack.null, "table expected, got userdata" },
  { { 1, 2 }, "a table of named values expected, got an array" },
  { seerstack.array {}, "a table of named values expected, got an array" },
  { { {} } },
}

local FIELDS = {
  { SECRET, "table expected, got string" },
  { false, "table expected, got boolean" },
  { { a = { SECRET } },
    "'a': a string, a number or false expected, got table" },
}

local PART = "a number from 0 to 1 expected, or a table of such by name"
local LEVELS = "'off', 'error', 'warn', 'info' or 'debug' expected, got "
local PEM_EXPECTED = "a certificate as PEM text expected "
  .. "(-----BEGIN CERTIFICATE-----)"
local SCHEMES = "a proxy's scheme is http, https, socks4, socks4a, socks5 "
  .. "or socks5h; libcurl guesses another of hosts called 'ftp.x' and the "
  .. "like, before which it has to stand"

-- Wrong values of each option, some with what is said of them.
local CLIENT = {
  api_key = {
    { 5, "string expected, got number" },
    { "", "the key is blank; when the option is left out, the environment "
      .. "variable SEERSTACK_API_KEY is used" }, { " \t\r\n" },
    { "sk_" .. SECRET .. "\r\nX: y", "the key has a control character" },
    { "sk_\127" .. SECRET }, { "sk_\0" .. SECRET },
    { "sk_\195\169" .. SECRET,
      "the key has a character that is not ASCII" },
    { SECRET .. "\128" }, { SECRET .. "\255" },
  },
  base_url = {
    { 5, "string expected, got number" },
    { "ftp://" .. SECRET, "an http or https URL expected" },
    { "https://jane:" .. SECRET .. "@a.example",
      "user information is not allowed in it" },
    { "http://a.example/\r\n" .. SECRET, "the URL has a control character" },
  },
  timeout = times "> 0",
  connect_timeout = times "> 0",
  max_connection_age = times "> 0",
  max_retries = counts(0, 1000),
  initial_retry_delay = times "> 0",
  max_retry_delay = times "> 0",
  exit_timeout = times ">= 0",
  exit_connect_timeout = times "> 0",
  rate_limit = counts(1, 1e9, ", or false,"),
  max_in_flight = counts(1, 1000),
  max_queue_events = counts(1, 1e7),
  max_queue_bytes = counts(1, 2 ^ 40),
  overflow = {
    { "drop", "'reject' or 'drop_oldest' expected, got 'drop'" }, { 1 },
  },
  max_event_bytes = counts(1, 2 ^ 30),
  max_age = times "> 0",
  sample = {
    { SECRET, PART }, { -0.1, PART }, { 1.1, PART }, { 0 / 0, PART },
    { true, PART }, { { ["a.b"] = SECRET }, PART }, { { ["a.b"] = 2 }, PART },
    { { 0.5 }, PART },
  },
  wait = FLAG,
  share_rate_limit = FLAG,
  headers = FIELDS,
  query = FIELDS,
  default_data = TABLE,
  default_attributes = TABLE,
  before_send = CALLBACK,
  on_error = CALLBACK,
  on_delivered = CALLBACK,
  logger = CALLBACK,
  store = {
    { true, STORE .. "boolean" }, { {}, STORE .. "table" },
    { io.stdout, STORE .. "userdata" }, { 5 }, { seerstack.null },
  },
  log_level = {
    { SECRET, LEVELS .. "string" }, { "", LEVELS .. "''" },
    { "warning", LEVELS .. "'warning'" }, { ("w"):rep(16) },
    { ("w"):rep(17), LEVELS .. "string" }, { "warn\0", LEVELS .. "string" },
    { "warn\n", LEVELS .. "string" },
    { 2, LEVELS .. "2" }, { false, LEVELS .. "boolean" },
  },
  proxy = {
    { 5, "a string or false expected, got number" },
    { true, "a string or false expected, got boolean" }, { {} },
    { "", "the URL is blank; false means that there is no proxy" }, { " \t" },
    { "http://jane:" .. SECRET .. "@a.example\r\nX: y",
      "the URL has a control character" },
    { "http://a.example\0:3128" },
    { "ftp://jane:" .. SECRET .. "@a.example", SCHEMES },
    { "file:///etc/" .. SECRET },
    { "ftp.a.example:3128", SCHEMES },
    { "jane:" .. SECRET .. "@smtp.a.example", SCHEMES },
    { "http://jane:" .. SECRET .. "@a.example:port",
      "not the URL of a proxy" },
    { "http://jane:" .. SECRET .. "@a.example:99999" }, { "http://" },
  },
  ca_file = {
    { 5, "string expected, got number" },
    { false, "string expected, got boolean" },
    { "/nonexistent", "cannot be read: No such file or directory" },
    { ".", "cannot be read: Is a directory" }, { "" },
    { "/dev/null", "there is no certificate in it" },
    { "/dev/null\0" .. SECRET, "the path has a control character" },
    { CUT, ZERO },
  },
  client_cert = {
    { 5, "string expected, got number" },
    { false, "string expected, got boolean" },
    { "/" .. SECRET, "cannot be read: No such file or directory" },
    { "/dev/null", "there is no certificate in it" },
    { "/dev/null\0" .. SECRET, "the path has a control character" },
    { CUT, ZERO }, { WITH_ZERO, ZERO },
    { "-----BEGIN PRIVATE KEY-----\n" .. SECRET,
      "there is no certificate in it" },
  },
  client_key = {
    { 5, "string expected, got number" },
    { false, "string expected, got boolean" },
    { "/" .. SECRET, "cannot be read: No such file or directory" },
    { "/dev/null", "there is no private key in it" },
    { "/dev/null\0" .. SECRET, "the path has a control character" },
    { CUT, ZERO }, { WITH_ZERO, ZERO },
    { PEM, "there is no private key in it" },
    { "-----BEGIN PRIVATE KEY-----\n" .. SECRET,
      "cannot be given without 'client_cert'" },
  },
  client_key_password = {
    { 5, "string expected, got number" },
    { false, "string expected, got boolean" },
    { SECRET .. "\n", "the password has a control character" },
    { SECRET .. "\0" }, { ("x"):rep(8193), "more than 8192 bytes" },
    { SECRET, "cannot be given without 'client_cert'" },
  },
  ca_blob = {
    { 5, "string expected, got number" },
    { false, "string expected, got boolean" },
    { SECRET, PEM_EXPECTED }, { "", PEM_EXPECTED },
    { "-----BEGIN PRIVATE KEY-----\n" .. SECRET, PEM_EXPECTED },
    { SECRET .. "\0" .. PEM, PEM_EXPECTED }, { WITH_ZERO, ZERO },
  },
  http_version = {
    { "3", "'1.1' or '2' expected, got '3'" }, { "1.0" }, { "" },
    { 2, "'1.1' or '2' expected, got 2" },
    { false, "'1.1' or '2' expected, got boolean" },
  },
  enabled = FLAG,
  thread = FLAG,
  test_mode = FLAG,
}

local REQUEST = {
  wait = FLAG,
  future = FLAG,
  timeout = CLIENT.timeout,
  max_retries = CLIENT.max_retries,
  headers = FIELDS,
  query = FIELDS,
  idempotency_key = {
    { 5, "string expected, got number" },
    { false, "string expected, got boolean" },
    { "", "a string of 1 to 255 bytes expected" },
    { ("x"):rep(256), "a string of 1 to 255 bytes expected" },
    { "a\r\nX: y", "the string has a control character" }, { "a\0b" },
    { "a\tb" }, { "\127" }, { "  ", "the string is blank" },
  },
  extra_body = TABLE,
}

-- The call raises, and says where and what; what was given it does not say.
local function assert_misuse(place, name, said, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.is_string(message)
  local start = "bad argument " .. place .. " (option '" .. name .. "': "
  assert.is_truthy(message:find(start, 1, true), message)
  if said then
    assert.is_truthy(message:find(start .. said .. ")", 1, true), message)
  end
  assert.is_nil(message:find(SECRET, 1, true), message)
end

-- One spec for each option of a table in src/options.c, and of each of its
-- wrong values: a new option without any fails.
local function for_each_misuse(array, cases, f)
  local seen = {}
  for _, row in ipairs(h.rows.of(array)) do
    local name = row.name
    if not seen[name] then
      seen[name] = true
      it("refuses a wrong " .. name .. ", and names it", function()
        assert(cases[name], "no wrong value of " .. name .. " is known here")
        for _, case in ipairs(cases[name]) do
          f(name, case[1], case[2])
        end
      end)
    end
  end
end

for where, make in pairs {
  new = function(options)
    return function() return new(options) end
  end,
  configure = function(options)
    return function() return seerstack.configure(options) end
  end,
} do
  describe(where, function()
    for_each_misuse("client_options", CLIENT, function(name, value, said)
      assert_misuse("#1 to '" .. where .. "'", name, said,
        make { [name] = value })
    end)
  end)
end

describe("with_options", function()
  local client

  setup(function()
    client = new { headers = { Authorization = SECRET } }
  end)

  for_each_misuse("client_options", CLIENT, function(name, value, said)
    if name == "api_key" or name == "base_url" then
      said = "cannot differ in with_options"
    end
    assert_misuse("#1 to 'with_options'", name, said, client.with_options,
      client, { [name] = value })
  end)

  it("refuses a key and a base URL that are right, or the same", function()
    for name, values in pairs {
      api_key = { "sk_other_" .. SECRET, "sk_test_values" },
      base_url = { "https://a.example", "http://127.0.0.1:1" },
    } do
      for _, value in ipairs(values) do
        assert_misuse("#1 to 'with_options'", name,
          "cannot differ in with_options", client.with_options, client,
          { [name] = value })
      end
    end
  end)

  it("refuses what is no table, and options that there are not", function()
    for argument, said in pairs {
      [5] = "table expected, got number", x = "table expected, got string",
      [{ wiat = true }] = "unknown option 'wiat'",
      [{ future = true }] = "unknown option 'future'",
      [{ true }] = "unknown option: a number as its name",
    } do
      h.assert_raises("bad argument #1 to 'with_options' (" .. said .. ")",
        client.with_options, client, argument)
    end
    assert.is_false((pcall(client.with_options, client)))
  end)
end)

describe("a request", function()
  local client, calls

  setup(function()
    client = new { test_mode = true, api_key = "sk_" .. SECRET }
    calls = {
      ["#2 to 'capture'"] = function(options)
        return client.events.capture({ name = "a" }, options)
      end,
      ["#2 to 'identify'"] = function(options)
        return client.users.identify({ user_id = "u" }, options)
      end,
      ["#3 to 'post'"] = function(options)
        return client:post("/x", { a = 1 }, options)
      end,
    }
  end)

  after_each(function()
    assert.same({}, client:captured())
    assert.equal(0, client:stats().accepted)
  end)

  for_each_misuse("request_options", REQUEST, function(name, value, said)
    for place, call in pairs(calls) do
      assert_misuse(place, name, said, call, { [name] = value })
    end
  end)

  it("cannot be waited for and have a future, too", function()
    for place, call in pairs(calls) do
      assert_misuse(place, "future", "cannot be given together with 'wait'",
        call, { wait = true, future = true })
    end
  end)

  it("has no options but its own", function()
    for place, call in pairs(calls) do
      for name in pairs(CLIENT) do
        if not REQUEST[name] then
          local ok, message = pcall(call, { [name] = SECRET })
          assert.is_false(ok)
          assert.is_truthy(message:find("bad argument " .. place
            .. " (unknown option '" .. name .. "')", 1, true), message)
        end
      end
    end
  end)
end)

describe("ca_file and ca_blob", function()
  local both = { ca_file = CERTIFICATES, ca_blob = PEM }

  it("cannot be given both", function()
    local client = new()
    for place, call in pairs {
      ["#1 to 'new'"] = function() new(both) end,
      ["#1 to 'configure'"] = function() seerstack.configure(both) end,
      ["#1 to 'with_options'"] = function() client:with_options(both) end,
    } do
      assert_misuse(place, "ca_blob", "cannot be given together with "
        .. "'ca_file'", call)
    end
  end)

  it("may each take the other's place in with_options", function()
    local client = new { ca_file = CERTIFICATES }
    client:with_options({ ca_blob = PEM })
      :with_options({ ca_file = CERTIFICATES }):close()
  end)
end)

describe("an option", function()
  if h.musl then
    it("may not ask for HTTP/2 where libcurl has none", function()
      local _, message = pcall(new, { http_version = "2" })
      assert.matches("option 'http_version': this libcurl was built without"
        .. " HTTP/2", message)
    end)
  end

  it("may have each value that it is for", function()
    for name, values in pairs {
      log_level = { "off", "error", "warn", "info", "debug" },
      http_version = { "1.1", not h.musl and "2" or nil },
      ca_file = { CERTIFICATES },
      client_cert = { PEM .. "-----BEGIN PRIVATE KEY-----\n" },
      ca_blob = { PEM, "# a comment\n" .. PEM .. PEM },
      proxy = {
        false, "a.example", "a.example:3128", "http://a.example",
        "https://a.example:3128", "socks4://a.example", "socks4a://a.example",
        "socks5://u:p@a.example:1080", "socks5h://a.example", "HTTP://[::1]",
      },
      headers = { {} }, query = { {} }, enabled = { true, false },
      share_rate_limit = { true, false },
      test_mode = { true, false }, before_send = { print, false },
      on_error = { print, false }, default_data = { {} },
      sample = { 0, 0.5, 1, {}, { ["a.b"] = 0.1 } },
      default_attributes = { {} },
    } do
      for _, value in ipairs(values) do
        local options = { [name] = value }
        assert.has_no.errors(function()
          local client = new { logger = function() end, test_mode = true }
          client:with_options(options):close()
          options.logger = options.logger or function() end
          new(options):close()
        end)
      end
    end
  end)

  it("of a request may have each value that it is for", function()
    local client = new { test_mode = true }
    for name, values in pairs {
      idempotency_key = { "x", ("x"):rep(255), "a b", "\195\169" },
      extra_body = { {}, { a = 1 } }, headers = { {} }, query = { {} },
      wait = { true, false }, future = { true, false },
      timeout = { 1e-9, 2147483 }, max_retries = { 0, 1000 },
    } do
      for _, value in ipairs(values) do
        assert(client.events.capture({ name = "a" }, { [name] = value }))
        assert(client:post("/x", nil, { [name] = value }))
      end
    end
    assert.is_true(client.events.capture({ name = "a" },
      { wait = false, future = false }))
    assert.is_userdata(client.events.capture({ name = "a" },
      { wait = false, future = true }))
    assert.is_table(client.events.capture({ name = "a" },
      { wait = true, future = false }))
  end)
end)

describe("without options", function()
  it("a client sends, and adds nothing to what it sends", function()
    local x = h.open()
    assert.is_true(x.client.events.capture { name = "a", timestamp = "t" })
    x:settle()
    assert.is_true(x.client.users.identify { user_id = "u" })
    local stats = x:settle()
    assert.equal("/capture", x.requests[1].target)
    assert.equal('{"name":"a","timestamp":"t"}', x.requests[1].body)
    assert.equal("/identify", x.requests[2].target)
    assert.equal('{"user_id":"u"}', x.requests[2].body)
    assert.equal(2, stats.delivered)
    assert.same({}, x.client:captured())
    assert.equal(0, x.client:poll())
    x:close()
  end)
end)
