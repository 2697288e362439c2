How bytes flow through proxy_pass: heads, bodies, tries, connections.

=== TEST 1: a head that does not fit into proxy_buffer_size
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "HTTP/1.1 200 OK\r\nX-Long: " . ("a" x 5000) . "\r\n\r\nbody"
--- config
    location /t { proxy_buffer_size 1k; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 502
--- error_log
upstream sent too big header while reading response header from upstream


=== TEST 2: a body shorter than announced
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"
--- config
    location /t {
        content_by_lua_block {
            local res = ngx.location.capture("/p")
            ngx.say(res.status, " ", res.body, " ", tostring(res.truncated))
        }
    }
    location /p { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- response_body
200 hello true
--- error_log
upstream prematurely closed connection while reading upstream


=== TEST 3: more than announced is cut off
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world"
--- config
    location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- response_body chomp
hello


=== TEST 4: two lengths are refused
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- config
    location /t { proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 502


=== TEST 5: a POST is not sent twice, unless told so
--- http_config
    upstream group { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 max_fails=0; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 503 "first\n"; }
    server { listen $TEST_NGINX_RAND_PORT_2; return 200 "second\n"; }
--- config
    location /once { proxy_next_upstream http_503; proxy_pass http://group; }
    location /twice { proxy_next_upstream http_503 non_idempotent; proxy_pass http://group; }
--- request eval
["POST /once\nx", "POST /twice\nx"]
--- error_code eval
[503, 200]


=== TEST 6: the number of tries is limited
--- http_config
    upstream group {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
    }
--- config
    location /t {
        proxy_next_upstream_tries 2;
        proxy_pass http://group;
        add_header S $upstream_status always;
    }
--- request
GET /t
--- error_code: 502
--- response_headers
S: 502, 502


=== TEST 7: a large body comes through whole
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                local piece = string.rep("x", 65536)
                for i = 1, 64 do ngx.print(piece) end
            }
        }
    }
--- config
    location /t {
        content_by_lua_block {
            ngx.say(#ngx.location.capture("/p").body, " ", #ngx.location.capture("/direct").body)
        }
    }
    location /p { proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location /direct { proxy_buffering off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- response_body
4194304 4194304


=== TEST 8: an upgraded connection carries bytes both ways
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                local sock = ngx.req.socket(true)
                sock:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: upgrade\r\n\r\n")
                sock:send("got " .. sock:receive(4))
            }
        }
    }
--- config
    location /up {
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            sock:connect("127.0.0.1", ngx.var.server_port)
            sock:send("GET /up HTTP/1.1\r\nHost: a\r\nUpgrade: test\r\nConnection: upgrade\r\n\r\nping")
            local all = sock:receive("*a")
            ngx.say(all:match("^HTTP/1.1 101"), " ", all:match("\r\n\r\n(.*)$"))
        }
    }
--- request
GET /t
--- response_body
HTTP/1.1 101 got ping


=== TEST 9: a kept connection that was closed meanwhile is no failure
--- http_config
    upstream group { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 4; }
    server { listen $TEST_NGINX_RAND_PORT_1; keepalive_requests 2; location / { return 200 "$connection_requests\n"; } }
--- config
    location /p { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://group; }
--- request eval
["GET /p", "GET /p", "GET /p"]
--- response_body eval
["1\n", "2\n", "1\n"]


=== TEST 10: a chunked request body gets a length
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.var.http_content_length, " ", tostring(ngx.var.http_transfer_encoding), " ", ngx.req.get_body_data()) } } }
--- config
    location /t { proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
--- response_body
11 nil hello world


=== TEST 11: a target that is only known with the request
--- http_config
    upstream group { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "$http_host $request_uri\n"; }
--- config
    location /g { set $to group; proxy_pass http://$to; }
    location /a { set $to 127.0.0.1:$TEST_NGINX_RAND_PORT_1; proxy_pass http://$to/x; }
    location /bad { set $to nowhere.invalid; proxy_pass http://$to; }
--- request eval
["GET /g?1", "GET /a", "GET /bad"]
--- error_code eval
[200, 200, 502]
--- response_body_like eval
["group /g\\?1", "127.0.0.1:\\d+ /x", "502 Bad Gateway"]
--- error_log
no resolver defined to resolve nowhere.invalid
