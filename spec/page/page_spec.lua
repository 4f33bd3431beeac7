-- The page of `seerstack listen`, in a real Chromium. SHOTS=1 keeps what it
-- looks like in docs/images.

local cjson = require "cjson"
local h = require "spec.helper"

local shots = os.getenv "SHOTS" == "1"

describe("the page", function()
  local page, running, url, client

  setup(function() page = h.browser.open() end)
  teardown(function() page:close() end)

  before_each(function()
    running = h.tool.start { "listen", "--port", "0" }
    url = h.wait(function()
      return running:stdout():match "(http://127%.0%.0%.1:%d+)/\n"
    end, 20)
    client = require "seerstack".new {
      api_key = "sk_test_0123456789abcdef", base_url = url,
      initial_retry_delay = 0.05, log_level = "off",
    }
    page:size(1280, 800)
    page:scheme "light"
    page:go(url .. "/")
    page:wait "document.querySelector('#link').textContent === location.host"
  end)

  after_each(function()
    client:close(20)
    running:finish()
    page:go "about:blank#"
  end)

  local function shoot(name)
    if shots then
      page:shot("docs/images/" .. name .. ".webp")
    end
  end

  local function capture(event, options)
    local result, message = client.events.capture(event,
      h.merge({ wait = true, max_retries = 0 }, options))
    return result, message
  end

  local function post(path, body)
    return client:post(path, body, { wait = true, max_retries = 0 })
  end

  -- The text of each element, joined.
  local function texts(selector)
    return page:eval(("[...document.querySelectorAll(%q)].map(e => "
      .. "e.textContent).join('|')"):format(selector))
  end

  local function wait_rows(count)
    page:wait("document.querySelectorAll('#list li').length === " .. count)
  end

  local function click(text)
    page:eval(("[...document.querySelectorAll('button')].find(b => "
      .. "b.textContent.trim().replace(/\\s+/g, ' ').startsWith(%q)).click()")
      :format(text))
  end

  local function wait_body(text)
    page:wait(("document.querySelector('#body').textContent.includes(%s)")
      :format(cjson.encode(text)))
  end

  local function fill()
    capture { name = "user.signup", user_id = "user_123",
      data = { plan = "pro", source = "landing" } }
    client.users.identify({ user_id = "user_123", name = "Jane Doe",
      email = "jane@example.com" }, { wait = true })
    capture { name = "Signup", user_id = "user_7",
      timestamp = "2025-01-04T12:00:00Z" }
    post("/capture", { name = "cart.opened", userId = "u_1",
      properties = { items = 2 } })
    capture { name = "invoice.paid", user_id = "user_123",
      data = { invoice_id = "inv_993", amount = 2000, currency = "usd",
        account = "76561197960287930", lines = { { sku = "A-1", n = 2 } } } }
    click "503 three times"
    page:wait "state.behaviour.fail_count === 3"
    capture({ name = "deploy.done", user_id = "ci",
      data = { version = "1.4.2", seconds = 42 } }, { max_retries = 3 })
  end

  it("tells what to paste when nothing has arrived", function()
    page:wait "document.querySelector('#paste').textContent"
    assert.equal("export SEERSTACK_BASE_URL=" .. url
      .. "\nexport SEERSTACK_API_KEY=sk_test_listen"
      .. "\nseerstack send hello.world -u me answer:=42", texts "#paste")
    page:wait "!document.querySelector('#empty').hidden"
    assert.equal(0, page:eval "document.querySelector('#right').offsetWidth")
    shoot "listen-empty"
  end)

  it("lists what arrives, the newest first, and says what is odd", function()
    fill()
    wait_rows(9)
    assert.equal("200|503|503|503|200|200|200|200|200",
      texts "#list li .status")
    assert.equal("deploy.done|deploy.done|deploy.done|deploy.done|"
      .. "invoice.paid|cart.opened|Signup|identify|user.signup",
      texts "#list li b")
    assert.equal("attempt 4|attempt 3|attempt 2|2 hints|2 hints",
      texts "#list .tag")
    assert.equal("9 of 1,000 a minute", page:eval [[drawRate(),
      document.querySelector('#rate > span').textContent]])
    for _ = 1, 6 do
      page:press "j"
    end
    page:wait "document.querySelector('#title').textContent === 'cart.opened'"
    local hints = texts "#hints li" -- in the order of the table's fields
    assert.matches("“userId” is no field of /capture: is “user_id” meant?",
      hints, 1, true)
    assert.matches("“properties” is no field of /capture: is “data” meant?",
      hints, 1, true)
    page:press "k"
    page:wait "document.querySelector('#title').textContent === 'invoice.paid'"
    shoot "listen"
    page:press "Escape"
    page:wait "document.querySelector('#detail').hidden"
  end)

  it("shows one in full: exact, pretty and raw, attempts, masked headers",
    function()
      client:post("/capture", { name = "a.b", data = { e = {}, i = 7,
        list = require "seerstack".array {} } }, { wait = true })
      click "503 three times"
      page:wait "state.behaviour.fail_count === 3"
      capture({ name = "x.y" }, { max_retries = 3 })
      wait_rows(5)
      page:press "j"
      page:wait "document.querySelectorAll('#attempts li').length === 4"
      assert.matches("^503 attempt 1, %d%d:%d%d:%d%d|503 attempt 2, .* after "
        .. "the first|503 .*|200 attempt 4, .*this one$",
        texts "#attempts li")
      local headers = texts "#headers td"
      assert.matches("Bearer sk_test_…cdef", headers, 1, true)
      assert.is_nil(headers:find("0123456789", 1, true))
      for _ = 1, 4 do
        page:press "j"
      end
      wait_body '"name": "a.b"'
      wait_body '\n  "data": {\n'
      wait_body '"list": []'
      click "Raw"
      wait_body '"name":"a.b"' -- in any order of the fields
    end)

  it("hints at integers that JavaScript rounds, and does not round them",
    function()
      local text = '{"name":"$page","timestamp":"2999-01-01T00:00:00Z",'
        .. '"data":{"i":76561197960287930}}'
      h.shell.run("curl -s -o /dev/null -H 'Authorization: Bearer k' "
        .. "-H 'Content-Type: application/json' -d " .. h.shell.quote(text)
        .. " " .. url .. "/capture")
      wait_rows(1)
      page:press "j"
      wait_body '"i": 76561197960287930\n'
      assert.matches("^Names that begin with %$ are the service's own.|"
        .. "76561197960287930 is beyond 2^53: .* reads it as "
        .. "76561197960287936.*|The timestamp is %d+ d after the arrival.$",
        texts "#hints li")
    end)

  it("copies an event as curl and as Lua, which send the same again",
    function()
      capture { name = "a.b", user_id = "it's", data = { ["end"] = true,
        list = require "seerstack".array {}, nothing =
          require "seerstack".null, text = 'q"\n' } }
      wait_rows(1)
      local body = page:eval "entries[0].body"
      local curl = page:eval "curlCall(entries[0])"
      h.shell.run("SEERSTACK_API_KEY=k; " .. curl .. " -s -o /dev/null")
      wait_rows(2)
      assert.equal(body, page:eval "entries[1].body")
      h.ended_well(h.start {
        code = 'local client = seerstack.new {}\n'
          .. page:eval "luaCall(entries[0])",
        env = h.environment(url, "k"),
      })
      wait_rows(3)
      assert.same(cjson.decode(body), cjson.decode(
        page:eval "entries[2].body"))
    end)

  it("makes requests fail, and shows how many times more", function()
    click "429, wait 5 s"
    page:wait [[document.querySelector('#fail [aria-pressed=true]')
      .textContent.includes('(1 left)')]]
    assert.is_nil((capture { name = "a.b" }))
    wait_rows(1)
    assert.equal("429", texts "#list .status")
    click "No answer"
    page:wait "state.behaviour.mute"
    assert.is_nil((capture { name = "a.b" }))
    page:wait "document.querySelectorAll('#list li').length > 1"
    shoot "listen-failing"
    assert.matches("^none|.*429$", texts "#list .status")
    click "401"
    page:wait "state.behaviour.fail_status === 401"
    local _, message = capture { name = "a.b" }
    assert.equal("401 Failure asked for", message)
    click "Success"
    page:wait "!state.behaviour.fail_status"
    assert.is_table((capture { name = "a.b" }))
  end)

  it("pauses, filters and clears", function()
    capture { name = "one.two", user_id = "u1" }
    wait_rows(1)
    page:press "p"
    capture { name = "three.four", user_id = "u2" }
    page:wait [[document.querySelector('#pause').textContent ===
      'Resume (1)']]
    assert.equal("one.two", texts "#list b")
    page:press "p"
    wait_rows(2)
    page:press "/"
    page:eval [[document.querySelector('#filter').value = 'u2 FOUR';
      document.querySelector('#filter').dispatchEvent(new Event('input'))]]
    wait_rows(1)
    assert.equal("three.four", texts "#list b")
    page:press "Escape"
    wait_rows(2)
    page:press "c"
    wait_rows(0)
    assert.is_false(page:eval "document.querySelector('#empty').hidden")
  end)

  it("shows names as text, whatever they are", function()
    capture { name = "<img src=x onerror=alert(1)>.<b>" }
    wait_rows(1)
    page:press "j"
    page:wait "document.querySelector('#title').textContent.startsWith('<im')"
    assert.equal(0, page:eval "document.querySelectorAll('img').length")
  end)

  local function start_again(...)
    running:kill "INT"
    running:wait()
    page:wait [[document.querySelector('#link').textContent.includes(
      'has ended')]]
    running = h.tool.start { "listen", "--port", url:match "%d+$", ... }
    page:wait "document.querySelector('#link').className.includes('on')"
  end

  it("keeps a thousand, and draws a burst", function()
    start_again("--rate-limit", "0")
    local many = client:with_options { rate_limit = 10 ^ 6 }
    for i = 1, 1100 do
      assert(many.events.capture { name = "burst.event", data = { i = i } })
    end
    assert(many:flush(60))
    page:wait "entries.length === 1000 && entries[999].seq === 1100"
    wait_rows(1000)
    assert.equal("1,100 a minute, no limit", page:eval [[drawRate(),
      document.querySelector('#rate > span').textContent]])
  end)

  it("says when the listener has ended, and forgets with a new one",
    function()
      capture { name = "a.b" }
      wait_rows(1)
      start_again()
      wait_rows(0)
    end)

  it("is readable in the dark and at 400 pixels, and needs no scrolling aside",
    function()
      fill()
      wait_rows(9)
      page:scheme "dark"
      page:press "j"
      page:wait "document.querySelectorAll('#attempts li').length === 4"
      assert.equal("rgb(23, 23, 21)",
        page:eval "getComputedStyle(document.body).backgroundColor")
      shoot "listen-dark"
      page:press "Escape"
      page:size(400, 720)
      page:wait "innerWidth === 400"
      assert.equal(400, page:eval "document.documentElement.scrollWidth")
      shoot "listen-narrow"
      page:press "j"
      page:wait "document.querySelector('#left').offsetWidth === 0"
      assert.equal(400, page:eval "document.documentElement.scrollWidth")
      click "‹ All events"
      page:wait "document.querySelector('#left').offsetWidth === 400"
    end)

  it("is served by make standin as well", function()
    local live = h.start_standin { page = true }
    finally(function()
      page:go "about:blank#"
      live:stop()
    end)
    page:go(live.url .. "/")
    local other = require "seerstack".new {
      api_key = live.key, base_url = live.url, log_level = "off",
    }
    assert(other.events.capture({ name = "a.b" }, { wait = true }))
    wait_rows(1)
    assert.equal("200", texts "#list .status")
    click "401"
    page:wait "state.behaviour.fail_status === 401"
    assert.is_nil((other.events.capture({ name = "a.b" }, { wait = true })))
    wait_rows(2)
    assert(other:close(20))
  end)

  it("asks nobody else for anything", function()
    local asked = page:eval [[performance.getEntriesByType('resource').map(r =>
        new URL(r.name).host).filter(host => host !== location.host).length]]
    assert.equal(0, asked)
  end)
end)
