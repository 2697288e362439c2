health_override: what an operator wants a peer to be, whatever its checks say. Ours alone.

=== TEST 1: a peer is drained: requests go elsewhere, the list tells who wanted it and why
--- http_config
    upstream a {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        health_check interval=30s;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "one\n"; } }
    server { listen $TEST_NGINX_RAND_PORT_2; location / { return 200 "two\n"; } }
--- config
    location /override { health_override; }
    location = /a { proxy_pass http://a; }
    location /t { content_by_lua_block {
        local peer = "127.0.0.1:$TEST_NGINX_RAND_PORT_1"
        local function ask(method, args)
            local r = ngx.location.capture("/override", { method = method, args = args })
            ngx.say(r.status, " ", (r.body:gsub(peer, "P"):gsub('"left_ms":%d+', '"left_ms":N')))
        end
        local function both()
            local seen = {}
            for _ = 1, 4 do seen[ngx.location.capture("/a").body] = true end
            ngx.say(seen["one\n"] and "one " or "", seen["two\n"] and "two" or "")
        end
        both()
        ask(ngx.HTTP_PUT, { upstream = "a", peer = peer, state = "drain", author = "ann",
            reason = "disk", ["for"] = "1h" })
        both()
        ask(ngx.HTTP_GET)
        ask(ngx.HTTP_DELETE, { upstream = "a", peer = peer })
        both()
        ask(ngx.HTTP_GET)
    } }
--- request
GET /t
--- response_body
one two
200 {"checks":1}
two
200 [{"author":"ann","left_ms":N,"peer":"P","reason":"disk","state":"drain","upstream":"a"}]
200 {"checks":1}
one two
200 []


=== TEST 2: up, against what the probes find; it ends by itself
--- http_config
    lua_shared_dict d 1m;
    upstream a { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; health_check interval=50ms uri=/down; }
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / { return 200 "served\n"; }
        location /down { return 503; }
    }
--- config
    location /override { health_override; }
    location = /a { proxy_pass http://a/; }
    location /t { content_by_lua_block {
        local function until_status(wanted)
            while ngx.location.capture("/a").status ~= wanted do ngx.sleep(0.01) end
            ngx.say(wanted)
        end
        until_status(502)
        local args = { upstream = "a", peer = "127.0.0.1:$TEST_NGINX_RAND_PORT_1", state = "up",
            ["for"] = "500ms" }
        ngx.say(ngx.location.capture("/override", { method = ngx.HTTP_PUT, args = args }).status)
        until_status(200)
        until_status(502)
    } }
--- request
GET /t
--- response_body
502
200
200
502


=== TEST 3: what is wrong is told, and changes nothing
--- http_config
    upstream a { server 127.0.0.1:1; health_check interval=30s; }
--- config
    location /override { health_override; }
    location /t { content_by_lua_block {
        for _, args in ipairs {
            "upstream=a&peer=127.0.0.1:1",
            "upstream=a&peer=127.0.0.1:1&state=sleepy",
            "upstream=a&peer=127.0.0.1:1&state=down&for=soon",
            "upstream=a&peer=127.0.0.1:1&state=down&fro=1h",
            "upstream=a&state=down",
            "peer=127.0.0.1:1&state=down",
            "upstream=a&peer=127.0.0.1:2&state=down",
            "upstream=b&peer=127.0.0.1:1&state=down",
        } do
            local r = ngx.location.capture("/override", { method = ngx.HTTP_PUT, args = args })
            ngx.say(r.status, " ", r.body)
        end
        ngx.say(ngx.location.capture("/override", { method = ngx.HTTP_POST }).status)
        ngx.say(ngx.location.capture("/override").body)
    } }
--- request
GET /t
--- response_body
400 {"error":"state is up, down or drain, not \"\""}
400 {"error":"state is up, down or drain, not \"sleepy\""}
400 {"error":"invalid time \"soon\""}
400 {"error":"unknown argument \"fro\""}
400 {"error":"no argument \"peer\""}
400 {"error":"no argument \"upstream\""}
404 {"error":"no check of upstream \"a\" has a peer \"127.0.0.1:2\""}
404 {"error":"no check of upstream \"b\" has a peer \"127.0.0.1:1\""}
405
[]
