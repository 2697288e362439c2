resty.healthcheck: what scripts see. The events module here is a small one of the test's own.

=== TEST 1: targets, their states and their keys
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        local listeners = {}
        package.preload["resty.worker.events"] = function()
            return {
                configured = function() return true end,
                poll = function() end,
                unregister = function(f) listeners[f] = nil end,
                register_weak = function(f, source) listeners[f] = source end,
                post = function(source, event, data)
                    for f, wanted in pairs(listeners) do
                        if wanted == source then f(data, event, source, 1) end
                    end
                end,
            }
        end
    }
--- config
    location = /t {
        content_by_lua_block {
            local hc = require "resty.healthcheck"
            local bus = require "resty.worker.events"
            local checker = assert(hc.new { name = "n", shm_name = "hc" })
            bus.register_weak(function(data, event)
                ngx.say("event ", event, " ", data.ip, " ", data.port, " ", data.hostname)
            end, checker.EVENT_SOURCE)
            ngx.say(checker.EVENT_SOURCE)
            ngx.say(checker:add_target("127.0.0.1", "80"))
            ngx.say(checker:add_target("127.0.0.1", 80, nil, false))
            ngx.say(checker:add_target("127.0.0.2", 80, "a.b", false, "host.c", { w = 3 }))
            ngx.say(checker:get_target_status("127.0.0.1", 80))
            ngx.say(checker:get_target_status("127.0.0.2", 80, "a.b"))
            ngx.say(checker:get_target_status("127.0.0.2", 80))
            local d, P = ngx.shared.hc, "lua-resty-healthcheck:n:"
            ngx.say(d:get(P .. "state:127.0.0.1:80:127.0.0.1"), " ", d:get(P .. "state:127.0.0.2:80:a.b"))
            local list = require("string.buffer").decode(d:get(P .. "target_list"))
            ngx.say(#list, " ", list[1].ip, " ", list[1].hostheader, " ", list[2].hostheader, " ",
                list[2].meta.w, " ", list[2].port)
            -- Without the host name a target added without one stays.
            ngx.say(checker:remove_target("127.0.0.1", 80))
            ngx.say(checker:get_target_status("127.0.0.1", 80))
            ngx.say(checker:remove_target("127.0.0.1", 80, "127.0.0.1"))
            ngx.say(d:get(P .. "state:127.0.0.1:80:127.0.0.1"))
            ngx.say(checker:clear())
            ngx.say(#require("string.buffer").decode(d:get(P .. "target_list")), " ",
                d:get(P .. "state:127.0.0.2:80:a.b"))
        }
    }
--- request
GET /t
--- response_body
lua-resty-healthcheck [n]
event healthy 127.0.0.1 80 127.0.0.1
true
true
event unhealthy 127.0.0.2 80 a.b
true
true
false
niltarget not found
1 2
2 127.0.0.1 nil host.c 3 80
true
true
event remove 127.0.0.1 80 127.0.0.1
true
nil
event clear nil nil nil
true
0 nil


=== TEST 2: reports move the four lanes
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        package.preload["resty.worker.events"] = function()
            local nothing = function() end
            return { configured = function() return true end, poll = nothing, post = nothing,
                unregister = nothing, register_weak = nothing }
        end
    }
--- config
    location = /t {
        content_by_lua_block {
            local hc = require "resty.healthcheck"
            local n = 0
            local function trace(passive, up, reports)
                n = n + 1
                local checker = assert(hc.new { name = "t" .. n, shm_name = "hc", test = true,
                    checks = { passive = passive } })
                checker:add_target("127.0.0.1", 80, nil, up)
                local report = {
                    H = function() return checker:report_http_status("127.0.0.1", 80, nil, 500) end,
                    T = function() return checker:report_tcp_failure("127.0.0.1", 80, nil, "connect") end,
                    O = function() return checker:report_timeout("127.0.0.1", 80) end,
                    S = function() return checker:report_success("127.0.0.1", 80) end,
                }
                local states = {}
                for one in reports:gmatch("%u") do
                    assert(report[one]() == true)
                    local _, state = checker:test_get_counter("127.0.0.1", 80)
                    states[#states + 1] = state
                end
                ngx.say(table.concat(states, " "), string.format(" %08x",
                    ngx.shared.hc:get("lua-resty-healthcheck:t" .. n .. ":counter:127.0.0.1:80:127.0.0.1")))
            end
            local numbers = { healthy = { successes = 2 },
                unhealthy = { http_failures = 3, tcp_failures = 2, timeouts = 3 } }
            trace(numbers, true, "HHSHHH")
            trace(numbers, true, "HTOT")
            trace(numbers, false, "SHSS")
            trace({ healthy = { successes = 0 }, unhealthy = { http_failures = 2 } }, true, "HSHS")
            trace({ unhealthy = { http_failures = 0 } }, true, "HHHS")
        }
    }
--- request
GET /t
--- response_body
mostly_healthy mostly_healthy mostly_healthy mostly_healthy mostly_healthy unhealthy 00000300
mostly_healthy mostly_healthy mostly_healthy unhealthy 01020100
mostly_unhealthy mostly_unhealthy mostly_unhealthy healthy 00000002
mostly_healthy mostly_healthy unhealthy unhealthy 00000200
healthy healthy healthy healthy 00000000


=== TEST 3: answers of reports and of a forced state
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        package.preload["resty.worker.events"] = function()
            local nothing = function() end
            return { configured = function() return true end, poll = nothing, post = nothing,
                unregister = nothing, register_weak = nothing }
        end
    }
