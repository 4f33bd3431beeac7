-- examples/nginx: events from every phase, and where the key comes from.

local h = require "spec.helper"

-- A handler that captures an event with the phase's name.
local function captures(name)
  return ('{ require("analytics").capture { name = "phase.%s" } }')
    :format(name)
end

local function block(phase, name)
  return phase .. "_by_lua_block " .. captures(name or phase) .. "\n"
end

local EXAMPLE_INIT = 'init_by_lua_block { require "analytics" }'

local PHASES_HTTP = block("init_worker") .. block("exit_worker") .. [[
upstream elsewhere {
  server 0.0.0.1;
  balancer_by_lua_block {
    require("analytics").capture { name = "phase.balancer" }
    assert(require("ngx.balancer").set_current_peer("127.0.0.1", {{port}}))
  }
}
]]

local PHASES_SERVER = [[
listen 127.0.0.1:{{tls_port}} ssl;
ssl_certificate %s/cert.pem;
ssl_certificate_key %s/key.pem;
]] .. block("ssl_certificate") .. [[
location = /phases {
  set_by_lua_block $unused ]] .. captures "set" .. "\n"
  .. block("rewrite") .. block("access") .. block("header_filter")
  .. block("log") .. [[
  content_by_lua_block {
    local analytics = require "analytics"
    analytics.capture { name = "phase.content" }
    assert(ngx.timer.at(0, function()
      analytics.capture { name = "phase.timer" }
    end))
    ngx.say("a body")
  }
  body_filter_by_lua_block {
    if ngx.arg[2] then
      require("analytics").capture { name = "phase.body_filter" }
    end
  }
}
location = /balanced { proxy_pass http://elsewhere/nothing; }
location = /nothing { return 200 "nothing"; }
]]

-- { [name] = how often it arrived }
local function names(api)
  local counts = {}
  for _, event in ipairs(api:events()) do
    local name = event.body:match('"name":"([^"]+)"')
    counts[name] = (counts[name] or 0) + 1
  end
  return counts
end

describe("nginx", function()
  local api = h.own_standin(nil, h.nginx.clean_up)

  local function start(options)
    options.api = api
    options.files = options.files or { ["analytics.lua"] = {} }
    return h.nginx.start(options)
  end

  local function wait_for(count)
    h.wait(function() return api:count() == count end, 20, 0.01,
      count .. " events")
  end

  it("sends events that any phase has captured", function()
    local server = start {
      http = PHASES_HTTP,
      server = PHASES_SERVER:format(api.directory, api.directory),
      changes = { [EXAMPLE_INIT] = "init_by_lua_block "
        .. captures "init" },
    }
    assert.equal("a body\n", server:fetch "/phases")
    assert.equal("nothing", server:fetch "/balanced")
    assert.equal("nothing", h.shell.output("curl -sk "
      .. server.tls_url .. "/nothing"))
    server:stop()
    assert.same({
      ["phase.init"] = 1, ["phase.init_worker"] = 2,
      ["phase.set"] = 1, ["phase.rewrite"] = 1, ["phase.access"] = 1,
      ["phase.content"] = 1, ["phase.header_filter"] = 1,
      ["phase.body_filter"] = 1, ["phase.log"] = 1, ["phase.timer"] = 1,
      ["phase.balancer"] = 1, ["phase.ssl_certificate"] = 1,
      ["phase.exit_worker"] = 2,
    }, names(api))
    assert.equal("", server:problems())
  end)

  it("sends what init_by_lua captures once, whatever forks", function()
    local server = start {
      workers = 4,
      changes = { [EXAMPLE_INIT] = "init_by_lua_block "
        .. captures "init" },
      server = "location = /nothing { content_by_lua_block "
        .. captures "worker" .. " }",
    }
    wait_for(1)
    for _ = 1, 20 do
      server:fetch "/nothing"
    end
    server:reload()
    wait_for(22)
    server:stop()
    assert.same({ ["phase.init"] = 2, ["phase.worker"] = 20 }, names(api))
    assert.equal("", server:problems())
  end)

  it("does so too when it goes to the background by itself", function()
    local server = start {
      daemon = true,
      changes = { [EXAMPLE_INIT] = "init_by_lua_block "
        .. captures "init" },
    }
    assert.equal(0, server.handle:wait().status)
    wait_for(1)
    server:reload()
    wait_for(2)
    server:stop()
    assert.same({ ["phase.init"] = 2 }, names(api))
    assert.equal("", server:problems())
  end)

  it("runs the example as it is", function()
    local server = start {
      changes = { ["root /var/www/html;"] = "root {{directory}};" },
    }
    h.shell.write(server.directory .. "/page.html", "a page")
    assert.equal("a page", server:fetch "/page.html")
    assert.equal("Welcome!\n", server:fetch "/signup?user=u1")
    assert.equal(404, (server:get "/missing.html"))
    server:stop()
    local events = api:events()
    assert.same({ ["page.viewed"] = 2, ["user.signup"] = 1 }, names(api))
    for _, event in ipairs(events) do
      assert.equal("Bearer " .. api.key, event.headers.authorization)
      if event.body:find "page.viewed" then
        assert.truthy(event.body:find('"/page.html"', 1, true)
          and event.body:find('"status":200', 1, true)
          or event.body:find('"/missing.html"', 1, true)
          and event.body:find('"status":404', 1, true), event.body)
      end
    end
  end)

  -- That it serves as ever, has told once why, and has sent nothing.
  local function assert_off(server, reason, env)
    local tested = h.host.start {
      command = "env PATH=\"$PATH:/usr/sbin\" nginx -t -c "
        .. server.directory .. "/nginx.conf",
      env = env,
    }:wait()
    assert.equal(0, tested.status, tested.stderr)
    assert.equal("Welcome!\n", server:fetch "/signup?user=u1")
    assert.equal(404, (server:get "/missing.html"))
    server:stop()
    local told = server.handle:stderr() .. server:error_log()
    local _, count = told:gsub("analytics are off: ", "")
    assert.equal(1, count, told)
    assert.matches(reason, told, 1, true)
    assert.equal(0, api:status().requests)
  end

  it("comes up without a key, and tells once that analytics are off",
    function()
      local env = { SEERSTACK_API_KEY = false }
      assert_off(start { env = env }, "SEERSTACK_API_KEY is missing", env)
    end)

  it("comes up without lua-cjson, and tells once that analytics are off",
    function()
      local server = start {
        changes = { [EXAMPLE_INIT] = [[init_by_lua_block {
          package.cpath = "{{directory}}/lua-luajit/?.so"
          require "analytics"
        }]] },
      }
      assert_off(server, "module 'cjson' not found")
    end)

  local ENVIRONMENT = [[
location = /environment {
  content_by_lua_block {
    ngx.print(tostring(os.getenv "SEERSTACK_API_KEY"))
    require("analytics").capture { name = "keyed" }
  }
}
]]

  it("reads the key in init_by_lua, and workers have none", function()
    local server = start { server = ENVIRONMENT }
    assert.equal("nil", server:fetch "/environment")
    wait_for(1)
    server:reload()
    assert.equal("nil", server:fetch "/environment")
    wait_for(2)
    server:stop()
    assert.equal("", server:problems())
  end)

  it("shows workers the variables that `env` names", function()
    local server = start {
      server = ENVIRONMENT,
      changes = {
        ["# env SEERSTACK_API_KEY;"] = "env SEERSTACK_API_KEY;",
        ["# env SEERSTACK_BASE_URL;"] = "env SEERSTACK_BASE_URL;",
      },
    }
    assert.equal(api.key, server:fetch "/environment")
    server:stop()
    assert.equal(1, api:count())
  end)

  it("writes the SDK's lines to its error log", function()
    api:config { fail_status = 401 }
    local server = start { server = ENVIRONMENT }
    server:fetch "/environment"
    h.wait(function()
      return server:error_log():find("seerstack: warn: refused by ", 1, true)
    end)
    assert.is_nil(server:error_log():find(api.key, 1, true))
  end)
end)
