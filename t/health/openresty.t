resty.upstream.healthcheck: what a script and the shared dictionary see.

=== TEST 1: keys in the dictionary
--- http_config
    lua_shared_dict healthcheck 1m;
    lua_socket_log_errors off;
    upstream foo.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "ok"; }
    init_worker_by_lua_block {
        local hc = require "resty.upstream.healthcheck"
        assert(hc.spawn_checker {
            shm = "healthcheck", upstream = "foo.com", type = "http",
            http_req = "GET / HTTP/1.0\r\nHost: foo.com\r\n\r\n",
            interval = 50, fall = 2, rise = 1,
        })
    }
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.healthcheck
            for _ = 1, 6000 do
                if d:get("d:foo.com:p1") and d:get("ok:foo.com:p0") and d:get("v:foo.com") then break end
                ngx.sleep(0.01)
            end
            ngx.say(d:get("d:foo.com:p0"), " ", d:get("d:foo.com:p1"))
            ngx.say(d:get("ok:foo.com:p0") ~= nil, " ", (d:get("nok:foo.com:p1") or 0) >= 2, " ", d:get("v:foo.com"))
        }
    }
--- request
GET /t
--- response_body
nil true
true true 1


=== TEST 2: two checkers share a dictionary
--- http_config
    lua_shared_dict healthcheck 1m;
    lua_socket_log_errors off;
    upstream a { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    upstream b { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "ok"; }
    init_worker_by_lua_block {
        local hc = require "resty.upstream.healthcheck"
        for _, name in ipairs { "a", "b" } do
            assert(hc.spawn_checker {
                shm = "healthcheck", upstream = name, type = "http",
                http_req = "GET / HTTP/1.0\r\nHost: foo.com\r\n\r\n",
                interval = 50, fall = 2, rise = 1,
            })
        end
    }
--- config
    location /t {
        content_by_lua_block {
            local page = require("resty.upstream.healthcheck").status_page
            for _ = 1, 6000 do if page():find("DOWN", 1, true) then break end ngx.sleep(0.01) end
            ngx.print(page())
        }
    }
--- request
GET /t
--- response_body
Upstream a
    Primary Peers
        127.0.0.1:$TEST_NGINX_RAND_PORT_1 UP
    Backup Peers

Upstream b
    Primary Peers
        127.0.0.1:$TEST_NGINX_RAND_PORT_2 DOWN
    Backup Peers
--- error_log
healthcheck: peer 127.0.0.1:$TEST_NGINX_RAND_PORT_2 is turned down after 2 failure(s)


=== TEST 3: a request that no server could understand is named once
--- http_config
    lua_shared_dict healthcheck 1m;
    lua_socket_log_errors off;
    upstream foo.com { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    init_worker_by_lua_block {
        local hc = require "resty.upstream.healthcheck"
        assert(hc.spawn_checker {
            shm = "healthcheck", upstream = "foo.com", type = "http",
            http_req = "GET / HTTP/1.1\r\n\r\n", interval = 1000,
        })
    }
--- config
    location /t { return 200 "ok\n"; }
--- request
GET /t
--- error_log
http_req


=== TEST 4: the user's own library wins
--- http_config
    lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
--- config
    location /t { content_by_lua_block { ngx.say(require("resty.upstream.healthcheck").mine) } }
--- user_files
>>> resty/upstream/healthcheck.lua
return { mine = "my own" }
--- request
GET /t
--- response_body
my own
