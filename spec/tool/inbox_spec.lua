local h = require "spec.helper"

package.path = "bin/lib/?.lua;" .. package.path
local inbox = require "seerstack.tool.inbox"

describe("the inbox", function()
  local function request(fields, body)
    fields = h.merge({ authorization = "Bearer k",
      ["content-type"] = "application/json" }, fields)
    local list = {}
    for name, value in pairs(fields) do
      list[#list + 1] = { name, value }
    end
    return { method = "POST", path = "/capture", headers = fields,
      fields = list, body = body or '{"name":"a"}' }
  end

  it("has a window of 60 seconds that slides", function()
    local box = inbox.new(nil, 2)
    local function status(now)
      local entry, headers = box:take(request(), now)
      return entry.status .. (headers and " " .. headers["Retry-After"] or "")
    end
    assert.equal("200", status(100))
    assert.equal("200", status(110.5))
    assert.equal("429 50", status(110.5))
    assert.equal("429 1", status(159.9))
    assert.equal("200", status(160))
    assert.equal("429 11", status(160))
    assert.equal("200", status(1000))
  end)

  it("keeps the newest, by number and by size", function()
    local box = inbox.new()
    for i = 1, 1200 do
      box:take(request { ["idempotency-key"] = tostring(i) }, i)
    end
    local kept = box:since(0)
    assert.equal(1000, #kept)
    assert.equal(201, kept[1].seq)
    assert.equal(3, #box:since(1197))
    assert.is_nil(box.attempts["200"])
    for i = 1, 10 do
      box:take(request({}, ("x"):rep(2 ^ 20)), i)
    end
    assert.equal(7, #box:since(0))
    box:clear()
    assert.equal(0, box.bytes)
    assert.is_nil(next(box.attempts))
  end)

  it("masks what is secret", function()
    local box = inbox.new()
    local entry = box:take(request {
      cookie = "session=0123456789abcdef", authorization = "Bearer short",
    }, 1)
    for _, header in ipairs(entry.headers) do
      if header[1] == "cookie" then
        assert.equal("ses…cdef", header[2])
      elseif header[1] == "authorization" then
        assert.equal("Bearer sho…", header[2])
      end
    end
  end)
end)
