slow_start: a peer that comes back gets its share of the requests little by little.

=== TEST 1: next to nothing at first
--- http_config
    lua_shared_dict well 1m;
    upstream backend {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 slow_start=10h;
        health_check interval=50ms;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "one"; }
    server {
        listen $TEST_NGINX_RAND_PORT_2;
        location / { content_by_lua_block {
            if not ngx.shared.well:get("two") then return ngx.exit(503) end
            ngx.print("two")
        } }
    }
--- config
    location /p { proxy_pass http://backend; }
    location /t { content_by_lua_block {
        local up = require "ngx.upstream"
        local function until_is(at, down)
            while (up.get_primary_peers("backend")[at].down or false) ~= down do ngx.sleep(0.01) end
        end
        until_is(1, false)
        until_is(2, true)
        ngx.shared.well:set("two", true)
        until_is(2, false)
        local count = { one = 0, two = 0 }
        for _ = 1, 100 do
            local body = ngx.location.capture("/p").body
            count[body] = count[body] + 1
        end
        ngx.say(count.one + count.two, " ", count.two <= 5)
    } }
--- request
GET /t
--- response_body
100 true


=== TEST 2: all of it in the end
--- http_config
    lua_shared_dict well 1m;
    upstream backend {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        health_check interval=50ms slow_start=1ms;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "one"; }
    server {
        listen $TEST_NGINX_RAND_PORT_2;
        location / { content_by_lua_block {
            if not ngx.shared.well:get("two") then return ngx.exit(503) end
            ngx.print("two")
        } }
    }
--- config
    location /p { proxy_pass http://backend; }
    location /t { content_by_lua_block {
        local up = require "ngx.upstream"
        local function until_is(at, down)
            while (up.get_primary_peers("backend")[at].down or false) ~= down do ngx.sleep(0.01) end
        end
        until_is(1, false)
        until_is(2, true)
        ngx.shared.well:set("two", true)
        until_is(2, false)
        ngx.sleep(0.01)
        local count = { one = 0, two = 0 }
        for _ = 1, 100 do
            local body = ngx.location.capture("/p").body
            count[body] = count[body] + 1
        end
        ngx.say(count.one + count.two, " ", count.two >= 45)
    } }
--- request
GET /t
--- response_body
100 true


=== TEST 3: methods without weights do not take it
--- http_config
    upstream backend { ip_hash; server 127.0.0.1:1; health_check slow_start=30s; }
--- config
    location / { proxy_pass http://backend; }
--- must_die
--- error_log
balancing method does not support parameter "slow_start"
