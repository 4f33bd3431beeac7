-- What is laid under and over an event: default_data, default_attributes and
-- extra_body; and the deep copy that before_send gets.

local cjson = require "cjson"
local h = require "spec.helper"
local seerstack = require "seerstack"

local array, null = seerstack.array, seerstack.null

local LIST = "data: must be a table of named values, not an array"

local function assert_refused(...)
  h.assert_error_like("ValidationError", ...)
end

local function new(options)
  options.test_mode = true
  return seerstack.new(options)
end

-- The body that one call makes.
local function body_of(client, ok, message)
  assert(ok, message)
  local requests = client:captured()
  assert.equal(1, #requests)
  return requests[1].body, requests[1].json
end

local function data_of(client, data, extra)
  return body_of(client, client.events.capture({ name = "a", data = data },
    { extra_body = extra })).data
end

local function attributes_of(client, attributes, extra)
  return body_of(client, client.users.identify(
    { user_id = "u", attributes = attributes }, { extra_body = extra }))
    .attributes
end

-- What differs in the two: the option, the field, and how it is looked at.
for option, case in pairs {
  default_data = { data_of, attributes_of, "data" },
  default_attributes = { attributes_of, data_of, "attributes" },
} do
  local named, other, field = case[1], case[2], case[3]

  describe(option, function()
    local client

    before_each(function()
      client = new { [option] = { app = "web", plan = "free", n = { x = 1 } } }
    end)

    it("is all of it where nothing else is given", function()
      for _, own in ipairs { false, {}, null } do
        assert.same({ app = "web", plan = "free", n = { x = 1 } },
          named(client, own or nil))
      end
    end)

    it("lies under the event's own, whose keys win", function()
      assert.same({ app = "web", plan = "pro", n = { x = 1 }, a = 1 },
        named(client, { plan = "pro", a = 1 }))
      assert.same({ app = null, plan = false, n = { x = 1 } },
        named(client, { app = null, plan = false }))
    end)

    it("is shallow: a table of the event's takes the place of its own",
      function()
        assert.same({ app = "web", plan = "free", n = { y = 2 } },
          named(client, { n = { y = 2 } }))
      end)

    it("changes neither the event nor itself", function()
      local own = { plan = "pro" }
      named(client, own)
      assert.same({ plan = "pro" }, own)
      local event = { name = "a", user_id = "u" }
      assert(client.events.capture(event))
      assert(client.users.identify(event))
      assert.same({ name = "a", user_id = "u" }, event)
      assert.same({ app = "web", plan = "free", n = { x = 1 } },
        client:captured()[option == "default_data" and 1 or 2].body[field])
    end)

    it("is what it was when the client was made", function()
      local given = { a = 1, b = 2 }
      client = new { [option] = given }
      given.a, given.b, given.c = nil, 3, 4
      assert.same({ a = 1, b = 2 }, named(client))
    end)

    it("has the tables within it as they are when an event is made",
      function()
        local within = { "given" }
        client = new { [option] = { a = within } }
        within[1] = "late"
        assert.same({ a = { "late" } }, named(client))
      end)

    it("is taken back by an empty one in with_options", function()
      client = new { [option] = { a = 1 } }
      assert.same({}, named(client:with_options { [option] = {} }))
      assert.same({ a = 1 }, named(client))
    end)

    it("may be empty, which sends an object", function()
      assert.same({}, named(new { [option] = {} }))
      assert.same({ a = 1 }, named(new { [option] = {} }, { a = 1 }))
    end)

    it("is not for other kinds of requests", function()
      assert.is_nil(other(client))
      assert.same({ a = 1 }, other(client, { a = 1 }))
      local body, json = body_of(client, client:post("/capture", {
        name = "a", data = { a = 1 }, attributes = { a = 1 },
      }))
      assert.same({ a = 1 }, body.data)
      assert.same({ a = 1 }, body.attributes)
      assert.is_nil(json:find("web", 1, true))
      assert(client:post("/x"))
      assert.is_nil(client:captured()[1].body)
    end)

    it("is inherited by with_options, which may replace it", function()
      assert.equal("web", named(client:with_options {}).app)
      assert.same({ b = 2, a = 1 },
        named(client:with_options { [option] = { b = 2 } }, { a = 1 }))
      assert.equal("web", named(client).app)
    end)

    it("does not make a list, or what is no table, something else",
      function()
        local function refused(own)
          return client.events.capture { name = "a", data = own }
        end
        if field == "attributes" then
          refused = function(own)
            return client.users.identify { user_id = "u", attributes = own }
          end
        end
        for _, own in ipairs {
          { 1, 2 }, array {}, array { 1 }, array { nil, 2 }, { {} },
        } do
          assert_refused("^" .. field .. "[.:]", refused(own))
        end
        assert_refused("^" .. LIST:gsub("data", field) .. "$",
          refused { 1, 2 })
        for _, own in ipairs { 5, "x", true, print } do
          assert_refused("^" .. field .. ": must be a table, got " .. type(own)
            .. "$", refused(own))
        end
        assert.same({}, client:captured())
      end)
  end)
end

describe("extra_body", function()
  local client

  before_each(function()
    client = new {
      default_data = { app = "web" }, default_attributes = { tier = "free" },
    }
  end)

  it("replaces fields of the event, and adds some", function()
    local body = body_of(client, client.events.capture(
      { name = "a", timestamp = "t", list = { 1, 2 }, kept = 1 },
      { extra_body = {
        name = "b", user_id = 76561197960287, list = { 3 }, added = { x = 1 },
      } }))
    assert.same({
      name = "b", timestamp = "t", user_id = "76561197960287", list = { 3 },
      kept = 1, added = { x = 1 }, data = { app = "web" },
    }, body)
  end)

  it("is merged into data and attributes, key by key", function()
    assert.same({ app = "web", a = 1, b = 3, c = 4 },
      data_of(client, { a = 1, b = 2 }, { data = { b = 3, c = 4 } }))
    assert.same({ app = "extra" }, data_of(client, { app = "own" },
      { data = { app = "extra" } }))
    assert.same({ app = "web", a = 1 }, data_of(client, nil,
      { data = { a = 1 } }))
    assert.same({ app = "web", a = 1 }, data_of(client, { a = 1 },
      { data = {} }))
    assert.same({ tier = "free", a = 1, b = { y = 3 } }, attributes_of(client,
      { a = 1, b = { x = 2 } }, { attributes = { b = { y = 3 } } }))
  end)

  it("replaces data of an identify and attributes of a capture", function()
    local event = {
      name = "a", user_id = "u", data = { a = 1 }, attributes = { a = 1 },
    }
    local options = {
      extra_body = { data = { b = 2 }, attributes = { b = 2 } },
    }
    local body = body_of(client, client.users.identify(event, options))
    assert.same({ b = 2 }, body.data)
    assert.same({ tier = "free", a = 1, b = 2 }, body.attributes)
    body = body_of(client, client.events.capture(event, options))
    assert.same({ b = 2 }, body.attributes)
    assert.same({ app = "web", a = 1, b = 2 }, body.data)
  end)

  it("may give what the event lacks", function()
    assert.equal("b", body_of(client, client.events.capture({},
      { extra_body = { name = "b" } })).name)
    assert.equal("u", body_of(client, client.users.identify({},
      { extra_body = { user_id = "u" } })).user_id)
  end)

  it("changes neither itself nor the event", function()
    local event = { name = "a", data = { x = { 1 } } }
    local extra = { data = { y = { 2 } }, more = { 3 } }
    assert(client.events.capture(event, { extra_body = extra }))
    assert.same({ name = "a", data = { x = { 1 } } }, event)
    assert.same({ data = { y = { 2 } }, more = { 3 } }, extra)
  end)

  it("is of one request alone", function()
    assert.same({ app = "web", a = 1 }, data_of(client, nil,
      { data = { a = 1 } }))
    assert.same({ app = "web" }, data_of(client))
  end)

  it("is in what is waited for, and in what has a future", function()
    for _, options in ipairs { { wait = true }, { future = true } } do
      options.extra_body = { name = "b" }
      assert.equal("b",
        body_of(client, client.events.capture({ name = "a" }, options)).name)
    end
  end)

  it("goes over the body of a post", function()
    local body = body_of(client, client:post("/x",
      { a = 1, list = { 1 }, o = { x = 1 } },
      { extra_body = { b = 2, list = { 2 }, o = { y = 1 } } }))
    assert.same({ a = 1, b = 2, list = { 2 }, o = { y = 1 } }, body)
  end)

  it("is the body of a post that has none, or an empty one", function()
    for _, own in ipairs { false, {} } do
      local options = { extra_body = { a = 1 } }
      local _, json = body_of(client, client:post("/x", own or nil, options))
      assert.equal('{"a":1}', json)
    end
  end)

  it("has no place in a post's array: nil, message, ValidationError",
    function()
      for _, body in ipairs { { 1, 2 }, array {}, array { 1 }, { {} } } do
        assert_refused("^extra_body: ",
          client:post("/x", body, { extra_body = { a = 1 } }))
      end
      assert.same({}, client:captured())
      assert.equal(0, client:stats().accepted)
    end)

  it("does not make a list, or what is no table, of data or attributes",
    function()
      for _, value in ipairs { { 1, 2 }, array {}, array { 1 }, 5, "x", true }
      do
        assert_refused("^data[.:]", client.events.capture({ name = "a" },
          { extra_body = { data = value } }))
        assert_refused("^attributes[.:]", client.users.identify(
          { user_id = "u" }, { extra_body = { attributes = value } }))
        assert_refused("^data[.:]", client.events.capture(
          { name = "a", data = value }, { extra_body = { data = { a = 1 } } }))
      end
    end)

  it("is encoded as an event is, with the path of what is wrong", function()
    assert_refused("^data%.x%[2%]: a function cannot be sent$",
      client.events.capture({ name = "a" },
        { extra_body = { data = { x = { 1, print } } } }))
    assert_refused("^more: a function cannot be sent$",
      client.events.capture({ name = "a" }, { extra_body = { more = print } }))
  end)

  it("is on the wire, too", function()
    local x = h.open { default_data = { app = "web" } }
    assert(x.client.events.capture({ name = "a", data = { a = 1 } },
      { extra_body = { data = { b = array {} }, timestamp = "t" } }))
    x:settle()
    assert.same({
      name = "a", timestamp = "t", data = { app = "web", a = 1, b = {} },
    }, h.body_of(x.requests[1]))
    assert.matches('"b":%[%]', x.requests[1].body)
    x:close()
  end)
end)

describe("what is laid under and over an event", function()
  it("may be without end: nil, message, ValidationError", function()
    local cycle = { name = "a" }
    cycle.cycle = cycle
    local client = new { default_data = cycle }
    assert_refused("more than 100 levels", client.events.capture(cycle))
    assert_refused("more than 100 levels",
      client.events.capture { name = "a" })
    client = new {}
    assert_refused("more than 100 levels", client:post("/x", nil,
      { extra_body = cycle }))
    assert.equal(0, client:stats().accepted)
  end)

  it("counts in levels as the event does", function()
    local client = new { default_data = h.nest(100) }
    assert(client.events.capture { name = "a" })
    client = new { default_data = h.nest(101) }
    assert_refused("^data%..*more than 100 levels",
      client.events.capture { name = "a" })
    local options = { extra_body = h.nest(101) }
    assert(client:post("/x", nil, { extra_body = h.nest(100) }))
    assert_refused("more than 100 levels", client:post("/x", nil, options))
  end)

  it("is read by raw access", function()
    local function raw(fields)
      return setmetatable(fields, {
        __index = function() error("__index was called") end,
        __newindex = function() error("__newindex was called") end,
        __pairs = function() error("__pairs was called") end,
        __len = function() error("__len was called") end,
      })
    end
    local client = new { default_data = raw { app = "web" } }
    assert.same({ app = "web", a = 1, b = 2 }, body_of(client,
      client.events.capture(raw { name = "a", data = raw { a = 1 } },
        { extra_body = raw { data = raw { b = 2 } } })).data)
  end)

  it("may hold many keys", function()
    local client = new { default_data = { k0 = 0 } }
    local own, extra, count = {}, {}, 0
    for i = 1, 3000 do
      own["k" .. i], extra["k" .. 1500 + i] = i, -i
    end
    for name, value in pairs(data_of(client, own, { data = extra })) do
      assert.equal(extra[name] or own[name] or 0, value)
      count = count + 1
    end
    assert.equal(4501, count)
  end)

  it("takes what lua-cjson has decoded", function()
    local client = new { default_data = cjson.decode '{"a":[1,{}],"b":null}' }
    assert.same({ a = { 1, {} }, b = null, c = { 1 } },
      data_of(client, nil, cjson.decode '{"data":{"c":[1]}}'))
  end)
end)