--- config
    location = /t {
        content_by_lua_block {
            local checker = require("resty.healthcheck").new { name = "n", shm_name = "hc" }
            checker:add_target("127.0.0.1", 80, "a")
            checker:add_target("127.0.0.2", 80, "a")
            ngx.say(select("#", checker:report_http_status("127.0.0.1", 80, "a", 404)))
            ngx.say(checker:report_http_status("127.0.0.1", 80, "a", 500))
            ngx.say(checker:report_http_status("127.0.0.9", 80, "a", 500))
            ngx.say(checker:set_target_status("127.0.0.1", 80, "a", false))
            ngx.say(checker:get_target_status("127.0.0.1", 80, "a"))
            ngx.say(checker:set_target_status("127.0.0.9", 80, "a", false))
            ngx.say(checker:set_all_target_statuses_for_hostname("a", 80, true))
            ngx.say(checker:get_target_status("127.0.0.1", 80, "a"))
            ngx.say(pcall(checker.add_target, checker))
            ngx.say(pcall(checker.add_target, checker, "127.0.0.1"))
            ngx.say(pcall(checker.delayed_clear, checker))
            ngx.say(pcall(function() return checker.events.none end))
        }
    }
--- request
GET /t
--- response_body_like chomp
\A0
true
true
true
false
true
true(nil)?
true
false.*: no ip address provided
false.*: no port number provided
false.*: no delay provided
false.*'none' is not a valid event name
\z
--- error_log
trying to increment a target that is not in the list: (a) 127.0.0.9:80
unhealthy HTTP increment (1/5) for 'a(127.0.0.1:80)'
unhealthy forced for a 127.0.0.1:80
trying to set status for a target that is not in the list: 127.0.0.9:80


=== TEST 4: every method in every phase
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        package.preload["resty.worker.events"] = function()
            local nothing = function() end
            return { configured = function() return true end, poll = nothing, post = nothing,
                unregister = nothing, register_weak = nothing }
        end
        function use(phase)
            local checker = assert(require("resty.healthcheck").new { name = phase, shm_name = "hc" })
            assert(checker:add_target("127.0.0.1", 80))
            assert(checker:report_tcp_failure("127.0.0.1", 80) == true)
            assert(checker:report_tcp_failure("127.0.0.1", 80) == true)
            assert(checker:get_target_status("127.0.0.1", 80) == false)
            assert(checker:set_target_status("127.0.0.1", 80, nil, true) == true)
            assert(checker:delayed_clear(100) == true)
            assert(checker:clear() == true)
            ngx.shared.hc:set("done:" .. phase, true)
        end
    }
    init_worker_by_lua_block { use "init_worker" }
    upstream u {
        server 0.0.0.1;
        balancer_by_lua_block {
            use "balancer"
            require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT)
        }
    }
