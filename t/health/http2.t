Probes over HTTP/2.

=== TEST 1: with prior knowledge, on a connection of its own and on a kept one
--- http_config
    lua_shared_dict seen 1m;
    upstream fresh {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check http=2 uri=/fresh interval=50ms host=a.test "header=X-A: b" mandatory;
    }
    upstream kept {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check http=2 uri=/kept interval=50ms keepalive_time=1h mandatory;
    }
    server {
        listen $TEST_NGINX_RAND_PORT_1 http2;
        location / { content_by_lua_block {
            local seen, uri = ngx.shared.seen, ngx.var.uri
            seen:incr(uri .. " probes", 1, 0)
            if seen:get(uri .. " last") ~= ngx.var.connection then
                seen:incr(uri .. " connections", 1, 0)
            end
            seen:set(uri .. " last", ngx.var.connection)
            local h = ngx.req.get_headers()
            seen:set(uri, ngx.var.server_protocol .. " " .. h.host .. " " .. (h["x-a"] or "-"))
        } }
    }
--- config
    location /t { content_by_lua_block {
        local seen = ngx.shared.seen
        local function wait(key, count)
            while (seen:get(key .. " probes") or 0) < count do ngx.sleep(0.01) end
        end
        wait("/fresh", 4)
        wait("/kept", 4)
        ngx.say(seen:get("/fresh"))
        ngx.say(seen:get("/fresh connections") >= 4, " ", seen:get("/kept connections"))
        local up = require "ngx.upstream"
        for _, name in ipairs { "fresh", "kept" } do
            while up.get_primary_peers(name)[1].down do ngx.sleep(0.01) end
        end
    } }
--- request
GET /t
--- response_body
HTTP/2.0 a.test b
true 1


=== TEST 2: by ALPN, judged by status, header and body
--- http_config
    upstream good {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check type=https http=2 verify=off interval=50ms mandatory match=fine;
    }
    upstream bad {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check type=https http=2 verify=off interval=50ms uri=/bad match=fine;
    }
    match fine { status 200; header X-State = good; body ~ "^fine"; }
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl http2;
        ssl_certificate $TEST_NGINX_CERT_DIR/three.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/three.key;
        add_header X-State good;
        location / { return 200 "fine"; }
        location /bad { return 200 "not fine"; }
    }
--- config
    location /t { content_by_lua_block {
        local up = require "ngx.upstream"
        local function until_is(name, down)
            while (up.get_primary_peers(name)[1].down or false) ~= down do ngx.sleep(0.01) end
        end
        until_is("good", false)
        until_is("bad", true)
        ngx.say("judged")
    } }
--- request
GET /t
--- response_body
judged


=== TEST 3: a peer that knows only HTTP/1
--- http_config
    upstream backend {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check http=2 interval=50ms;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "fine"; }
--- config
    location /t { content_by_lua_block {
        local up = require "ngx.upstream"
        while not up.get_primary_peers("backend")[1].down do ngx.sleep(0.01) end
        ngx.say("down")
    } }
--- request
GET /t
--- response_body
down
--- error_log
is down after 1 failure(s) by active check
