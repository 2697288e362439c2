health_check in a location, where NGINX Plus has it: probes go the way of the location's requests.

=== TEST 1: its lines, its host, its version
--- http_config
    lua_shared_dict seen 1m;
    upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / { content_by_lua_block {
            local h = ngx.req.get_headers()
            ngx.shared.seen:safe_set("probe", table.concat({
                ngx.var.request, h.host, h["x-a"] or "-", h["x-b"] or "-", h["user-agent"] }, "|"))
        } }
    }
--- config
    location @hc {
        proxy_set_header X-A "of $server_name";
        proxy_set_header X-B $remote_user;
        proxy_set_header Connection "";
        proxy_pass http://backend;
        health_check uri=/up interval=50ms;
    }
    location /t { content_by_lua_block {
        local seen = ngx.shared.seen
        while not seen:get("probe") do ngx.sleep(0.01) end
        ngx.say((seen:get("probe"):gsub("health/.*", "health/x")))
    } }
--- request
GET /t
--- response_body
GET /up HTTP/1.0|backend|of localhost|-|moonbeat-health/x


=== TEST 2: a Host line, and version 1.1
--- http_config
    lua_shared_dict seen 1m;
    upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / { content_by_lua_block {
            local h = ngx.req.get_headers()
            ngx.shared.seen:safe_set("probe", table.concat({
                ngx.var.request, h.host, h["user-agent"] }, "|"))
        } }
    }
--- config
    proxy_set_header Host $host;
    proxy_set_header User-Agent curl;
    proxy_http_version 1.1;
    location /deep/ {
        location /deep/er { proxy_pass http://backend; health_check interval=50ms; }
    }
    location /t { content_by_lua_block {
        local seen = ngx.shared.seen
        while not seen:get("probe") do ngx.sleep(0.01) end
        ngx.say(seen:get("probe"))
    } }
--- request
GET /t
--- response_body
GET / HTTP/1.1|localhost|curl


=== TEST 3: traffic follows the verdict; two checks of one upstream must both pass
--- http_config
    upstream backend {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    }
    match fine { status 200; body ~ "fine"; }
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "one"; } location /b { return 200 "fine"; } }
    server { listen $TEST_NGINX_RAND_PORT_2; location / { return 200 "two"; } location /b { return 500; } }
--- config
    location /a { proxy_pass http://backend/a; health_check interval=50ms uri=/a mandatory persistent; }
    location /b { proxy_pass http://backend/b; health_check interval=50ms uri=/b match=fine; }
    location /status { check_status csv; }
    location /t { content_by_lua_block {
        local function csv() return ngx.location.capture("/status").body end
        local function count(port, state)
            return select(2, csv():gsub("127%.0%.0%.1:" .. port .. "," .. state, ""))
        end
        while count($TEST_NGINX_RAND_PORT_1, "up") < 2 or count($TEST_NGINX_RAND_PORT_2, "down") < 1 do
            ngx.sleep(0.01)
        end
        local seen = {}
        for _ = 1, 10 do seen[ngx.location.capture("/a").body] = true end
        ngx.say(seen.one, " ", seen.two)
    } }
--- request
GET /t
--- response_body
true nil


=== TEST 4: TLS as the location has it: name, authority, own certificate
--- http_config
    lua_shared_dict seen 1m;
    upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl;
        server_name backend.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/three.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/three.key;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/two.crt;
        ssl_verify_client on;
        location / { content_by_lua_block {
            ngx.shared.seen:safe_set("probe", table.concat({
                ngx.var.ssl_client_verify, ngx.var.ssl_client_s_dn, ngx.var.ssl_server_name or "-",
                ngx.var.ssl_protocol }, "|"))
        } }
    }
--- config
    location / {
        proxy_pass https://backend;
        proxy_ssl_certificate $TEST_NGINX_CERT_DIR/two.crt;
        proxy_ssl_certificate_key $TEST_NGINX_CERT_DIR/two.key;
        proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/three.crt;
        proxy_ssl_verify on;
        proxy_ssl_server_name on;
        proxy_ssl_name backend.test;
        proxy_ssl_protocols TLSv1.2;
        health_check interval=50ms mandatory;
    }
    location /t { content_by_lua_block {
        local seen = ngx.shared.seen
        while not seen:get("probe") do ngx.sleep(0.01) end
        ngx.say(seen:get("probe"))
        local up = require "ngx.upstream"
        while up.get_primary_peers("backend")[1].down do ngx.sleep(0.01) end
        ngx.say("up")
    } }
--- request
GET /t
--- response_body
SUCCESS|CN=two.test|backend.test|TLSv1.2
up


=== TEST 5: without proxy_ssl_verify and proxy_ssl_server_name
--- http_config
    lua_shared_dict seen 1m;
    upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_CERT_DIR/three.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/three.key;
        location / { content_by_lua_block {
            ngx.shared.seen:safe_set("probe", (ngx.var.ssl_server_name or "-") .. ngx.var.http_host)
        } }
    }
