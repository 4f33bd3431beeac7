-- What `seerstack listen` serves: the page at /, what the page asks for at
-- /_*, and the API everywhere else.
--
-- It listens on loopback, where any web page that the user visits can reach it
-- with the user's browser. So what belongs to the page is answered only under
-- a name of this machine (a foreign name that points here is none), and
-- changed only by the page itself.

local cjson = require "cjson"
local socket = require "socket"
local inbox = require "seerstack.tool.inbox"

local site = {}
site.__index = site

local folder = debug.getinfo(1, "S").source:match "^@(.*)/" or "."

local PAGE_HEADERS = {
  ["Content-Security-Policy"] = "default-src 'none'; connect-src 'self'; "
    .. "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ["X-Content-Type-Options"] = "nosniff",
  ["Referrer-Policy"] = "no-referrer",
}

local function read_page()
  local file = assert(io.open(folder .. "/page.html", "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- `told(entry)` is called for each arrival.
function site.new(options, told)
  return setmetatable({
    box = inbox.new(options.key, options.rate_limit), told = told,
    page = read_page(), readers = {}, run = ("%.0f"):format(
      socket.gettime() * 1000),
  }, site)
end

local function answer_json(client, status, value, headers)
  client:answer(status, "application/json", cjson.encode(value), headers)
end

local function message(self, entry)
  return "id: " .. self.run .. "-" .. entry.seq .. "\ndata: "
    .. cjson.encode(entry) .. "\n\n"
end

local function state(self)
  return "event: state\ndata: " .. cjson.encode {
    run = self.run, key = self.box.key or "sk_test_listen",
    rate_limit = self.box.rate_limit, behaviour = self.box.behaviour,
  } .. "\n\n"
end

local function tell_all(self, text)
  for reader in pairs(self.readers) do
    reader:write(text)
    if reader.gone then
      self.readers[reader] = nil
    end
  end
end

function site:serve_api(request, client)
  local entry, headers = self.box:take(request, socket.gettime())
  local behaviour = self.box.behaviour
  tell_all(self, message(self, entry) .. state(self))
  self.told(entry)
  if entry.mute then
    return
  elseif behaviour.delay then
    client:sleep(behaviour.delay)
  end
  answer_json(client, entry.status,
    entry.error and { error = entry.error } or { success = true }, headers)
end

local routes = {}

routes["GET /"] = function(self, _, client)
  client:answer(200, "text/html; charset=utf-8", self.page, PAGE_HEADERS)
end

routes["GET /favicon.ico"] = function(_, _, client)
  client:answer(404, "text/plain", "There is none.\n")
end

-- Server-sent events: the state, what has arrived, and what arrives. A page
-- that comes back names the last one that it has.
routes["GET /_live"] = function(self, request, client)
  local run, seq = (request.headers["last-event-id"] or "")
    :match "^(%d+)%-(%d+)$"
  local texts = { "retry: 1000\n\n", state(self) }
  for _, entry in ipairs(self.box:since(
    run == self.run and tonumber(seq) or 0)) do
    texts[#texts + 1] = message(self, entry)
  end
  client:write_head "text/event-stream"
  client:write(table.concat(texts))
  self.readers[client] = true
  client:stream()
end

routes["GET /_events"] = function(self, _, client)
  local texts = {}
  for i, entry in ipairs(self.box:since(0)) do
    texts[i] = cjson.encode(entry)
  end
  client:answer(200, "application/json",
    "[" .. table.concat(texts, ",\n") .. "]")
end

routes["DELETE /_events"] = function(self, _, client)
  self.box:clear()
  tell_all(self, "event: clear\ndata: {}\n\n")
  answer_json(client, 200, { success = true })
end

routes["POST /_config"] = function(self, request, client)
  local ok, wanted = pcall(cjson.decode, request.body)
  local done, problem = false, "not a JSON object"
  if ok and type(wanted) == "table" then
    done, problem = self.box:behave(wanted)
  end
  if not done then
    return answer_json(client, 400, { error = problem })
  end
  tell_all(self, state(self))
  answer_json(client, 200, { success = true })
end

-- Whether a request comes from this machine's user, as far as a browser tells.
local function is_ours(request)
  local headers = request.headers
  local host = (headers.host or ""):lower()
  local name = host:gsub(":%d+$", "")
  local origin = headers.origin
  return (name == "127.0.0.1" or name == "localhost")
    and (not origin or origin:lower() == "http://" .. host)
    and headers["sec-fetch-site"] ~= "cross-site"
    and headers["sec-fetch-site"] ~= "same-site"
end

-- Answers one request; for server.new.
function site:serve(request, client)
  local route = routes[request.method .. " " .. request.path]
  if not route then
    return self:serve_api(request, client)
  elseif not is_ours(request) then
    return answer_json(client, 403, { error = "Not from this page" })
  end
  route(self, request, client)
end

return site
