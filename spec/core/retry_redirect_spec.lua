local h = require "spec.helper"

local location = h.location

local SLOW, new, deliver = h.retrying.SLOW, h.retrying.new, h.retrying.deliver
local assert_kept = h.retrying.assert_kept
local assert_same_event = h.retrying.assert_same_event

local x = h.retrying.each()

describe("a redirect", function()
  for _, status in ipairs { 307, 308 } do
    it(status .. " to the same origin is followed with the body", function()
      for _, to in ipairs { "/other/capture?a=1", x.url .. "/other/capture",
        "other/capture", "//127.0.0.1:" .. x.server.port .. "/x" } do
        x.client = new(SLOW)
        local before = #x.requests
        x:capture("a.b", { n = 1 })
        local stats = x:settle(h.sequence {
          { status, location(to) },
        })
        assert.equal(1, stats.delivered)
        assert.equal(before + 2, #x.requests)
        local first, second = x.requests[before + 1], x.requests[before + 2]
        assert.equal("POST", second.method)
        assert.equal("/" .. to:gsub("^[htp:]*//[^/]*", ""):gsub("^/", ""),
          second.target)
        assert.equal(first.body, second.body)
        assert.same(first.order, second.order)
      end
    end)
  end

  it("may be followed by others, ten in all", function()
    local function hops(count)
      local answers = {}
      for i = 1, count do
        answers[i] = { 307, location("/hop" .. i) }
      end
      return answers
    end
    assert.equal(1, deliver(hops(10)).delivered)
    assert.equal(11, #x.requests)
    assert.equal("/hop10", x.requests[11].path)
    assert.equal(11, assert_kept(true, hops(11)))
  end)

  it("begins at the base URL again in the next attempt", function()
    deliver { { 307, location "/other" }, { 500 } }
    assert.same({ "/capture", "/other", "/capture" }, {
      x.requests[1].path, x.requests[2].path, x.requests[3].path,
    })
    assert_same_event { x.requests[1], x.requests[3] }
  end)

  for _, status in ipairs { 301, 302, 303 } do
    it(status .. " is not followed: the endpoint backs off", function()
      local answer = { status, location "/other" }
      assert.equal(1, deliver({ answer }).delivered)
      assert.equal(2, #x.requests)
      assert_same_event(x.requests)
      assert.equal(1, assert_kept(true, { answer }))
    end)
  end

  it("to another origin is not followed: the key stays", function()
    local other = h.server.new()
    local authority = "127.0.0.1:" .. other.port
    for _, to in ipairs {
      other.url .. "/capture", "//" .. authority .. "/capture",
      "http://localhost:" .. other.port .. "/capture",
      "http://localhost:" .. x.server.port .. "/capture",
      "https://127.0.0.1:" .. x.server.port .. "/capture",
      "https://" .. authority .. "/capture",
      "http://a:b@127.0.0.1:" .. x.server.port .. "/capture",
      "http://127.0.0.1:" .. x.server.port .. "@" .. authority .. "/",
      "http:\\\\" .. authority .. "/", "http:///" .. authority,
      "ftp://" .. authority .. "/", "file:///etc/passwd", "//", "http://",
      "http://127.0.0.1:99999/",
    } do
      for _, status in ipairs { 307, 308 } do
        assert.equal(1, assert_kept(true, { { status, location(to) } }), to)
      end
    end
    assert.is_nil((other:accept(0)))
    other:close()
  end)
end)