--- config
    location / { proxy_pass https://backend; health_check interval=50ms mandatory; }
    location /t { content_by_lua_block {
        local seen = ngx.shared.seen
        while not seen:get("probe") do ngx.sleep(0.01) end
        ngx.say(seen:get("probe"))
    } }
--- request
GET /t
--- response_body
-backend


=== TEST 6: a name that the certificate is not for keeps the peer out
--- http_config
    upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_CERT_DIR/three.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/three.key;
        location / { return 200; }
    }
--- config
    location / {
        proxy_pass https://backend;
        proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/three.crt;
        proxy_ssl_verify on;
        health_check interval=50ms;
    }
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
certificate host mismatch


=== TEST 7: a check in the upstream shows the certificate all locations show
--- http_config
    lua_shared_dict seen 1m;
    upstream backend {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check type=https interval=50ms mandatory;
    }
    proxy_ssl_certificate $TEST_NGINX_CERT_DIR/two.crt;
    proxy_ssl_certificate_key $TEST_NGINX_CERT_DIR/two.key;
    proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/three.crt;
    proxy_ssl_verify on;
    proxy_ssl_name backend.test;
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate $TEST_NGINX_CERT_DIR/three.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/three.key;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/two.crt;
        ssl_verify_client on;
        location / { content_by_lua_block {
            ngx.shared.seen:safe_set("probe", ngx.var.ssl_client_s_dn)
        } }
    }
--- config
    location /a { proxy_pass https://backend; }
    location /b { proxy_pass https://backend; }
    location /t { content_by_lua_block {
        local seen = ngx.shared.seen
        while not seen:get("probe") do ngx.sleep(0.01) end
        ngx.say(seen:get("probe"))
        local up = require "ngx.upstream"
        while up.get_primary_peers("backend")[1].down do ngx.sleep(0.01) end
        ngx.say("up")
    } }
--- request
GET /t
--- response_body
CN=two.test
up


=== TEST 8: behind grpc_pass, in gRPC's words
--- http_config
    lua_shared_dict seen 1m;
    upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    upstream checked { server 127.0.0.1:1; health_check type=tcp interval=1h; }
    server {
        listen $TEST_NGINX_RAND_PORT_1 http2;
        location / { grpc_health; }
    }
--- config
    location / { grpc_pass backend; health_check mandatory interval=50ms type=grpc grpc_service=checked; }
    location /t { content_by_lua_block {
        local up = require "ngx.upstream"
        while up.get_primary_peers("backend")[1].down do ngx.sleep(0.01) end
        ngx.say("up")
    } }
--- request
GET /t
--- response_body
up


=== TEST 9: a pass with variables
--- config
    location / { proxy_pass http://$host; health_check; }
--- must_die
--- error_log
"health_check" requires a "proxy_pass" without variables


=== TEST 10: no upstream
--- config
    location / { proxy_pass http://127.0.0.1:8080; health_check; }
--- must_die
--- error_log
"health_check" requires an upstream, and "127.0.0.1:8080" is none


=== TEST 11: another protocol
--- http_config
    upstream backend { server 127.0.0.1:1; }
--- config
    location / { memcached_pass backend; health_check; }
--- must_die
--- error_log
"health_check" cannot speak the protocol of "memcached_pass"


=== TEST 12: parameters are looked at as in an upstream
--- http_config
    upstream backend { server 127.0.0.1:1; }
--- config
    location / { proxy_pass http://backend; health_check type=tcp uri=/; }
--- must_die
--- error_log
parameter "uri" cannot be used by this type of check


=== TEST 13: not on the server's level
--- config
    health_check;
    location / { return 200; }
--- must_die
--- error_log
"health_check" directive is not allowed here