--- config
    location = /x {
        set_by_lua_block $x { use "set" return 1 }
        rewrite_by_lua_block { use "rewrite" }
        access_by_lua_block { use "access" }
        content_by_lua_block { use "content" ngx.print("x") }
        header_filter_by_lua_block { use "header_filter" }
        body_filter_by_lua_block { use "body_filter" }
        log_by_lua_block { use "log" }
    }
    location = /p { proxy_pass http://u/x; }
    location = /t {
        content_by_lua_block {
            ngx.location.capture("/p")
            ngx.timer.at(0, function() use "timer" end)
            for _ = 1, 6000 do
                if ngx.shared.hc:get("done:timer") and ngx.shared.hc:get("done:log") then break end
                ngx.sleep(0.01)
            end
            for _, phase in ipairs { "init_worker", "set", "rewrite", "access", "content", "balancer",
                    "header_filter", "body_filter", "log", "timer" } do
                ngx.print(ngx.shared.hc:get("done:" .. phase) and "" or phase, ".")
            end
            ngx.say()
        }
    }
--- request
GET /t
--- response_body
..........
--- no_error_log
[error]


=== TEST 5: the engine probes, the script is told
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        local listeners = {}
        package.preload["resty.worker.events"] = function()
            return {
                configured = function() return true end,
                poll = function() end,
                unregister = function(f) listeners[f] = nil end,
                register_weak = function(f, source) listeners[f] = source end,
                post = function(source, event, data)
                    for f, wanted in pairs(listeners) do
                        if wanted == source then f(data, event, source, 1) end
                    end
                end,
            }
        end
    }
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                ngx.exit(ngx.var.http_host == "host.c" and ngx.var.http_x == "y" and 200 or 500)
            }
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            local checker = require("resty.healthcheck").new { name = "n", shm_name = "hc", checks = {
                active = { http_path = "/s", headers = { X = "y" },
                    healthy = { interval = 0.05, successes = 2 },
                    unhealthy = { interval = 0.05, http_failures = 2, tcp_failures = 2 } } } }
            local port = $TEST_NGINX_RAND_PORT_1
            checker:add_target("127.0.0.1", port, "good", false, "host.c")
            checker:add_target("127.0.0.1", port, "bad")
            checker:add_target("127.0.0.2", 1)
            local wanted = { good = "healthy", bad = "unhealthy", ["127.0.0.2"] = "unhealthy" }
            local function settled()
                for _, t in ipairs(checker.targets) do
                    if t.internal_health ~= wanted[t.hostname] then return false end
                end
                return true
            end
            for _ = 1, 6000 do if settled() then break end ngx.sleep(0.01) end
            ngx.say(checker:get_target_status("127.0.0.1", port, "good"), " ",
                checker:get_target_status("127.0.0.1", port, "bad"), " ",
                checker:get_target_status("127.0.0.2", 1))
            for _, t in ipairs(checker.targets) do
                ngx.say(t.hostname, " ", t.internal_health)
            end
            ngx.say(checker:stop())
            ngx.say(checker:run_single_check("127.0.0.2", 1))
            checker:set_target_status("127.0.0.1", port, "bad", true)
            ngx.sleep(0.2)
            ngx.say(checker:get_target_status("127.0.0.1", port, "bad"))
        }
    }
--- request
GET /t
--- response_body
true false false
good healthy
bad unhealthy
127.0.0.2 unhealthy
true
true
true
--- log_level: debug
--- error_log
checking healthy targets: #
healthy SUCCESS increment (2/2) for 'good(127.0.0.1:$TEST_NGINX_RAND_PORT_1)'
unhealthy TCP increment (2/2) for '127.0.0.2(127.0.0.2:1)'
event: target status 'bad(127.0.0.1:$TEST_NGINX_RAND_PORT_1)' from 'true' to 'false'


=== TEST 6: delayed removal, and a checker that nobody holds
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        package.preload["resty.worker.events"] = function()
            local nothing = function() end
            return { configured = function() return true end, poll = nothing, post = nothing,
                unregister = nothing, register_weak = nothing }
        end
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200; }
--- config
    location = /t {
        content_by_lua_block {
            local hc = require "resty.healthcheck"
            local options = { name = "n", shm_name = "hc",
                checks = { active = { unhealthy = { interval = 0.05 } } } }
            local checker = hc.new(options)
            checker:add_target("127.0.0.1", 81)
            checker:add_target("127.0.0.1", 82)
            checker:report_tcp_failure("127.0.0.1", 82)
            checker:report_tcp_failure("127.0.0.1", 82)
            checker:delayed_clear(3)
            -- Added again: it stays with its state.
            local other = hc.new(options)
            ngx.say(other:add_target("127.0.0.1", 82, nil, true))
            for _ = 1, 6000 do if checker:get_target_status("127.0.0.1", 81) == nil then break end ngx.sleep(0.01) end
            ngx.say(checker:get_target_status("127.0.0.1", 81))
            ngx.say(checker:get_target_status("127.0.0.1", 82))
            ngx.say(hc.get_target_list("n", "hc")[1].counter.tcp_failure)
            -- Collected checkers probe no more; who comes next finds the targets.
            local weak = setmetatable({ checker, other }, { __mode = "v" })
            checker, other = nil, nil
            collectgarbage() collectgarbage()
            ngx.say(next(weak))
            ngx.say(hc.new(options):get_target_status("127.0.0.1", 82))
        }
    }
--- request
GET /t
--- response_body
true
niltarget not found
false
2
nil
false


=== TEST 7: options that are refused
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        is_configured = false
        package.preload["resty.worker.events"] = function()
            local nothing = function() end
            return { configured = function() return is_configured end, poll = nothing, post = nothing,
                unregister = nothing, register_weak = nothing }
        end
    }
