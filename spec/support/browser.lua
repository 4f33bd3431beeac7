-- A real Chromium without a window, spoken to by its DevTools protocol over
-- two pipes: JSON, each message ended by a zero byte.

local cjson = require "cjson"
local mime = require "mime"
local shell = require "dev.shell"
local wait = require "spec.support.wait"

local browser = {}
local page = {}
page.__index = page

local COMMAND = [[
cd %s && mkfifo in out && exec chromium --headless --no-sandbox \
  --disable-gpu --hide-scrollbars --no-first-run --disable-extensions \
  --disable-background-networking --disable-component-update \
  --force-color-profile=srgb --user-data-dir=profile \
  --remote-debugging-pipe about:blank 3<in 4>out >log 2>&1 &
echo $! >%s/pid]]

function browser.is_there()
  return shell.run "command -v chromium >/dev/null" == 0
end

-- Calls a method and returns its result; events that come meanwhile are
-- thrown away.
local function call(self, method, params)
  self.last = self.last + 1
  self.input:write(cjson.encode {
    id = self.last, method = method, sessionId = self.session,
    params = params or cjson.decode "{}",
  }, "\0")
  self.input:flush()
  while true do
    local bytes = {}
    repeat
      local byte = assert(self.output:read(1), "the browser has ended")
      bytes[#bytes + 1] = byte
    until byte == "\0"
    bytes[#bytes] = nil
    local answer = cjson.decode(table.concat(bytes))
    if answer.id == self.last then
      return assert(answer.result, answer.error and answer.error.message)
    end
  end
end

-- Starts a browser with one page.
function browser.open()
  local directory = shell.temporary_directory "browser"
  local quoted = shell.quote(directory)
  shell.run(COMMAND:format(quoted, quoted))
  wait.until_(function()
    return shell.run("test -p " .. quoted .. "/out") == 0
  end, 10)
  local self = setmetatable({
    directory = directory, last = 0,
    input = assert(io.open(directory .. "/in", "w")),
    output = assert(io.open(directory .. "/out", "r")),
  }, page)
  local target = call(self, "Target.createTarget", { url = "about:blank" })
  self.session = call(self, "Target.attachToTarget",
    { targetId = target.targetId, flatten = true }).sessionId
  return self
end

-- The value of an expression of JavaScript; raises what it throws.
function page:eval(expression)
  local answer = call(self, "Runtime.evaluate",
    { expression = expression, returnByValue = true, awaitPromise = true })
  local thrown = answer.exceptionDetails
  assert(not thrown, thrown and thrown.exception
    and thrown.exception.description)
  return answer.result.value
end

-- Waits until an expression is true.
function page:wait(expression)
  return wait.until_(function() return self:eval(expression) end, 20, 0.03,
    expression)
end

function page:go(url)
  call(self, "Page.navigate", { url = url })
  self:wait("document.readyState === 'complete' && location.href !== "
    .. "'about:blank'")
end

function page:size(width, height)
  call(self, "Emulation.setDeviceMetricsOverride", {
    width = width, height = height, deviceScaleFactor = 1,
    mobile = width < 500,
  })
end

-- "dark" or "light".
function page:scheme(name)
  call(self, "Emulation.setEmulatedMedia", {
    features = { { name = "prefers-color-scheme", value = name } },
  })
end

function page:press(key)
  for _, kind in ipairs { "keyDown", "keyUp" } do
    call(self, "Input.dispatchKeyEvent", {
      type = kind, key = key, text = kind == "keyDown" and #key == 1 and key
        or nil,
    })
  end
end

-- Writes what is seen to a .webp file, after the next two frames.
function page:shot(path)
  self:eval("new Promise(done => requestAnimationFrame(() => "
    .. "requestAnimationFrame(done)))")
  local shot = call(self, "Page.captureScreenshot",
    { format = "webp", quality = 85 })
  shell.write(path, (mime.unb64(shot.data)))
end

function page:close()
  self.session = nil
  pcall(call, self, "Browser.close")
  self.input:close()
  self.output:close()
  local pid = shell.read(self.directory .. "/pid"):match "%d+"
  wait.until_(function() return not shell.alive(pid) end, 20)
  shell.remove(self.directory)
end

return browser
