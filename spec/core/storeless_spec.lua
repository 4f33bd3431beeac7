-- Who has no store pays nothing for there being some: the same libraries,
-- threads and descriptors. Instructions are counted by make
-- bench-instructions.

local h = require "spec.helper"

describe("a process without a store", function()
  local api = h.standin { rate_limit = false }
  local disk = h.each(h.disks.new, function(d) d:remove() end)

  -- What a program has that has delivered: its threads besides the first, how
  -- many descriptors there are of each kind, and the libraries of stores.
  local function look(prelude)
    local child = h.start { code = prelude .. [[
      local sleep = socket.sleep -- a library is a descriptor while it loads
      options.log_level = "off"
      local client = seerstack.new(options)
      capture(client, 1, 20)
      assert(client:flush(10))
      tell "delivered"
      sleep(100)
    ]], args = { disk.directory }, env = h.environment(api.url, api.key) }
    h.says(child, "delivered", 20)
    local kinds, libraries = {}, {} -- there may be any number of connections
    for _, what in pairs(h.process.descriptors(child:pid())) do
      local kind = what:gsub(".*/events/", ""):gsub(":%[%d+%]$", "")
        :gsub("^/tmp/.*", "file")
      if kind ~= "socket" then
        kinds[kind] = (kinds[kind] or 0) + 1
      end
    end
    local maps = h.shell.read("/proc/" .. child:pid() .. "/maps")
    for _, name in ipairs { "libsqlite3", "libhiredis", "seerstack/sqlite",
      "seerstack/redis" } do
      libraries[name] = maps:find("/" .. name, 1, true) and true or nil
    end
    local threads = #h.process.threads(child:pid())
    child:finish()
    return threads, kinds, libraries
  end

  it("has one thread, and no library of a store's", function()
    local threads, _, libraries = look "local options = {}"
    assert.equal(1, threads)
    assert.same({}, libraries)
  end)

  it("has no more threads and descriptors when it could have one", function()
    local threads, kinds = look "local options = {}"
    local others, more = look [[
      require "seerstack.redis".open { url = "redis://127.0.0.1:1" }
      local store = require "seerstack.sqlite".open { directory = arg[1] }
      seerstack.new { store = store, log_level = "off" }
      local options = { store = false }
    ]]
    assert.equal(threads, others)
    assert.same(kinds, more)
    assert.is_nil(h.shell.read(disk.directory .. "/lock"))
  end)

  -- So these specs would see one.
  it("lacks a thread, an alarm and the files of one that has it", function()
    local threads, kinds = look "local options = {}"
    local others, more = look [[
      local options = { store = require "seerstack.sqlite".open {
        directory = arg[1] } }
    ]]
    assert.equal(threads + 1, others)
    kinds.lock, kinds["queue.db"], kinds["queue.db-wal"] = 1, 1, 1
    kinds["queue.db-shm"] = 1
    kinds["anon_inode:[eventfd]"] = (kinds["anon_inode:[eventfd]"] or 0) + 1
    assert.same(kinds, more)
  end)

  it("needs libcurl and the C library alone", function()
    local path = h.library "seerstack"
    for name in h.shell.output("objdump -p " .. h.shell.quote(path)
      .. " | awk '/NEEDED/ && !/san\\.so/ { print $2 }'"):gmatch "%S+" do
      assert.is_truthy(name:find "^libcurl" or name:find "^libc%.so"
        or name:find "^libm%.so" or name:find "^libdl%.so"
        or name:find "^libpthread%.so" or name:find "^ld%-linux", name)
    end
  end)
end)