--- config
    location = /t {
        content_by_lua_block {
            local hc = require "resty.healthcheck"
            local function try(options)
                local ok, err = pcall(hc.new, options)
                ngx.say(ok, " ", (tostring(err):gsub("^[^ ]+:%d+: ", "")))
            end
            try(nil)
            is_configured = true
            try({ events_module = "other" })
            try({ name = 1 })
            try({ name = "n" })
            try({ name = "n", shm_name = "none" })
            try({ name = "n", shm_name = "hc", type = "udp" })
            try({ name = "n", shm_name = "hc", checks = { active = { type = "grpc" } } })
            try({ name = "n", shm_name = "hc", checks = { passive = { healthy = { successes = 255 } } } })
            try({ checks = { active = { timeout = "1" } } })
            try({ checks = { active = { healthy = { interval = -1 } } } })
            try({ checks = { active = { headers = "X: y" } } })
        }
    }
--- request
GET /t
--- response_body
false please configure the 'resty.worker.events' module before using 'lua-resty-healthcheck'
false unknown events module
false required option 'shm_name' is missing
false required option 'shm_name' is missing
false no shm found by name 'none'
false type can only be 'http', 'https' or 'tcp', got 'udp'
false checks.active.type can only be 'http', 'https' or 'tcp', got 'grpc'
false checks.passive.healthy.successes must be at most 254
false checks.active.timeout: invalid value
false checks.active.healthy.interval: must be between 0 and 2147483647
false checks.active.headers: invalid value


=== TEST 8: the ways of APISIX's fork
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        local listeners = {}
        package.preload["resty.worker.events"] = function()
            return {
                configured = function() return true end,
                poll = function() end,
                unregister = function(f) listeners[f] = nil end,
                register_weak = function(f, source) listeners[f] = source end,
                post = function(source, event, data)
                    for f, wanted in pairs(listeners) do
                        if wanted == source then f(data, event, source, 1) end
                    end
                end,
            }
        end
        package.loaded["resty.healthcheck"] = require "resty.healthcheck.api7"
    }
--- config
    location = /t {
        content_by_lua_block {
            local hc = require "resty.healthcheck"
            local checker = hc.new { name = "n", shm_name = "hc" }
            ngx.say(checker.status_ver)
            checker:add_target("127.0.0.1", 80, nil, true, nil, { weight = 7 })
            ngx.say(checker.status_ver)
            checker:report_tcp_failure("127.0.0.1", 80)
            checker:report_tcp_failure("127.0.0.1", 80)
            ngx.say(checker.status_ver)
            local target = hc.get_target_list("n", "hc")[1]
            ngx.say(target.status, " ", target.counter.tcp_failure, " ", target.meta.weight)
            ngx.say(#hc.get_target_list("unknown", "hc"))
            local _, err = pcall(hc.get_target_list, "n", "none")
            ngx.say((err:gsub("^[^ ]+ ", "")))
        }
    }
--- request
GET /t
--- response_body
0
1
2
unhealthy 2 7
0
no shm found by name 'none'
--- log_level: debug
--- error_log
unhealthy TCP increment (2/2) for '127.0.0.1(127.0.0.1:80)'
from 'true' to 'false', ver: 2


=== TEST 9: states in a dictionary are taken over
--- http_config
    lua_shared_dict hc 1m;
    init_by_lua_block {
        package.preload["resty.worker.events"] = function()
            local nothing = function() end
            return { configured = function() return true end, poll = nothing, post = nothing,
                unregister = nothing, register_weak = nothing }
        end
        local d, P = ngx.shared.hc, "lua-resty-healthcheck:n:"
        d:set(P .. "target_list", require("string.buffer").encode {
            { ip = "127.0.0.1", port = 80, hostname = "a", hostheader = "b" },
            { ip = "127.0.0.1", port = 81, hostname = "127.0.0.1" },
        })
        d:set(P .. "state:127.0.0.1:80:a", 4)
        d:set(P .. "counter:127.0.0.1:80:a", 1)
    }
--- config
    location = /t {
        content_by_lua_block {
            local checker = require("resty.healthcheck").new { name = "n", shm_name = "hc", test = true }
            ngx.say(checker:test_get_counter("127.0.0.1", 80, "a"))
            ngx.say(checker:get_target_status("127.0.0.1", 81))
            ngx.say(#checker.targets, " ", checker.targets["127.0.0.1"][80].a.hostheader)
        }
    }
--- request
GET /t
--- response_body
1mostly_unhealthy
true
2 b


=== TEST 10: a user's own copy wins
--- http_config
    lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
--- config
    location = /t {
        content_by_lua_block { ngx.say(require("resty.healthcheck").mine) }
    }
--- user_files
>>> resty/healthcheck.lua
return { mine = "yes" }
--- request
GET /t
--- response_body
yes
